package layer

import (
	"hash/maphash"
	"iter"

	"coracle/squash"
)

// A Shadow tells which files of an older layer newer ones hide, as far as their names
// tell. It serves to skip contents when layers are read newest first; [Merge] decides. A
// symbolic link among the parents can prove it wrong either way, and a hidden file may
// live on through a hard link.
type Shadow struct {
	seeds [2]maphash.Seed
	names map[print]cast
}

// A print stands for a path. With seeds that nobody knows, two of 2²⁴ paths have the same
// one in less than one of 2⁷⁰ processes.
type print [2]uint64

func (s *Shadow) print(path string) print {
	return print{maphash.String(s.seeds[0], path), maphash.String(s.seeds[1], path)}
}

// A cast says what a newer layer's entry of a name means for the layers below.
type cast uint8

const (
	overName  cast = 1 << iota // the name itself is replaced or hidden
	overBelow                  // what is below the name is hidden
)

// Add notes the entries of a layer. Layers are added newest first, each after all of it
// has been asked for.
func (s *Shadow) Add(entries iter.Seq[*Entry]) {
	if s.names == nil {
		s.seeds = [2]maphash.Seed{maphash.MakeSeed(), maphash.MakeSeed()}
		s.names = make(map[print]cast)
	}
	for e := range entries {
		dir, base := split(e.Name)
		switch mark, name := whiteout(base); {
		case mark == ignored:
		case mark == hideAll:
			s.names[s.print(dir)] |= overBelow
		case mark == hideOne && dir == "":
			s.names[s.print(name)] |= overName | overBelow
		case mark == hideOne:
			s.names[s.print(dir+"/"+name)] |= overName | overBelow
		case e.Kind == Inode && e.Type == squash.Directory:
			s.names[s.print(e.Name)] |= overName
		default:
			s.names[s.print(e.Name)] |= overName | overBelow
		}
	}
}

// Hides tells whether the newer layers seem to hide the file, no directory, at path.
func (s *Shadow) Hides(path string) bool {
	if s.names == nil {
		return false
	}
	if s.names[s.print(path)]&overName != 0 || s.names[s.print("")]&overBelow != 0 {
		return true
	}
	for i := range len(path) {
		if path[i] == '/' && s.names[s.print(path[:i])]&overBelow != 0 {
			return true
		}
	}
	return false
}
