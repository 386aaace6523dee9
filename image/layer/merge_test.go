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

// layersOf reads a compact notation, one string a layer, entries parted by blanks: "a/"
// is a directory, "a" a file, "a>b" a symbolic link, "a=b" a hard link.
func layersOf(text ...string) [][]*Entry {
	var layers [][]*Entry
	for n, line := range text {
		var list []*Entry
		for i, word := range strings.Fields(line) {
			e := &Entry{Name: word, Layer: int32(n), Seq: int32(i), Type: squash.Regular}
			if name, link, ok := strings.Cut(word, ">"); ok {
				e.Name, e.Link, e.Type = name, link, squash.Symlink
			} else if name, link, ok := strings.Cut(word, "="); ok {
				e.Name, e.Link, e.Kind = name, link, HardLink
			} else if name, ok := strings.CutSuffix(word, "/"); ok {
				e.Name, e.Type = name, squash.Directory
			}
			list = append(list, e)
		}
		layers = append(layers, list)
	}
	return layers
}

// shown lists a tree as "path:layer", directories with a slash, implied ones with "?".
func shown(tree *Tree, layers [][]*Entry) string {
	files := flat(tree, layers)
	delete(files, "")
	var words []string
	for _, path := range slices.Sorted(maps.Keys(files)) {
		e := files[path]
		switch {
		case e.Implied:
			words = append(words, path+"/?")
		case e.Type == squash.Directory:
			words = append(words, fmt.Sprintf("%s/:%d", path, e.Layer))
		default:
			words = append(words, fmt.Sprintf("%s:%d", path, e.Layer))
		}
	}
	return strings.Join(words, " ")
}

func TestMerge(t *testing.T) {
	for _, tt := range []struct {
		name   string
		layers []string
		want   string
		err    error
	}{
		{name: "replace", layers: []string{"a b", "a"}, want: "a:1 b:0"},
		{name: "duplicate", layers: []string{"d/ d/a d/ d/a"}, want: "d/:0 d/a:0"},
		{name: "whiteout", layers: []string{"d/ d/a d/b", "d/.wh.a"}, want: "d/:0 d/b:0"},
		{name: "whiteout of a directory", layers: []string{"d/ d/a e", ".wh.d"}, want: "e:0"},
		{name: "whiteout of nothing", layers: []string{"a", ".wh.b x/.wh.y"}, want: "a:0"},
		{name: "whiteout spares its own layer", layers: []string{"d/ d/a", "d/ d/b .wh.d"}, want: "d/:1 d/b:1"},
		{name: "whiteout before its own layer's file", layers: []string{"a", ".wh.a a"}, want: "a:1"},
		{name: "opaque", layers: []string{"d/ d/a d/s/ d/s/x", "d/ d/.wh..wh..opq d/b"}, want: "d/:1 d/b:1"},
		{name: "opaque at the end", layers: []string{"d/ d/a d/s/ d/s/x", "d/ d/s/y d/.wh..wh..opq"}, want: "d/:1 d/s/:0 d/s/y:1"},
		{name: "opaque root", layers: []string{"a b/", ".wh..wh..opq c"}, want: "c:1"},
		{name: "AUFS bookkeeping", layers: []string{".wh..wh.aufs .wh..wh.plnk/ a"}, want: "a:0"},
		{name: "file over directory", layers: []string{"d/ d/a", "d"}, want: "d:1"},
		{name: "directory over file", layers: []string{"d", "d/ d/a"}, want: "d/:1 d/a:1"},
		{name: "directory over directory", layers: []string{"d/ d/a", "d/"}, want: "d/:1 d/a:0"},
		{name: "directory over link", layers: []string{"d/ d/a l>d", "l/ l/b"}, want: "d/:0 d/a:0 l/:1 l/b:1"},
		{name: "implied parents", layers: []string{"a/b/c"}, want: "a/? a/b/? a/b/c:0"},
		{name: "linked parent", layers: []string{"usr/ usr/lib/ lib>usr/lib", "lib/x"}, want: "lib:0 usr/:0 usr/lib/:0 usr/lib/x:1"},
		{name: "absolute linked parent", layers: []string{"d/ e/ d/l>/e d/l/x"}, want: "d/:0 d/l:0 e/:0 e/x:0"},
		{name: "linked parent leaves the root", layers: []string{"l>../../../../e l/x"}, want: "e/? e/x:0 l:0"},
		{name: "linked parent is missing", layers: []string{"l>u/v l/x"}, want: "l:0 u/? u/v/? u/v/x:0"},
		{name: "whiteout through a link", layers: []string{"e/ e/a l>e", "l/.wh.a"}, want: "e/:0 l:0"},
		{name: "hard link", layers: []string{"a b=a"}, want: "a:0 b:0"},
		{name: "hard link over layers", layers: []string{"a", "b=a"}, want: "a:0 b:0"},
		{name: "hard link to a hidden target", layers: []string{"a b=a", ".wh.a"}, want: "b:0"},
		{name: "hard link to a replaced target", layers: []string{"a b=a", "a"}, want: "a:1 b:0"},
		{name: "hard link through a link", layers: []string{"d/ d/a l>d b=l/a"}, want: "b:0 d/:0 d/a:0 l:0"},
		{name: "hard link to a link", layers: []string{"l>x b=l"}, want: "b:0 l:0"},
		{name: "hard link to itself", layers: []string{"a", "a=a .wh.a"}, want: "a:0"},

		{name: "hard link to nothing", layers: []string{"b=a"}, err: ErrLink},
		{name: "hard link to a directory", layers: []string{"a/ b=a"}, err: ErrLink},
		{name: "hard link to a whiteout's target", layers: []string{"a", ".wh.a b=a"}, err: ErrLink},
		{name: "below a file", layers: []string{"a a/b"}, err: ErrParent},
		{name: "link loop", layers: []string{"a>b b>a a/x"}, err: ErrPath},
		{name: "link to itself", layers: []string{"a>a a/x"}, err: ErrPath},
	} {
		layers := layersOf(tt.layers...)
		tree, err := Merge(layers)
		if !errors.Is(err, tt.err) {
			t.Errorf("%s: %v, want %v", tt.name, err, tt.err)
			continue
		}
		if err != nil {
			if ee := (*EntryError)(nil); !errors.As(err, &ee) {
				t.Errorf("%s: %T is no EntryError", tt.name, err)
			}
			continue
		}
		if got := shown(tree, layers); got != tt.want {
			t.Errorf("%s: Merge(%q) = %s, want %s", tt.name, tt.layers, got, tt.want)
		}
	}
}

func TestMergeSharesHardLinks(t *testing.T) {
	tree, err := Merge(layersOf("a b=a", "c=b", "a"))
	if err != nil {
		t.Fatal(err)
	}
	n := map[string]uint32{}
	tree.Walk(func(path string, inode uint32, _ squash.Type) { n[path] = inode })
	if n["b"] != n["c"] || n["a"] == n["b"] {
		t.Errorf("a, b and c have inodes %d, %d and %d", n["a"], n["b"], n["c"])
	}
}

func TestMergeDeep(t *testing.T) {
	deep := strings.Repeat("d/", maxDepth-2) + "f"
	tree, err := Merge([][]*Entry{{{Name: deep, Type: squash.Regular}}})
	if err != nil || !tree.Occupied(deep) {
		t.Errorf("a path of %d names: %v", maxDepth-1, err)
	}
	loop := []*Entry{{Name: strings.Repeat("d/", 1500) + "l", Type: squash.Symlink, Link: strings.Repeat("e/", 1500) + "f"},
		{Name: strings.Repeat("d/", 1500) + "l/x", Type: squash.Regular}}
	if _, err := Merge([][]*Entry{loop}); !errors.Is(err, ErrPath) {
		t.Errorf("3000 directories deep: %v, want ErrPath", err)
	}
}

func TestShadow(t *testing.T) {
	var s Shadow
	s.Add(slices.Values(layersOf("a d/ d/.wh.x e/.wh..wh..opq .wh.f g>h")[0]))
	for _, tt := range []struct {
		path string
		want bool
	}{
		{"a", true}, {"b", false},
		{"d/y", false}, {"d/x", true}, {"d/x/y", true},
		{"e", false}, {"e/a/b", true}, {"ee", false},
		{"f", true}, {"f/a", true},
		{"g/a", true}, {"gg/a", false},
	} {
		if got := s.Hides(tt.path); got != tt.want {
			t.Errorf("Hides(%q) = %v, want %v", tt.path, got, tt.want)
		}
	}
	s.Add(slices.Values(layersOf(".wh..wh..opq")[0]))
	if !s.Hides("b") {
		t.Errorf("an opaque root does not hide b")
	}
}
