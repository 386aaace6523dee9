package squash

import (
	"bytes"
	"crypto/sha256"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"syscall"
	"testing"
	"time"

	"golang.org/x/sys/unix"
)

// needRoot skips a test that only root can run.
func needRoot(t testing.TB, what string) {
	t.Helper()
	if os.Geteuid() != 0 {
		t.Skipf("%s needs root", what)
	}
}

// needFUSE skips a test where nobody can mount with FUSE. In CI (CORACLE_CI=1)
// that is a failure.
func needFUSE(t testing.TB) {
	t.Helper()
	_, noHelper := exec.LookPath("fusermount3")
	f, noDevice := os.OpenFile("/dev/fuse", os.O_RDWR, 0)
	if noDevice == nil {
		f.Close()
	}
	if err := errors.Join(noHelper, noDevice); err != nil && os.Getenv("CORACLE_CI") != "1" {
		t.Skipf("no FUSE: %v", err)
	}
}

// listHost is listSource with attributes and device numbers.
func listHost(t testing.TB, dir string) map[string]entry {
	t.Helper()
	list := listSource(t, dir)
	for rel, e := range list {
		path := filepath.Join(dir, rel)
		var st unix.Stat_t
		check(t, unix.Lstat(path, &st))
		if st.Mode&unix.S_IFMT == unix.S_IFCHR || st.Mode&unix.S_IFMT == unix.S_IFBLK {
			rdev, ok := Rdev(unix.Major(st.Rdev), unix.Minor(st.Rdev))
			if !ok {
				t.Fatalf("%s: device %#x", path, st.Rdev)
			}
			e.Rdev = rdev
		}
		var words []string
		for _, a := range hostXattrs(t, path) {
			words = append(words, fmt.Sprintf("%s=%x", a.Name, sha256.Sum256(a.Value)))
		}
		slices.Sort(words)
		e.Xattrs = strings.Join(words, " ")
		list[rel] = e
	}
	return list
}

// hostXattrs returns the attributes of a file of the host.
func hostXattrs(t testing.TB, path string) (list []Xattr) {
	t.Helper()
	names := make([]byte, 64<<10)
	n, err := unix.Llistxattr(path, names)
	if err == unix.ENOTSUP {
		return nil
	}
	check(t, err)
	for _, name := range strings.Split(strings.TrimRight(string(names[:n]), "\x00"), "\x00") {
		if !XattrStorable(name) { // POSIX access control lists of the host's file system
			continue
		}
		value := make([]byte, 64<<10)
		n, err := unix.Lgetxattr(path, name, value)
		check(t, err)
		list = append(list, Xattr{name, value[:n]})
	}
	return list
}

// imageFile writes a tree to an image file and returns its path.
func imageFile(t testing.TB, o WriterOptions, fill func(w *Writer) *Node) string {
	t.Helper()
	img := filepath.Join(t.TempDir(), "img")
	f, err := os.Create(img)
	check(t, err)
	defer f.Close()
	w, err := NewWriter(f, &o)
	check(t, err)
	defer w.Close()
	size, err := w.Finish(fill(w))
	check(t, err)
	check(t, f.Truncate(size))
	check(t, f.Close())
	return img
}

// oddImage writes the tree of all kinds of entries.
func oddImage(t testing.TB, o WriterOptions, long int) (img string, want map[string]entry) {
	t.Helper()
	img = imageFile(t, o, func(w *Writer) *Node {
		tree := oddTree(t, w, long)
		want = tree.want
		return tree.root
	})
	return img, want
}

// unsquashfs extracts what was written. Only root gets owners and devices.
func TestUnsquashfs(t *testing.T) {
	needTool(t, "unsquashfs")
	needRoot(t, "extracting with owners")
	for _, o := range allOptions() {
		t.Run(fmt.Sprintf("%v_%dK", o.Compression, o.BlockSize>>10), func(t *testing.T) {
			img, want := oddImage(t, o, 1000) // ext4 has little room for attributes
			dir := filepath.Join(t.TempDir(), "out")
			run(t, nil, "unsquashfs", "-no-progress", "-dest", dir, img)
			diff(t, listHost(t, dir), want)
		})
	}
}

// unsquashfs lists modes, owners, sizes and times.
func TestUnsquashfsList(t *testing.T) {
	needTool(t, "unsquashfs")
	for _, o := range allOptions() {
		t.Run(fmt.Sprintf("%v_%dK", o.Compression, o.BlockSize>>10), func(t *testing.T) {
			img, want := oddImage(t, o, 64<<10)
			out, err := exec.Command("unsquashfs", "-lln", "-UTC", img).Output()
			check(t, err)
			for path, e := range want {
				if path != "." && !bytes.Contains(out, []byte(listLine(path, e))) {
					t.Errorf("no line %q in\n%s", listLine(path, e), out)
					break
				}
			}
			if n := bytes.Count(out, []byte("squashfs-root/")); n != len(want)-1 {
				t.Errorf("%d lines, want %d", n, len(want)-1)
			}
		})
	}
}

// listLine returns the end of the line that unsquashfs -lln has for an entry:
// from its owner on, whose column ends with the size.
func listLine(path string, e entry) string {
	when := time.Unix(int64(e.MTime), 0).UTC().Format("2006-01-02 15:04")
	line := fmt.Sprintf(" %s squashfs-root/%s", when, path)
	switch e.Mode.Type() {
	case fs.ModeSymlink:
		return fmt.Sprintf(" %d%s -> %s\n", len(e.Text), line, e.Text)
	case 0:
		return fmt.Sprintf(" %d%s\n", e.Size, line)
	}
	return line + "\n"
}

// The kernel mounts what was written and agrees with every entry.
func TestKernel(t *testing.T) {
	needRoot(t, "a loop mount")
	for _, o := range allOptions() {
		t.Run(fmt.Sprintf("%v_%dK", o.Compression, o.BlockSize>>10), func(t *testing.T) {
			if !kernelReads(t, o.Compression.Compressor) {
				t.Skipf("this kernel has no %v", o.Compression.Compressor)
			}
			img, want := oddImage(t, o, 64<<10)
			dir := mountLoop(t, img)
			diff(t, listHost(t, dir), want)
			for name := range want { // lookups by name that find nothing
				if _, err := os.Lstat(filepath.Join(dir, name+"~")); err == nil {
					t.Errorf("%q is there", name+"~")
				}
			}
		})
	}
}

// kernelReads asks the kernel's configuration; where there is none, a mount
// will tell.
func kernelReads(t testing.TB, c Compressor) bool {
	name := map[Compressor]string{XZ: "XZ", LZ4: "LZ4", Zstd: "ZSTD", 0: "ZSTD"}[c]
	var u unix.Utsname
	check(t, unix.Uname(&u))
	config, err := os.ReadFile("/boot/config-" + unix.ByteSliceToString(u.Release[:]))
	return err != nil || name == "" || bytes.Contains(config, []byte("CONFIG_SQUASHFS_"+name+"=y"))
}

// mountLoop mounts an image with the kernel until the test ends.
func mountLoop(t testing.TB, img string) string {
	t.Helper()
	dir := t.TempDir()
	out, err := exec.Command("mount", "-t", "squashfs", "-o", "loop,ro,nosuid,nodev", img, dir).CombinedOutput()
	if err != nil && bytes.Contains(out, []byte("loop device")) {
		t.Skipf("no loop devices: %s", out)
	}
	if err != nil {
		t.Fatalf("mount: %v\n%s", err, out)
	}
	t.Cleanup(func() { check(t, unix.Unmount(dir, 0)) })
	return dir
}

// squashfuse reads what was written. It gives every name an inode of its own.
func TestSquashfuse(t *testing.T) {
	needTool(t, "squashfuse")
	for _, o := range allOptions() {
		t.Run(fmt.Sprintf("%v_%dK", o.Compression, o.BlockSize>>10), func(t *testing.T) {
			img, want := oddImage(t, o, 64<<10)
			dir := t.TempDir()
			if out, err := exec.Command("squashfuse", "-o", "ro", img, dir).CombinedOutput(); err != nil {
				needFUSE(t)
				t.Fatalf("squashfuse: %v\n%s", err, out)
			}
			t.Cleanup(func() { unmountFUSE(t, dir) })
			got := listSource(t, dir)
			for path, e := range want {
				g, ok := got[path]
				if !ok || g.Size != e.Size || g.Sum != e.Sum || g.Mode != e.Mode || g.MTime != e.MTime || g.UID != e.UID || g.Links != e.Links && !e.Mode.IsRegular() {
					t.Errorf("%q = %+v, %v; want %+v", path, g, ok, e)
				}
			}
			if len(got) != len(want) {
				t.Errorf("%d entries, want %d", len(got), len(want))
			}
		})
	}
}

// unmountFUSE unmounts another program's FUSE mount: root by itself, others
// with the program that mounted it for them.
func unmountFUSE(t testing.TB, dir string) {
	if unix.Unmount(dir, 0) == nil {
		return
	}
	if out, err := exec.Command("fusermount3", "-u", dir).CombinedOutput(); err != nil {
		t.Errorf("fusermount3: %v\n%s", err, out)
	}
}

// fillHost completes nodes from the host's files.
func fillHost(t testing.TB, dir string) FillNode {
	return func(name string, info fs.FileInfo, n *Node) (any, error) {
		st := info.Sys().(*syscall.Stat_t)
		n.UID, n.GID = st.Uid, st.Gid
		n.Xattrs = hostXattrs(t, filepath.Join(dir, name))
		if st.Nlink > 1 {
			return [2]uint64{st.Dev, st.Ino}, nil
		}
		return nil, nil
	}
}

// Images are at most 2 % larger than those of mksquashfs with the same
// settings.
func TestSize(t *testing.T) {
	if testing.Short() {
		t.Skip("takes seconds")
	}
	dir := sourceTree(t)
	check(t, os.Remove(filepath.Join(dir, "odd", "caf\xe9"))) // io/fs wants UTF-8
	for _, tt := range []struct {
		comp, args string // the same, for us and for mksquashfs
		o          WriterOptions
	}{
		{comp: "gzip:9", args: "-comp gzip -Xcompression-level 9"},
		{comp: "gzip:6", args: "-comp gzip -Xcompression-level 6 -b 1M", o: WriterOptions{BlockSize: 1 << 20}},
		{comp: "gzip:1", args: "-comp gzip -Xcompression-level 1 -b 32K", o: WriterOptions{BlockSize: 32 << 10}},
		{comp: "zstd:3", args: "-comp zstd -Xcompression-level 3"},
		{comp: "zstd:15", args: "-comp zstd -Xcompression-level 15 -always-use-fragments", o: WriterOptions{AlwaysFragments: true}},
		{comp: "zstd:1", args: "-comp zstd -Xcompression-level 1 -no-fragments", o: WriterOptions{NoFragments: true}},
		{comp: "xz", args: "-comp xz -b 256K", o: WriterOptions{BlockSize: 256 << 10}},
		{comp: "lz4", args: "-comp lz4 -no-duplicates", o: WriterOptions{NoDuplicates: true}},
		{comp: "lz4:12", args: "-comp lz4 -Xhc -no-exports", o: WriterOptions{NoExport: true}},
		{comp: "none", args: "-noI -noD -noF -noX"},
	} {
		t.Run(tt.args, func(t *testing.T) {
			theirs := len(makeImage(t, dir, strings.Fields(tt.args)...))
			var err error
			tt.o.Compression, err = ParseCompression(tt.comp)
			check(t, err)
			tt.o.Workers = 2
			ours := write(t, tt.o, func(w *Writer) *Node {
				root, err := w.Tree(os.DirFS(dir), fillHost(t, dir))
				check(t, err)
				return root
			})
			diff(t, listImage(t, openImage(t, ours)), listSource(t, dir))
			if len(ours)*100 > theirs*102 {
				t.Errorf("%d bytes, mksquashfs %d: %.1f %%", len(ours), theirs, 100*float64(len(ours))/float64(theirs))
			}
		})
	}
}
