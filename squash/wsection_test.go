package squash

import (
	"bytes"
	"errors"
	"testing"
	"testing/iotest"
)

// sectioned writes an image of two sections, each with the same files, and returns it with
// the place and index of the second.
func sectioned(t testing.TB, o WriterOptions) (img []byte, section, index []byte, root func(w *Writer, data []Data) *Node) {
	t.Helper()
	root = func(w *Writer, data []Data) *Node {
		dir := &Node{Type: Directory, Perm: 0o755}
		for i, d := range data {
			dir.Children = append(dir.Children, &Node{Name: string(rune('a' + i)), Type: Regular, Data: d})
		}
		return dir
	}
	m := &memory{}
	w, err := NewWriter(m, &o)
	check(t, err)
	defer w.Close()
	w.Section()
	data := sectionFiles(t, w)
	s := w.Section()
	second := sectionFiles(t, w)
	w.Section()
	size, err := w.Finish(root(w, append(data, second...)))
	check(t, err)
	start, length := s.Place()
	return m.b[:size], bytes.Clone(m.b[start : start+length]), w.Index(s, second), root
}

func sectionFiles(t testing.TB, w *Writer) (list []Data) {
	t.Helper()
	for _, b := range [][]byte{nil, noise(1, 10_000), make([]byte, 9000), pattern(100), noise(1, 10_000), append(make([]byte, 8192), 1), pattern(100), noise(2, 4096)} {
		list = append(list, w.testFile(t, b))
	}
	return list
}

// A section that is copied gives the image that its files would have given, also when a
// first try failed half-way.
func TestCopySection(t *testing.T) {
	for _, o := range []WriterOptions{{BlockSize: 4096}, {BlockSize: 4096, NoFragments: true}, {BlockSize: 4096, AlwaysFragments: true, Workers: 3}, {}} {
		want, section, index, root := sectioned(t, o)
		m := &memory{}
		w, err := NewWriter(m, &o)
		check(t, err)
		defer w.Close()
		w.Section()
		data := sectionFiles(t, w)
		if sizes, err := w.SectionSizes(index); err != nil || len(sizes) != 8 || sizes[1] != 10_000 {
			t.Errorf("%+v: SectionSizes() = %d, %v", o, sizes, err)
		}
		for _, tt := range []struct {
			name  string
			index []byte
			bytes []byte
			err   error
		}{
			{"short", index, section[:len(section)/2], ErrSection},
			{"long", index, append(bytes.Clone(section), 0), ErrSection},
			{"index cut", index[:len(index)-1], section, ErrSection},
			{"index long", append(bytes.Clone(index), 0), section, ErrSection},
		} {
			if _, _, err := w.CopySection(tt.index, bytes.NewReader(tt.bytes)); !errors.Is(err, tt.err) {
				t.Errorf("%+v, %s: %v, want %v", o, tt.name, err, tt.err)
			}
		}
		if _, _, err := w.CopySection(index, iotest.TimeoutReader(iotest.HalfReader(bytes.NewReader(section)))); err != iotest.ErrTimeout {
			t.Errorf("%+v: %v, want ErrTimeout", o, err)
		}
		_, second, err := w.CopySection(index, bytes.NewReader(section))
		check(t, err)
		w.Section()
		size, err := w.Finish(root(w, append(data, second...)))
		check(t, err)
		if !bytes.Equal(m.b[:size], want) {
			t.Errorf("%+v: the image with a copied section differs", o)
		}
	}
}

// Whatever an index says, an image is written that can be read but for contents, or there
// is an error.
func FuzzSection(f *testing.F) {
	_, section, index, root := sectioned(f, WriterOptions{BlockSize: 4096})
	f.Add(index, section)
	f.Add([]byte{0, 0, 0}, []byte{})
	f.Fuzz(func(t *testing.T, index, section []byte) {
		m := &memory{}
		w, err := NewWriter(m, &WriterOptions{BlockSize: 4096})
		check(t, err)
		defer w.Close()
		_, data, err := w.CopySection(index, bytes.NewReader(section))
		if err != nil {
			if !errors.Is(err, ErrSection) {
				t.Errorf("%v, want ErrSection", err)
			}
			return
		}
		size, err := w.Finish(root(w, data[:min(len(data), 20)]))
		check(t, err)
		r, err := Open(bytes.NewReader(m.b[:size]), size, nil)
		check(t, err)
		ino, err := r.Inode(r.Super().Root)
		check(t, err)
		check(t, r.ReadDir(&ino, 0, func(d Dirent, _ Cursor) bool {
			file, err := r.Inode(d.Ref)
			if err != nil || file.Type != Regular {
				t.Errorf("%+v, %v", file, err)
			}
			return true
		}))
	})
}
