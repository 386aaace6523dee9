package layer

import (
	"errors"
	"fmt"
	"maps"
	"slices"
	"strings"
	"testing"

	"coracle/squash"
)

// A model is a second, slow way to merge layers, to compare with: a flat map of real
// paths, and every rule as a loop over all of it.
type model struct {
	files map[string]modelFile // by path, "" is the root
	layer int
}

type modelFile struct {
	entry *Entry
	layer int // that named it, or something below it
}

var errModel = errors.New("refused")

func modelMerge(layers [][]*Entry) (map[string]*Entry, error) {
	m := model{files: map[string]modelFile{"": {impliedDir(""), -1}}}
	for i, entries := range layers {
		m.layer = i
		for _, e := range entries {
			if err := m.apply(e); err != nil {
				return nil, err
			}
		}
	}
	out := map[string]*Entry{}
	for path, f := range m.files {
		out[path] = f.entry
	}
	return out, nil
}

func (m *model) apply(e *Entry) error {
	dir, base := split(e.Name)
	if strings.HasPrefix(base, ".wh.") {
		return m.whiteout(dir, base)
	}
	if e.Name == "" {
		if e.Kind == HardLink || e.Type != squash.Directory {
			return errModel
		}
		m.files[""] = modelFile{e, m.layer}
		return nil
	}
	parent, err := m.resolve(dir, 40)
	if err != nil {
		return err
	}
	if err := m.mkdirs(parent); err != nil {
		return err
	}
	path := join(parent, base)
	if e.Kind == HardLink {
		tdir, tbase := split(e.Link)
		real, err := m.resolve(tdir, 40)
		if err != nil {
			return err
		}
		target, ok := m.files[join(real, tbase)]
		if !ok || target.entry.Type == squash.Directory {
			return errModel
		}
		e = target.entry
	}
	if old, ok := m.files[path]; ok && old.entry != e && (old.entry.Type != squash.Directory || e.Type != squash.Directory) {
		m.remove(path, func(modelFile) bool { return true })
	}
	m.files[path] = modelFile{e, m.layer}
	return nil
}

func (m *model) whiteout(dir, base string) error {
	older := func(f modelFile) bool { return f.layer != m.layer }
	parent, err := m.resolve(dir, 40)
	if err != nil {
		return err
	}
	if f, ok := m.files[parent]; !ok || f.entry.Type != squash.Directory {
		return nil
	}
	switch name := strings.TrimPrefix(base, ".wh."); {
	case name == ".wh..opq":
		root := m.files[parent]
		m.remove(parent, older)
		m.files[parent] = root
	case name == "" || name == "." || name == ".." || strings.HasPrefix(name, ".wh."):
	default:
		m.remove(join(parent, name), older)
	}
	return nil
}

// remove removes path and what is below it, where which says so.
func (m *model) remove(path string, which func(modelFile) bool) {
	for p, f := range m.files {
		if (p == path || path == "" || strings.HasPrefix(p, path+"/")) && which(f) {
			delete(m.files, p)
		}
	}
}

func join(dir, base string) string { return strings.TrimPrefix(dir+"/"+base, "/") }

// resolve returns the real path of path, links followed, whether it exists or not.
func (m *model) resolve(path string, links int) (string, error) {
	real := ""
	parts := strings.Split(path, "/")
	for i, part := range parts {
		switch part {
		case "", ".":
			continue
		case "..":
			real, _ = split(real)
			continue
		}
		next := join(real, part)
		f, ok := m.files[next]
		if !ok || f.entry.Type != squash.Symlink {
			if ok && f.entry.Type != squash.Directory {
				return next, nil // whoever makes it into a directory finds out
			}
			if !ok {
				// ".." below a missing directory works on its name, made or not.
				real = next
				continue
			}
			real = next
			continue
		}
		if links--; links < 0 {
			return "", errModel
		}
		rest := f.entry.Link + "/" + strings.Join(parts[i+1:], "/")
		if !strings.HasPrefix(rest, "/") {
			rest = real + "/" + rest
		}
		return m.resolve(rest, links)
	}
	return real, nil
}

func (m *model) mkdirs(path string) error {
	made := ""
	for part := range strings.SplitSeq(path, "/") {
		if part == "" {
			continue
		}
		made = join(made, part)
		f, ok := m.files[made]
		if !ok {
			f.entry = impliedDir(part)
		}
		if f.entry.Type != squash.Directory {
			return errModel
		}
		f.layer = m.layer
		m.files[made] = f
	}
	return nil
}

// flat lists the tree that layers have been merged to, by path.
func flat(t *Tree, layers [][]*Entry) map[string]*Entry {
	out := map[string]*Entry{}
	t.Walk(func(path string, inode uint32, typ squash.Type) {
		n, seq, _ := t.Source(inode)
		e := impliedDir(path)
		if n >= 0 {
			e = layers[n][seq]
		}
		if e.Type != typ {
			panic(fmt.Sprintf("%q of type %v is made of %+v", path, typ, e))
		}
		out[path] = e
	})
	return out
}

// describe writes a tree so that equal trees give equal text: files by layer and place.
func describe(files map[string]*Entry) string {
	var b strings.Builder
	for _, path := range slices.Sorted(maps.Keys(files)) {
		e := files[path]
		if e.Implied {
			fmt.Fprintf(&b, "/%s implied\n", path)
			continue
		}
		fmt.Fprintf(&b, "/%s %v %d.%d %s\n", path, e.Type, e.Layer, e.Seq, e.Link)
	}
	return b.String()
}

// program turns bytes into layers: each operation takes two bytes, names are short and
// few so that they meet.
func program(b []byte) [][]*Entry {
	names := []string{"a", "b", "c", "a/b", "a/c", "b/a", "b/c", "c/a", "a/b/c", "b/a/c", "c/a/b", "l", "l/a", "l/a/b", "a/l", ""}
	links := []string{"a", "/b", "c", "../b", "a/b", "l", "b/a", "."}
	layers := [][]*Entry{nil}
	for ; len(b) >= 2; b = b[2:] {
		n := len(layers) - 1
		e := &Entry{Name: names[b[0]&15], Layer: int32(n), Seq: int32(len(layers[n]))}
		dir, base := split(e.Name)
		switch op := b[0] >> 4; {
		case op < 4:
			e.Type = squash.Regular
		case op < 8:
			e.Type = squash.Directory
		case op < 10:
			e.Type, e.Link = squash.Symlink, links[b[1]&7]
		case op < 12:
			e.Kind, e.Type, e.Link = HardLink, squash.Regular, names[b[1]&15]
			if e.Link == "" {
				continue
			}
		case op < 14:
			e.Type, e.Name = squash.Regular, join(dir, ".wh."+base)
		case op < 15:
			e.Type, e.Name = squash.Regular, join(e.Name, ".wh..wh..opq")
		default:
			layers = append(layers, nil)
			continue
		}
		layers[n] = append(layers[n], e)
	}
	return layers
}

func compare(t *testing.T, layers [][]*Entry) {
	t.Helper()
	tree, err := Merge(layers)
	want, werr := modelMerge(layers)
	if (err == nil) != (werr == nil) {
		t.Fatalf("Merge: %v, model: %v\n%s", err, werr, listing(layers))
	}
	if err != nil {
		return
	}
	if got, want := describe(flat(tree, layers)), describe(want); got != want {
		t.Fatalf("Merge made\n%swant\n%sof\n%s", got, want, listing(layers))
	}
}

func listing(layers [][]*Entry) string {
	var b strings.Builder
	for _, entries := range layers {
		for _, e := range entries {
			fmt.Fprintf(&b, "%d.%d %q kind %d %v link %q\n", e.Layer, e.Seq, e.Name, e.Kind, e.Type, e.Link)
		}
	}
	return b.String()
}

func FuzzMerge(f *testing.F) {
	f.Add([]byte{0x43, 0, 0x03, 0, 0xf0, 0, 0xc0, 0, 0x04, 0, 0xe0, 0})
	f.Add([]byte{0x80, 1, 0x03, 0, 0xf0, 0, 0xa3, 0, 0xf0, 0, 0xc0, 0})
	f.Add([]byte{0x8b, 0, 0x0c, 0, 0xf0, 0, 0xcb, 0, 0x0d, 0})
	f.Fuzz(func(t *testing.T, b []byte) {
		if len(b) > 256 {
			return
		}
		compare(t, program(b))
	})
}

func TestMergeRandom(t *testing.T) {
	x, whole := uint64(1), 0
	for range 20000 {
		b := make([]byte, 2+x>>33%60)
		for i := range b {
			x = x*6364136223846793005 + 1442695040888963407
			b[i] = byte(x >> 56)
		}
		if _, err := Merge(program(b)); err == nil {
			whole++
		}
		compare(t, program(b))
	}
	if whole < 2000 {
		t.Errorf("only %d of 20000 random images have no error", whole)
	}
}
