package squash

import (
	"bytes"
	"io"
	"io/fs"
	"math/rand/v2"
	"strings"
	"testing"
	"testing/fstest"
)

// A memory is an image in memory.
type memory struct{ b []byte }

func (m *memory) WriteAt(p []byte, off int64) (int, error) {
	if n := int(off) + len(p); n > len(m.b) {
		m.b = append(m.b, make([]byte, n-len(m.b))...)
	}
	return copy(m.b[off:], p), nil
}

// write makes an image: contents calls File, and returns the tree.
func write(t testing.TB, o *WriterOptions, contents func(w *Writer) *Node) []byte {
	t.Helper()
	m := &memory{}
	w, err := NewWriter(m, o)
	if err != nil {
		t.Fatalf("NewWriter(%+v): %v", o, err)
	}
	defer w.Close()
	size, err := w.Finish(contents(w))
	if err != nil {
		t.Fatalf("Finish: %v", err)
	}
	return m.b[:size]
}

// noise returns n bytes that do not compress.
func noise(seed uint64, n int) []byte {
	b := make([]byte, n)
	r := rand.NewChaCha8([32]byte{byte(seed), byte(seed >> 8)})
	r.Read(b)
	return b
}

func TestTree(t *testing.T) {
	want := fstest.MapFS{
		"empty":           {Mode: 0o600},
		"bin/sh":          {Data: noise(1, 10<<10), Mode: 0o755},
		"etc/passwd":      {Data: []byte("root:x:0:0::/root:/bin/sh\n"), Mode: 0o644},
		"usr/share/words": {Data: []byte(strings.Repeat("words ", 1e3)), Mode: 0o644},
		"usr/lib":         {Mode: fs.ModeDir | 0o755},
	}
	image := write(t, &WriterOptions{Compression: Compression{Compressor: Gzip}, BlockSize: 4096}, func(w *Writer) *Node {
		root, err := w.Tree(want, nil)
		if err != nil {
			t.Fatalf("Tree: %v", err)
		}
		return root
	})
	r, err := Open(bytes.NewReader(image), int64(len(image)), nil)
	if err != nil {
		t.Fatalf("Open: %v", err)
	}
	if err := fstest.TestFS(r.FS(), "empty", "bin/sh", "etc/passwd", "usr/share/words", "usr/lib"); err != nil {
		t.Error(err)
	}
	for name, f := range want {
		if f.Mode.IsDir() {
			continue
		}
		got, err := fs.ReadFile(r.FS(), name)
		if err != nil || !bytes.Equal(got, f.Data) {
			t.Errorf("contents of %q: %d bytes, %v; want %d bytes", name, len(got), err, len(f.Data))
		}
	}
}

func TestFileLength(t *testing.T) {
	for _, tt := range []struct {
		have int
		size int64
		want error
	}{
		{have: 5, size: 5},
		{have: 4, size: 5, want: io.ErrUnexpectedEOF},
		{have: 6, size: 5, want: ErrFormat},
		{have: 1, size: 0, want: ErrFormat},
		{have: 400 << 10, size: 500 << 10, want: io.ErrUnexpectedEOF},
		{have: 0, size: 1 << 60, want: ErrFormat}, // too many blocks
		{have: 0, size: -1, want: ErrFormat},
	} {
		w, err := NewWriter(&memory{}, nil)
		if err != nil {
			t.Fatalf("NewWriter: %v", err)
		}
		_, err = w.File(bytes.NewReader(make([]byte, tt.have)), tt.size)
		checkError(t, err, tt.want, "File(%d bytes, %d)", tt.have, tt.size)
		w.Close()
	}
}
