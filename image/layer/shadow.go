package layer

import "coracle/squash"

// A Shadow tells which files of an older layer newer ones hide, as far as their names
// tell. It serves to skip contents when layers are read newest first; [Merge] decides. A
// symbolic link among the parents can prove it wrong either way, and a hidden file may
// live on through a hard link.
type Shadow struct {
	names map[string]cast
}

// A cast says what a newer layer's entry of a name means for the layers below.
type cast uint8

const (
	overName  cast = 1 << iota // the name itself is replaced or hidden
	overBelow                  // what is below the name is hidden
)

// Add notes the entries of a layer. Layers are added newest first, each after all of it
// has been asked for.
func (s *Shadow) Add(entries []*Entry) {
	if s.names == nil {
		s.names = make(map[string]cast)
	}
	for _, e := range entries {
		dir, base := split(e.Name)
		switch mark, name := whiteout(base); {
		case mark == ignored:
		case mark == hideAll:
			s.names[dir] |= overBelow
		case mark == hideOne && dir == "":
			s.names[name] |= overName | overBelow
		case mark == hideOne:
			s.names[dir+"/"+name] |= overName | overBelow
		case e.Kind == Inode && e.Type == squash.Directory:
			s.names[e.Name] |= overName
		default:
			s.names[e.Name] |= overName | overBelow
		}
	}
}

// Hides tells whether the newer layers seem to hide the file, no directory, at path.
func (s *Shadow) Hides(path string) bool {
	if s.names[path]&overName != 0 || s.names[""]&overBelow != 0 {
		return true
	}
	for i := range len(path) {
		if path[i] == '/' && s.names[path[:i]]&overBelow != 0 {
			return true
		}
	}
	return false
}
