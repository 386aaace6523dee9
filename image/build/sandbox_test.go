package build

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"
	"testing"

	"coracle/image/record"
	"coracle/image/sif"
	"coracle/squash"

	"golang.org/x/sys/unix"
)

// strange writes a SIF file with all that an ordinary user cannot have on disk.
func strange(t *testing.T, xattrs bool) string {
	t.Helper()
	f, err := os.Create(filepath.Join(t.TempDir(), "strange.sif"))
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	file := sif.NewWriter(f, &sif.WriterOptions{Time: 1700000001})
	w, err := squash.NewWriter(&offsetWriter{f, file.Partition()}, &squash.WriterOptions{MTime: 1700000001})
	if err != nil {
		t.Fatal(err)
	}
	defer w.Close()
	tick := int64(1000000000)
	node := func(name string, kind squash.Type, perm uint16, uid, gid uint32, kids ...*squash.Node) *squash.Node {
		tick += 86400
		n := &squash.Node{Name: name, Type: kind, Perm: perm, UID: uid, GID: gid, MTime: tick, Children: kids}
		if kind == squash.Regular {
			if n.Data, err = w.File(strings.NewReader(strings.Repeat(name, 3000)), int64(3000*len(name))); err != nil {
				t.Fatal(err)
			}
		}
		return n
	}
	dev := func(name string, kind squash.Type, perm uint16, major, minor uint32) *squash.Node {
		n := node(name, kind, perm, 0, 6)
		n.Rdev, _ = squash.Rdev(major, minor)
		return n
	}
	link := func(name, to string, uid uint32) *squash.Node {
		n := node(name, squash.Symlink, 0o777, uid, uid)
		n.Target = to
		return n
	}
	with := func(n *squash.Node, list ...string) *squash.Node {
		for i := 0; xattrs && i < len(list); i += 2 {
			n.Xattrs = append(n.Xattrs, squash.Xattr{Name: list[i], Value: []byte(list[i+1])})
		}
		return n
	}
	// Files are written in the order of their names.
	bin := node("bin", squash.Directory, 0o755, 0, 0,
		with(node("ping", squash.Regular, 0o755, 0, 0), "security.capability", "\x01\x00\x00\x02\x00\x20\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00"),
		node("su", squash.Regular, 0o4755, 0, 0), node("wall", squash.Regular, 0o2111, 0, 5))
	hidden := with(node("hidden", squash.Regular, 0, 42, 42), "user.rootlesscontainers", "\x08\x07", "user.coracle.mode", "777", "trusted.x", "", "user.mine", "m")
	home := node("home", squash.Directory, 0o2570, 1000, 1000,
		node("a file", squash.Regular, 0o444, 1000, 1000), link("l", "a file", 1000), node("pipe", squash.Fifo, 0o620, 1000, 5),
		node("sock", squash.Socket, 0o777, 0, 0), node("zero", squash.Directory, 0, 100000, 4294967294))
	first := node("x1", squash.Regular, 0o600, 70000, 0)
	root := node("", squash.Directory, 0o751, 3, 4, bin,
		node("dev", squash.Directory, 0o755, 0, 0, dev("null", squash.CharDevice, 0o666, 1, 3), dev("sda", squash.BlockDevice, 0o060, 8, 300), dev("w", squash.CharDevice, 0, 0, 0)),
		hidden, home, link("root's", "/home", 0), with(node("tmp", squash.Directory, 0o1777, 0, 0), "user.d", "v", "security.x", "y"),
		first, &squash.Node{Name: "x2", Link: first})
	root.Children = append(root.Children, &squash.Node{Name: "another l", Link: home.Children[1]}, &squash.Node{Name: "null2", Link: root.Children[1].Children[0]})
	size, err := w.Finish(root)
	if err == nil {
		size, err = file.Finish("Root", "amd64", size)
	}
	if err == nil {
		err = f.Truncate(size)
	}
	if err != nil {
		t.Fatal(err)
	}
	return f.Name()
}

// unpackedBox unpacks an image into a new directory.
func unpackedBox(t *testing.T, from string, privileged bool) string {
	t.Helper()
	dir, err := os.MkdirTemp(t.TempDir(), "box")
	if err != nil {
		t.Fatal(err)
	}
	root, err := os.OpenRoot(dir)
	if err != nil {
		t.Fatal(err)
	}
	defer root.Close()
	if _, err := unpack(context.Background(), read(t, from), root, privileged); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		filepath.WalkDir(dir, func(path string, d os.DirEntry, _ error) error {
			if d != nil && d.IsDir() {
				os.Chmod(path, 0o700)
			}
			return nil
		})
	})
	return dir
}

// partition returns the bytes of an image's file system.
func partition(t *testing.T, path string) []byte {
	t.Helper()
	img := read(t, path)
	b := make([]byte, img.Size)
	f, err := os.Open(path)
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	if _, err := f.ReadAt(b, img.Offset); err != nil {
		t.Fatal(err)
	}
	return b
}

// listing is what unsquashfs, which is not ours, says of an image.
func listing(t *testing.T, path string) string {
	t.Helper()
	out, err := exec.Command("unsquashfs", "-o", fmt.Sprint(read(t, path).Offset), "-llnumeric", path).CombinedOutput()
	if err != nil {
		return err.Error()
	}
	return string(out)
}

// An image that is unpacked and packed again is the same, byte for byte, whoever does it.
func TestSandboxRoundTrip(t *testing.T) {
	for _, xattrs := range []bool{false, true} {
		from := strange(t, xattrs)
		want, err := repack(t, from, nil)
		if err != nil {
			t.Fatal(err)
		}
		for _, privileged := range []bool{false, true} {
			if privileged && os.Geteuid() != 0 {
				continue
			}
			dir := unpackedBox(t, from, privileged)
			for _, dir := range []string{dir, unpackedBox(t, dir, privileged), unpackedBox(t, dir, os.Geteuid() == 0)} { // and copies of it
				got, err := repack(t, dir, nil)
				if err != nil {
					t.Fatal(err)
				}
				if !bytes.Equal(partition(t, got), partition(t, want)) {
					t.Errorf("xattrs %v, privileged %v: the image has changed:\n%s\nwant\n%s", xattrs, privileged, listing(t, got), listing(t, want))
				}
				if was, is := read(t, want).SIF.Header.Created, read(t, got).SIF.Header.Created; is != was {
					t.Errorf("made at %d, want %d", is, was)
				}
			}
		}
	}
}

// What stands on disk gives nothing away, and what is done to it counts.
func TestSandboxChanged(t *testing.T) {
	dir := unpackedBox(t, strange(t, true), false)
	var st unix.Stat_t
	for path, mode := range map[string]uint32{
		"bin/su": unix.S_IFREG | 0o755, "bin/wall": unix.S_IFREG | 0o511, "hidden": unix.S_IFREG | 0o400, "dev/null": unix.S_IFREG | 0o666,
		"home": unix.S_IFDIR | 0o770, "home/pipe": unix.S_IFIFO | 0o620, "home/sock": unix.S_IFSOCK | 0o777, "tmp": unix.S_IFDIR | 0o1777,
	} {
		if err := unix.Lstat(filepath.Join(dir, path), &st); err != nil || st.Mode != mode || int(st.Uid) != os.Geteuid() {
			t.Errorf("%s: mode %o, uid %d, %v; want %o, our own", path, st.Mode, st.Uid, err, mode)
		}
	}
	name := func(s string) string { return filepath.Join(dir, s) }
	err := errors.Join(
		os.Chmod(name("bin/su"), 0o700),
		os.WriteFile(name("dev/null"), []byte("x"), 0o666), os.Remove(name("home/l")), os.Symlink("new", name("home/l2")), os.Remove(name("home/pipe")),
		os.WriteFile(name("home/pipe"), nil, 0o644), os.Rename(name("bin/wall"), name("wall")),
		os.Mkdir(name("point"), 0o755), os.Mkdir(name("point/in"), 0o755), os.Mkdir(name("used"), 0o755),
		os.WriteFile(name("file"), nil, 0o644), os.WriteFile(name("used/file"), []byte("x"), 0o644),
	)
	for _, p := range []string{"point", "point/in", "used", "file", "used/file"} {
		err = errors.Join(err, unix.Setxattr(name(p), record.PointAttr, nil, 0))
	}
	if err != nil {
		t.Fatal(err)
	}
	path, err := repack(t, dir, nil)
	if err != nil {
		t.Fatal(err)
	}
	img := read(t, path)
	for _, tt := range []struct {
		path string
		kind squash.Type
		perm uint16
		uid  uint32
	}{
		{"/bin/su", squash.Regular, 0o700, 0}, // whose mode has been changed since
		{"/dev/null", squash.Regular, 0o666, 0},
		{"/home/pipe", squash.Regular, 0o644, 0}, // another file than the one that is recorded
		{"/home", squash.Directory, 0o2570, 1000},
		{"/wall", squash.Regular, 0o2111, 0}, // records move with their file
		{"/used/file", squash.Regular, 0o644, 0},
	} {
		ino, err := img.Squash.Walk(tt.path)
		if err != nil || ino.Type != tt.kind || ino.Perm != tt.perm || os.Geteuid() != 0 && ino.UID != tt.uid {
			t.Errorf("%s: %+v, %v; want %+v", tt.path, ino, err, tt)
		}
	}
	for _, gone := range []string{"/point", "/file", "/home/l", "/" + record.SpecName} {
		if ino, err := img.Squash.Walk(gone); !errors.Is(err, syscall.ENOENT) && err == nil {
			t.Errorf("%s: %+v, want nothing", gone, ino)
		}
	}
}

// Records that somebody has written by hand, or an image from outside.
func TestSandboxDamaged(t *testing.T) {
	for _, spoil := range []func(dir string) error{
		func(dir string) error {
			return os.WriteFile(filepath.Join(dir, record.SpecName), []byte("./a type=door\n"), 0o644)
		},
		func(dir string) error { return os.Symlink("/etc/passwd", filepath.Join(dir, record.SpecName)) },
		func(dir string) error { return unix.Setxattr(dir, record.OwnerAttr, []byte{8}, 0) },
		func(dir string) error { return unix.Setxattr(dir, record.CreatedAttr, []byte("yesterday"), 0) },
	} {
		dir := t.TempDir()
		if err := spoil(dir); err != nil {
			t.Fatal(err)
		}
		if path, err := repack(t, dir, nil); err == nil {
			t.Errorf("%s of %s", path, dir)
		}
	}
}

// A copy of a directory leaves mount points out and joins names of one file again; what changes meanwhile is an error.
func TestSandboxCopy(t *testing.T) {
	from := t.TempDir()
	name := func(s string) string { return filepath.Join(from, s) }
	big := bytes.Repeat([]byte("0123456789abcdef"), 200_000)
	err := errors.Join(
		os.WriteFile(name("big"), big, 0o640), os.Link(name("big"), name("too")), os.WriteFile(name("point"), nil, 0o644),
		unix.Setxattr(name("point"), record.PointAttr, nil, 0), unix.Setxattr(name("big"), "user.mine", []byte("m"), 0),
	)
	if err != nil {
		t.Fatal(err)
	}
	dir := unpackedBox(t, from, false)
	var one, two unix.Stat_t
	if err := errors.Join(unix.Lstat(filepath.Join(dir, "big"), &one), unix.Lstat(filepath.Join(dir, "too"), &two)); err != nil || one.Ino != two.Ino || one.Mode != unix.S_IFREG|0o640 {
		t.Errorf("big is %+v, too is %+v, %v; want one file", one, two, err)
	}
	if got, err := os.ReadFile(filepath.Join(dir, "big")); !bytes.Equal(got, big) {
		t.Errorf("%d bytes, %v; want the %d of the source", len(got), err, len(big))
	}
	if left, err := os.ReadDir(dir); len(left) != 2 {
		t.Errorf("%v, %v; want big and too", left, err)
	}
	if x := hostXattrs(filepath.Join(dir, "too")); len(x) != 1 || x[0].Name != "user.mine" {
		t.Errorf("attributes %v, want user.mine", x)
	}

	s, err := newHostSource(context.Background(), from, hostRecord{})
	if err != nil {
		t.Fatal(err)
	}
	ino, err := s.Inode(1)
	if err != nil || ino.Size != int64(len(big)) {
		t.Fatalf("Inode(1) = %+v, %v; want big", ino, err)
	}
	if err := os.Truncate(name("big"), 5); err != nil {
		t.Fatal(err)
	}
	if n, err := s.ReadAt(&ino, make([]byte, 8), 0); n != 5 || !errors.Is(err, errChanged) {
		t.Errorf("ReadAt = %d, %v; want 5, %v", n, err, errChanged)
	}
	if err := errors.Join(os.Remove(name("big")), os.Symlink("too", name("big"))); err != nil {
		t.Fatal(err)
	}
	if _, err := s.Inode(1); !errors.Is(err, errChanged) {
		t.Errorf("Inode(1) = %v, want %v", err, errChanged)
	}
}
