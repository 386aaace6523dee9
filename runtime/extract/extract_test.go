package extract

import (
	"bytes"
	"context"
	"errors"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"coracle/squash"

	"golang.org/x/sys/unix"
)

// memory is an image that is being written.
type memory struct{ b []byte }

func (m *memory) WriteAt(p []byte, off int64) (int, error) {
	if need := int(off) + len(p); need > len(m.b) {
		m.b = append(m.b, make([]byte, need-len(m.b))...)
	}
	return copy(m.b[off:], p), nil
}

// image makes an image without compression of the nodes that fill returns.
func image(t testing.TB, fill func(file func(contents []byte) squash.Data) []*squash.Node) []byte {
	t.Helper()
	var m memory
	w, err := squash.NewWriter(&m, &squash.WriterOptions{BlockSize: 4096, Compression: squash.Compression{None: true}})
	if err != nil {
		t.Fatal(err)
	}
	defer w.Close()
	file := func(contents []byte) squash.Data {
		d, err := w.File(bytes.NewReader(contents), int64(len(contents)))
		if err != nil {
			t.Fatal(err)
		}
		return d
	}
	size, err := w.Finish(&squash.Node{Type: squash.Directory, Perm: 0o755, MTime: 1e9, Children: fill(file)})
	if err != nil {
		t.Fatal(err)
	}
	return m.b[:size]
}

// tree extracts an image into a new directory.
func tree(t testing.TB, img []byte, o *Options) (string, error) {
	t.Helper()
	r, err := squash.Open(bytes.NewReader(img), int64(len(img)), nil)
	if err != nil {
		return "", err
	}
	dir := filepath.Join(t.TempDir(), "tree")
	if err := os.Mkdir(dir, 0o700); err != nil {
		t.Fatal(err)
	}
	fd, err := unix.Open(dir, unix.O_RDONLY|unix.O_DIRECTORY|unix.O_CLOEXEC, 0)
	if err != nil {
		t.Fatal(err)
	}
	defer unix.Close(fd)
	return dir, Tree(context.Background(), r, fd, o)
}

func TestTree(t *testing.T) {
	long := bytes.Repeat([]byte("0123456789abcde\n"), 100_000) // more than one job
	holes := append(make([]byte, 1<<20), "end"...)
	img := image(t, func(file func([]byte) squash.Data) []*squash.Node {
		first := &squash.Node{Name: "first", Type: squash.Regular, Perm: 0o640, MTime: 1e9 + 1, Data: file([]byte("linked"))}
		return []*squash.Node{
			{Name: "dir", Type: squash.Directory, Perm: 0o555, MTime: 1e9 + 2, Children: []*squash.Node{
				first,
				{Name: "shut", Type: squash.Directory, Perm: 0, MTime: 5, Children: []*squash.Node{{Name: "x", Type: squash.Regular, Perm: 0, Data: file(nil)}}},
			}},
			{Name: "again", Link: first},
			{Name: "long", Type: squash.Regular, Perm: 0o755, Data: file(long)},
			{Name: "holes", Type: squash.Regular, Perm: 0o644, Data: file(holes)},
			{Name: "setuid", Type: squash.Regular, Perm: 0o6011, Data: file([]byte("#!"))},
			{Name: "out", Type: squash.Symlink, Target: "/etc/passwd", MTime: 77},
			{Name: "fifo", Type: squash.Fifo, Perm: 0o600},
			{Name: "gone", Type: squash.CharDevice, Perm: 0o600},
			{Name: "null", Type: squash.CharDevice, Perm: 0o666, Rdev: 1<<8 | 3},
			{Name: "socket", Type: squash.Socket, Perm: 0o666},
		}
	})
	dir, err := tree(t, img, &Options{})
	if err != nil {
		t.Fatalf("Tree: %v", err)
	}
	for _, tt := range []struct {
		name  string
		mode  os.FileMode
		mtime int64 // 0: any
	}{
		{"", os.ModeDir | 0o755, 1e9},
		{"dir", os.ModeDir | 0o755, 1e9 + 2}, // the caller may write, or could not remove what is in it
		{"dir/first", 0o640, 1e9 + 1},
		{"dir/shut", os.ModeDir | 0o700, 5},
		{"dir/shut/x", 0o400, 0},
		{"again", 0o640, 1e9 + 1},
		{"long", 0o755, 0},
		{"setuid", 0o511, 0},
		{"out", os.ModeSymlink | 0o777, 77},
		{"fifo", os.ModeNamedPipe | 0o600, 0},
		{"gone", os.ModeDevice | os.ModeCharDevice | 0o600, 0},
	} {
		fi, err := os.Lstat(filepath.Join(dir, tt.name))
		if err != nil || fi.Mode() != tt.mode || tt.mtime != 0 && fi.ModTime().Unix() != tt.mtime {
			t.Errorf("%q: %v, %v; want mode %v, time %d", tt.name, fi, err, tt.mode, tt.mtime)
		}
	}
	for name, want := range map[string][]byte{"again": []byte("linked"), "long": long, "holes": holes} {
		if got, err := os.ReadFile(filepath.Join(dir, name)); err != nil || !bytes.Equal(got, want) {
			t.Errorf("%s: %d bytes, %v; want the image's %d", name, len(got), err, len(want))
		}
	}
	var st, other unix.Stat_t
	if err := errors.Join(unix.Stat(filepath.Join(dir, "holes"), &st)); err != nil || st.Blocks*512 > 64<<10 {
		t.Errorf("holes takes %d blocks, %v", st.Blocks, err)
	}
	unix.Stat(filepath.Join(dir, "again"), &st)
	unix.Stat(filepath.Join(dir, "dir/first"), &other)
	if st.Ino != other.Ino {
		t.Error("again and dir/first are two files, want one")
	}
	for _, name := range []string{"null", "socket"} {
		if _, err := os.Lstat(filepath.Join(dir, name)); !os.IsNotExist(err) {
			t.Errorf("%s was made: %v", name, err)
		}
	}
}

// A name that is there twice, first as a symlink that leads out of the directory, then as a directory or a file: whoever followed
// the first one would write outside.
func TestTreeHostile(t *testing.T) {
	outside := t.TempDir()
	img := image(t, func(file func([]byte) squash.Data) []*squash.Node {
		data := file([]byte("evil"))
		return []*squash.Node{
			{Name: "sub-1", Type: squash.Symlink, Target: outside},
			{Name: "sub-2", Type: squash.Directory, Perm: 0o755, Children: []*squash.Node{{Name: "evil", Type: squash.Regular, Perm: 0o644, Data: data}}},
			{Name: "txt-1", Type: squash.Symlink, Target: outside + "/evil"},
			{Name: "txt-2", Type: squash.Regular, Perm: 0o644, Data: data},
		}
	})
	for _, name := range []string{"sub", "txt"} {
		bad := bytes.Replace(img, []byte(name+"-2"), []byte(name+"-1"), 1)
		if bytes.Equal(bad, img) {
			t.Fatal("the name is not in the image as it is")
		}
		if _, err := tree(t, bad, &Options{}); !errors.Is(err, unix.EEXIST) || !strings.HasPrefix(err.Error(), "/"+name+"-1: ") {
			t.Errorf("Tree with %s-1 twice: %v, want /%s-1: %v", name, err, name, unix.EEXIST)
		}
	}
	if left, _ := os.ReadDir(outside); len(left) > 0 {
		t.Errorf("something was made outside: %v", left)
	}
}

func TestTreeEnds(t *testing.T) {
	img := image(t, func(file func([]byte) squash.Data) []*squash.Node {
		return []*squash.Node{{Name: "x", Type: squash.Regular, Perm: 0o644, Data: file(make([]byte, 1<<20))}}
	})
	r, err := squash.Open(bytes.NewReader(img), int64(len(img)), nil)
	if err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(context.Background())
	cancel()
	if err := Tree(ctx, r, unix.AT_FDCWD, &Options{}); !errors.Is(err, context.Canceled) {
		t.Errorf("Tree without a client: %v, want %v", err, context.Canceled)
	}
	if _, err := os.Lstat("x"); err == nil {
		t.Error("Tree went on")
	}
}

func TestMeasure(t *testing.T) {
	img := image(t, func(file func([]byte) squash.Data) []*squash.Node {
		first := &squash.Node{Name: "first", Type: squash.Regular, Perm: 0o640, Data: file(bytes.Repeat([]byte("x"), 9000))}
		return []*squash.Node{
			first,
			{Name: "second", Link: first},
			{Name: "holes", Type: squash.Regular, Perm: 0o644, Data: file(append(make([]byte, 1<<20), 1))},
		}
	})
	r, err := squash.Open(bytes.NewReader(img), int64(len(img)), nil)
	if err != nil {
		t.Fatal(err)
	}
	// The root, three entries, 9000 bytes once, and one byte behind the holes.
	want := Total{Bytes: 4096 + 3*512 + 12288 + 4096, Entries: 3}
	if got, err := Measure(context.Background(), r); got != want || err != nil {
		t.Errorf("Measure = %+v, %v; want %+v", got, err, want)
	}
}

// FuzzTree extracts damaged images: nothing outside of the directory may be touched, and the end must come.
func FuzzTree(f *testing.F) {
	img := image(f, func(file func([]byte) squash.Data) []*squash.Node {
		first := &squash.Node{Name: "first", Type: squash.Regular, Perm: 0o640, Data: file([]byte("linked"))}
		return []*squash.Node{
			first, {Name: "second", Link: first},
			{Name: "dir", Type: squash.Directory, Perm: 0o755, Children: []*squash.Node{{Name: "up", Type: squash.Symlink, Target: ".."}}},
			{Name: "long", Type: squash.Regular, Perm: 0o644, Data: file(bytes.Repeat([]byte("y"), 10000)), Xattrs: []squash.Xattr{{Name: "user.k", Value: []byte("v")}}},
		}
	})
	for at := 0; at < len(img); at += 37 {
		f.Add(uint32(at), byte(0x5a), uint32(len(img)-at), byte(1))
	}
	f.Fuzz(func(t *testing.T, at1 uint32, x1 byte, at2 uint32, x2 byte) {
		bad := bytes.Clone(img)
		bad[int(at1)%len(bad)] ^= x1
		bad[int(at2)%len(bad)] ^= x2
		r, err := squash.Open(bytes.NewReader(bad), int64(len(bad)), nil)
		if err != nil {
			return
		}
		ctx, cancel := context.WithTimeout(context.Background(), 20*time.Second)
		defer cancel()
		if total, err := Measure(ctx, r); err != nil || total.Bytes > 64<<20 {
			return // as a server does
		}
		dir, _ := tree(t, bad, &Options{})
		if ctx.Err() != nil {
			t.Fatal("no end")
		}
		if all, _ := os.ReadDir(filepath.Dir(dir)); len(all) > 1 {
			t.Fatalf("something was made beside the directory: %v", all)
		}
	})
}
