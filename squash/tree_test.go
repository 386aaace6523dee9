package squash

import (
	"bytes"
	"crypto/sha256"
	"fmt"
	"io"
	"io/fs"
	"maps"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"reflect"
	"slices"
	"strings"
	"syscall"
	"testing"
)

// An entry is what a listing says about one path.
type entry struct {
	Mode   fs.FileMode
	UID    uint32
	GID    uint32
	MTime  uint32
	Size   int64 // not of directories
	Links  uint32
	Rdev   uint32
	Text   string // of a symbolic link
	Sum    [sha256.Size]byte
	Xattrs string // sorted "name=hash" words
}

// sourceTree makes a directory with ordinary and odd files: part of the Go
// distribution (text, and a program for branch filters) and what is hand-made.
func sourceTree(t testing.TB) string {
	t.Helper()
	dir := t.TempDir()
	out, err := exec.Command("go", "env", "GOROOT").Output()
	check(t, err)
	goroot := strings.TrimSpace(string(out))
	for _, sub := range []string{"src/encoding/json", "src/fmt", "src/strings", "bin/gofmt", "lib/time"} {
		from := filepath.Join(goroot, sub)
		if st, err := os.Stat(from); err != nil {
			t.Logf("%s: %v", from, err)
		} else if st.IsDir() {
			check(t, os.CopyFS(filepath.Join(dir, sub), os.DirFS(from)))
		} else {
			check(t, os.MkdirAll(filepath.Dir(filepath.Join(dir, sub)), 0o755))
			check(t, os.WriteFile(filepath.Join(dir, sub), readAll(t, from)[:1<<20], 0o755))
		}
	}
	odd := filepath.Join(dir, "odd")
	check(t, os.Mkdir(odd, 0o700))
	for _, size := range []int{0, 1, 4095, 4096, 4097, 128<<10 - 1, 128 << 10, 128<<10 + 1, 300001} {
		check(t, os.WriteFile(filepath.Join(odd, fmt.Sprint("size-", size)), pattern(size), 0o640))
	}
	for _, name := range []string{strings.Repeat("n", 255), " blank", "new\nline", "caf\xe9", "-dash", "*"} {
		check(t, os.WriteFile(filepath.Join(odd, name), []byte(name), 0o444))
	}
	check(t, os.Mkdir(filepath.Join(odd, "empty"), 0o755))
	check(t, os.Symlink("../no where", filepath.Join(odd, "dangling")))
	check(t, os.Symlink(strings.Repeat("x/", 2000)+"x", filepath.Join(odd, "long link")))
	check(t, os.Link(filepath.Join(odd, "size-300001"), filepath.Join(odd, "hard link")))
	check(t, syscall.Mkfifo(filepath.Join(odd, "fifo"), 0o600))
	check(t, os.Chmod(filepath.Join(odd, "size-1"), 0o755|fs.ModeSetuid|fs.ModeSetgid|fs.ModeSticky))
	sparse, err := os.Create(filepath.Join(odd, "sparse"))
	check(t, err)
	_, err = sparse.WriteAt([]byte("in the middle"), 1_000_000)
	check(t, err)
	check(t, sparse.Truncate(3_000_000))
	check(t, sparse.Close())
	t.Chdir(odd) // socket paths are short
	l, err := net.Listen("unix", "socket")
	check(t, err)
	t.Cleanup(func() { l.Close() })
	return dir
}

// pattern returns n bytes that compress, but not to nothing.
func pattern(n int) []byte {
	p := make([]byte, n)
	v := uint32(n)
	for i := range p {
		v = v*1664525 + 1013904223
		p[i] = 'a' + byte(v>>28)
	}
	return p
}

func check(t testing.TB, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}

// listSource returns the entries of a directory of the host by path.
func listSource(t testing.TB, dir string) map[string]entry {
	t.Helper()
	list := map[string]entry{}
	check(t, filepath.WalkDir(dir, func(path string, d fs.DirEntry, err error) error {
		if err != nil {
			return err
		}
		st, err := d.Info()
		if err != nil {
			return err
		}
		sys := st.Sys().(*syscall.Stat_t)
		e := entry{Mode: st.Mode(), UID: sys.Uid, GID: sys.Gid, MTime: uint32(sys.Mtim.Sec), Links: uint32(sys.Nlink)}
		switch e.Mode.Type() {
		case 0:
			b, err := os.ReadFile(path)
			if err != nil {
				return err
			}
			e.Size, e.Sum = int64(len(b)), sha256.Sum256(b)
		case fs.ModeSymlink:
			if e.Text, err = os.Readlink(path); err != nil {
				return err
			}
			e.Size = int64(len(e.Text))
		case fs.ModeDir:
			e.Links = 0 // overlay file systems count differently
		}
		rel, err := filepath.Rel(dir, path)
		list[rel] = e
		return err
	}))
	return list
}

// listImage returns the entries of an image by path. On the way it holds the
// ways to get at the same thing against each other.
func listImage(t testing.TB, r *Reader) map[string]entry {
	t.Helper()
	list := map[string]entry{}
	root, err := r.Inode(r.Root())
	check(t, err)
	var walk func(path string, ino Inode)
	walk = func(path string, ino Inode) {
		list[path] = describe(t, r, path, &ino)
		if ino.Type != Directory {
			return
		}
		var names []string
		var entries []Dirent
		check(t, r.ReadDir(&ino, 0, func(d Dirent, _ Cursor) bool {
			names = append(names, d.Name)
			entries = append(entries, d)
			return true
		}))
		if !slices.IsSorted(names) {
			t.Fatalf("ReadDir(%s) is not sorted", path)
		}
		for _, d := range entries {
			if got, err := r.Lookup(&ino, d.Name); err != nil || got != d {
				t.Fatalf("Lookup(%s, %q) = %+v, %v; want %+v", path, d.Name, got, err, d)
			}
			child, err := r.Inode(d.Ref)
			check(t, err)
			if child.Type != d.Type || child.Number != d.Number || (d.Type == Directory && child.Parent != ino.Number) {
				t.Fatalf("Inode(%s/%s) = %+v in %+v; want type and number of %+v", path, d.Name, child, ino, d)
			}
			walk(filepath.Join(path, d.Name), child)
		}
	}
	walk(".", root)
	return list
}

func describe(t testing.TB, r *Reader, path string, ino *Inode) entry {
	t.Helper()
	e := entry{Mode: ino.Mode(), UID: ino.UID, GID: ino.GID, MTime: ino.MTime, Links: ino.Links, Rdev: ino.Rdev}
	var err error
	switch ino.Type {
	case Regular:
		e.Size = ino.Size
		e.Sum = hashBlocks(t, r, ino)
		h := sha256.New()
		n, err := io.Copy(h, io.NewSectionReader(&file{r: r, ino: *ino}, 0, ino.Size))
		if err != nil || n != ino.Size || !bytes.Equal(h.Sum(nil), e.Sum[:]) {
			t.Fatalf("ReadAt(%s) and blocks differ (%d bytes, %v)", path, n, err)
		}
	case Symlink:
		if e.Text, err = r.Readlink(ino); err != nil {
			t.Fatal(err)
		}
		e.Size = ino.Size
	case Directory:
		e.Links = 0
	}
	var xattrs []string
	check(t, r.Xattrs(ino, func(name string, value []byte) bool {
		xattrs = append(xattrs, fmt.Sprintf("%s=%x", name, sha256.Sum256(value)))
		return true
	}))
	slices.Sort(xattrs)
	e.Xattrs = strings.Join(xattrs, " ")
	if r.Super().ExportTable != noTable {
		if ref, err := r.ByNumber(ino.Number); err != nil || ref != ino.Ref {
			t.Fatalf("ByNumber(%d) = %#x, %v; want %#x", ino.Number, ref, err, ino.Ref)
		}
	}
	return e
}

// hashBlocks hashes a file through Block, Tail and Decode.
func hashBlocks(t testing.TB, r *Reader, ino *Inode) (sum [sha256.Size]byte) {
	t.Helper()
	h := sha256.New()
	buf := make([]byte, r.Super().BlockSize+Slack)
	left := ino.Size
	for i := range r.Blocks(ino) {
		b, err := r.Block(ino, i)
		check(t, err)
		n, err := r.Decode(b, buf)
		check(t, err)
		h.Write(buf[:n])
		left -= int64(n)
	}
	if left > 0 {
		b, off, err := r.Tail(ino)
		check(t, err)
		n, err := r.Decode(b, buf)
		check(t, err)
		h.Write(buf[:n][off : off+int(left)])
	}
	h.Sum(sum[:0])
	return sum
}

// diff reports the first differences of two listings.
func diff(t testing.TB, got, want map[string]entry) {
	t.Helper()
	bad := 0
	for _, path := range slices.Sorted(maps.Keys(want)) {
		if g, ok := got[path]; !ok || !reflect.DeepEqual(g, want[path]) {
			if bad++; bad <= 3 {
				t.Errorf("%q = %+v, %v; want %+v", path, g, ok, want[path])
			}
		}
	}
	for path := range got {
		if _, ok := want[path]; !ok {
			t.Errorf("%q should not be there", path)
		}
	}
	if bad > 3 {
		t.Errorf("%d entries differ", bad)
	}
}
