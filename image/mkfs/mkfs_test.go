package mkfs

import (
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"coracle/image/ext"
)

// tool finds one of e2fsprogs.
func tool(t testing.TB, name string) string {
	t.Helper()
	if path, err := exec.LookPath(name); err == nil {
		return path
	}
	path := "/usr/sbin/" + name
	if _, err := os.Stat(path); err != nil {
		t.Skipf("no %s (package e2fsprogs)", name)
	}
	return path
}

// make makes a file with a file system in it.
func makeFile(t testing.TB, size int64, o *Options) string {
	t.Helper()
	path := filepath.Join(t.TempDir(), "img")
	f, err := os.Create(path)
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	if err := f.Truncate(size); err != nil {
		t.Fatal(err)
	}
	if err := Write(f, size, o); err != nil {
		t.Fatalf("Write of %d bytes: %v", size, err)
	}
	return path
}

// e2fsck has nothing to say about file systems of all sizes, those included whose last group is too small, or just large enough.
func TestSizes(t *testing.T) {
	fsck := tool(t, "e2fsck")
	const group = blocksPerGroup * blockSize
	sizes := []int64{8 << 20, 8<<20 + 1, 10_000_000, 64 << 20, 127 << 20, group - 4096, group, group + 4096, group + 3<<20, group + 20<<20,
		511 << 20, 512 << 20, 1 << 30, 3<<30 + 4096*17, 10 << 30, 26 * group}
	if !testing.Short() {
		sizes = append(sizes, 200<<30)
	}
	for i := int64(0); i < 700; i += 100 { // around where the last group is dropped
		sizes = append(sizes, group+i*blockSize, 3*group+(i+1400)*blockSize)
	}
	for _, size := range sizes {
		path := makeFile(t, size, &Options{UID: 1000, GID: 1000, Dirs: []string{"/opt/tools"}, Time: time.Unix(1.7e9, 0), UUID: [16]byte{1}})
		out, err := exec.Command(fsck, "-fn", path).CombinedOutput()
		if err != nil || strings.Contains(string(out), "? no") {
			t.Errorf("e2fsck -fn of %d bytes: %v\n%s", size, err, out)
		}
		if fi, err := os.Stat(path); err != nil || fi.Size() != size {
			t.Errorf("the file has %v bytes, want %d: %v", fi, size, err)
		}
		os.Remove(path)
	}
}

// The directories are there, belong to their owner, and others' programs see them.
func TestTree(t *testing.T) {
	var many []string
	for i := range 300 {
		many = append(many, fmt.Sprintf("/many/directory-with-a-longer-name-%d", i))
	}
	many = append(many, "/", "/opt//tools/", "/opt/../opt/tools/bin")
	path := makeFile(t, 64<<20, &Options{UID: 70000, GID: 5, Dirs: many, Time: time.Unix(1.7e9, 0)})
	if out, err := exec.Command(tool(t, "e2fsck"), "-fn", path).CombinedOutput(); err != nil {
		t.Errorf("e2fsck: %v\n%s", err, out)
	}
	f, err := os.Open(path)
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	r, err := ext.Open(f, 64<<20)
	if err != nil {
		t.Fatal(err)
	}
	if r.Length() != 64<<20 {
		t.Errorf("Length() = %d", r.Length())
	}
	for _, p := range []string{"/", "/upper", "/work", "/upper/opt/tools/bin", "/upper" + many[299]} {
		ino, err := r.Walk(p)
		if err != nil || ino.Type != ext.Directory || ino.UID != 70000 || ino.Perm != 0o755 {
			t.Errorf("%s: %v, %+v", p, err, ino)
		}
	}
	ino, err := r.Walk("/upper/many")
	if err != nil {
		t.Fatal(err)
	}
	if names, err := r.Names(&ino); err != nil || len(names) != 300 {
		t.Errorf("/upper/many: %v, %d names", err, len(names))
	}
	out, err := exec.Command(tool(t, "debugfs"), "-R", "stat /upper/opt", path).CombinedOutput()
	if err != nil || !strings.Contains(string(out), "User: 70000   Group:     5") {
		t.Errorf("debugfs: %v\n%s", err, out)
	}
}

// A sparse file takes what is written, and that is little.
func TestSparse(t *testing.T) {
	w := &counter{}
	if err := Write(w, 10<<30, &Options{}); err != nil {
		t.Fatal(err)
	}
	if w.bytes > 2<<20 {
		t.Errorf("%d bytes are written for 10 GiB", w.bytes)
	}
}

type counter struct{ bytes int64 }

func (c *counter) WriteAt(p []byte, _ int64) (int, error) {
	c.bytes += int64(len(p))
	return len(p), nil
}

// Until it is complete there is no file system: the superblock is what is written last.
func TestLast(t *testing.T) {
	w := &last{}
	if err := Write(w, 1<<30, &Options{}); err != nil || w.off != 1024 {
		t.Errorf("written last, at %d, %v; want 1024", w.off, err)
	}
	for n := range 60 {
		if err := Write(&last{fail: n + 1}, 1<<30, &Options{}); err != nil && !errors.Is(err, io.ErrShortWrite) {
			t.Errorf("write %d fails: %v", n, err)
		}
	}
}

type last struct {
	off  int64
	n    int
	fail int
}

func (l *last) WriteAt(p []byte, off int64) (int, error) {
	if l.n++; l.n == l.fail {
		return 0, io.ErrShortWrite
	}
	l.off = off
	return len(p), nil
}

func TestErrors(t *testing.T) {
	var many []string
	for i := range 5000 {
		many = append(many, fmt.Sprintf("/d%d", i))
	}
	for _, tt := range []struct {
		size int64
		dirs []string
		want string
	}{
		{0, nil, ErrSize.Error()},
		{minSize - 1, nil, ErrSize.Error()},
		{maxSize + 1, nil, ErrSize.Error()},
		{minSize, many, errMany.Error()},
		{minSize, []string{"/" + strings.Repeat("x", 256)}, "is no name of a directory"},
		{minSize, []string{"/a\x00b"}, "is no name of a directory"},
	} {
		err := Write(&counter{}, tt.size, &Options{Dirs: tt.dirs})
		if err == nil || !strings.Contains(err.Error(), tt.want) {
			t.Errorf("Write(%d, %d directories): %v, want %q", tt.size, len(tt.dirs), err, tt.want)
		}
	}
}
