package fuse

import (
	"bytes"
	"fmt"
	"io"
	"math/rand/v2"
	"os"
	"path/filepath"
	"sync"
	"testing"

	"golang.org/x/sys/unix"
)

// A mounted tree is the tree that the image was made of, whatever the block
// size: small blocks are copied into replies, others are sent from the cache.
func TestTree(t *testing.T) {
	for _, tt := range []struct {
		size int
		args []string
	}{
		{size: 4 << 10},
		{size: 128 << 10},
		{size: 1 << 20},
		{size: 128 << 10, args: []string{"-noD", "-noF", "-noI"}}, // stored blocks
	} {
		t.Run(fmt.Sprint(tt.size>>10, tt.args), func(t *testing.T) {
			src := t.TempDir()
			fillTree(t, src, tt.size)
			args := append([]string{"-comp", "gzip", "-b", fmt.Sprint(tt.size)}, tt.args...)
			m := mountImage(t, openImage(t, mksquashfs(t, src, args...)), Options{})
			compareTrees(t, m.dir, src)
			compareTrees(t, m.dir, src) // from the kernel's caches
			if l := m.log(); len(l) > 0 {
				t.Errorf("log = %q", l)
			}
		})
	}
}

// Device nodes, foreign owners and xattrs are reported as the image has them,
// and owners as Options translate them.
func TestAttributes(t *testing.T) {
	src := t.TempDir()
	must(t, os.WriteFile(filepath.Join(src, "f"), []byte("x"), 0o600))
	xattrs := unix.Setxattr(filepath.Join(src, "f"), "user.note", []byte("some text"), 0) == nil
	img := openImage(t, mksquashfs(t, src, "-comp", "gzip",
		"-p", "null c 666 0 0 1 3", "-p", "disk b 660 0 6 8 300", "-p", "other d 700 4711 4712"))
	uid, gid := uint32(os.Getuid()), uint32(os.Getgid())
	m := mountImage(t, img, Options{
		UID: func(id uint32) uint32 { return uid },
		GID: func(id uint32) uint32 { return gid },
	})
	for _, tt := range []struct {
		name         string
		mode         uint32
		major, minor uint32
	}{
		{"null", unix.S_IFCHR | 0o666, 1, 3},
		{"disk", unix.S_IFBLK | 0o660, 8, 300},
		{"other", unix.S_IFDIR | 0o700, 0, 0},
	} {
		var st unix.Stat_t
		err := unix.Lstat(filepath.Join(m.dir, tt.name), &st)
		if err != nil || st.Mode != tt.mode || st.Rdev != unix.Mkdev(tt.major, tt.minor) || st.Uid != uid || st.Gid != gid {
			t.Errorf("lstat %s: mode %o rdev %d:%d owner %d:%d, %v, want %o %d:%d %d:%d", tt.name, st.Mode,
				unix.Major(st.Rdev), unix.Minor(st.Rdev), st.Uid, st.Gid, err, tt.mode, tt.major, tt.minor, uid, gid)
		}
	}
	if !xattrs {
		t.Log("the temporary directory has no user xattrs")
		return
	}
	f := filepath.Join(m.dir, "f")
	buf := make([]byte, 100)
	for _, tt := range []struct {
		size int // of the buffer
		want string
		err  error
	}{
		{100, "some text", nil},
		{0, "123456789", nil}, // only the length counts
		{3, "", unix.ERANGE},
	} {
		n, err := unix.Getxattr(f, "user.note", buf[:tt.size])
		if err != tt.err || err == nil && n != len(tt.want) || tt.size > 0 && err == nil && string(buf[:n]) != tt.want {
			t.Errorf("getxattr with %d bytes = %d, %v, want %q, %v", tt.size, n, err, tt.want, tt.err)
		}
	}
	if _, err := unix.Getxattr(f, "user.other", buf); err != unix.ENODATA {
		t.Errorf("getxattr of a missing attribute: %v, want ENODATA", err)
	}
	n, err := unix.Listxattr(f, buf)
	if err != nil || string(buf[:n]) != "user.note\x00" {
		t.Errorf("listxattr = %q, %v, want user.note", buf[:max(n, 0)], err)
	}
	if n, err := unix.Listxattr(m.dir, buf); n != 0 || err != nil {
		t.Errorf("listxattr of the root = %d, %v, want none", n, err)
	}
}

// Names that are not there, writes, and other things that cannot be.
func TestRefused(t *testing.T) {
	src := t.TempDir()
	fillTree(t, src, 4096)
	m := mountImage(t, openImage(t, mksquashfs(t, src, "-comp", "gzip", "-no-xattrs")), Options{})
	in := func(name string) string { return filepath.Join(m.dir, name) }
	// The mount is read-only; a writable one gets to the server.
	must(t, unix.Mount("", m.dir, "", unix.MS_REMOUNT|unix.MS_BIND|unix.MS_NOSUID|unix.MS_NODEV, ""))
	var st unix.Stat_t
	f, err := os.Open(in("file6"))
	must(t, err)
	defer f.Close()
	_, ioctl := unix.IoctlGetInt(int(f.Fd()), 0x80086601) // FS_IOC_GETFLAGS, as overlayfs does at copy-up
	for _, tt := range []struct {
		what string
		got  error
		want error
	}{
		{"missing", unix.Lstat(in("nothing"), &st), unix.ENOENT},
		{"missing again", unix.Lstat(in("nothing"), &st), unix.ENOENT},
		{"long name", unix.Lstat(in(string(bytes.Repeat([]byte("n"), 255))), &st), unix.ENOENT},
		{"file as directory", unix.Lstat(in("file1/x"), &st), unix.ENOTDIR},
		{"mkdir", unix.Mkdir(in("new"), 0o755), unix.EROFS},
		{"unlink", unix.Unlink(in("file1")), unix.EROFS},
		{"symlink", unix.Symlink("x", in("new")), unix.EROFS},
		{"link", unix.Link(in("file1"), in("new")), unix.EROFS},
		{"rename", unix.Rename(in("file1"), in("new")), unix.EROFS},
		{"chmod", unix.Chmod(in("file1"), 0o600), unix.EROFS},
		{"truncate", unix.Truncate(in("file1"), 0), unix.EROFS},
		{"setxattr", unix.Setxattr(in("file1"), "user.x", []byte("y"), 0), unix.EROFS},
		{"ioctl", ioctl, unix.ENOTTY},
	} {
		if tt.got != tt.want {
			t.Errorf("%s: %v, want %v", tt.what, tt.got, tt.want)
		}
	}
	if _, err := unix.Getxattr(in("file1"), "user.x", nil); err != unix.EOPNOTSUPP {
		t.Errorf("getxattr in an image without: %v, want EOPNOTSUPP", err)
	}
	var sf unix.Statfs_t
	if err := unix.Statfs(m.dir, &sf); err != nil || sf.Files < 1500 || sf.Bfree != 0 || sf.Namelen != 256 {
		t.Errorf("statfs = %+v, %v", sf, err)
	}
}

// Many readers at a time, with a cache far smaller than what they read.
func TestConcurrentReaders(t *testing.T) {
	const size = 32 << 10
	src := t.TempDir()
	fillTree(t, src, size)
	m := mountImage(t, openImage(t, mksquashfs(t, src, "-comp", "gzip", "-b", fmt.Sprint(size))), Options{CacheBytes: 1})
	var wg sync.WaitGroup
	for g := range 8 {
		wg.Go(func() {
			rng := rand.New(rand.NewPCG(uint64(g), 1))
			for i := 0; i < 300 && !t.Failed(); i++ {
				name := fmt.Sprintf("file%d", 4+rng.IntN(4))
				if rng.IntN(3) == 0 {
					name = "sparse"
				}
				if err := sameAt(m.dir, src, name, rng); err != nil {
					t.Error(err)
				}
			}
		})
	}
	wg.Wait()
}

// sameAt compares a random piece of a file and throws its pages away, so that
// the next read comes to the server.
func sameAt(got, want, name string, rng *rand.Rand) error {
	g, err := os.Open(filepath.Join(got, name))
	if err != nil {
		return err
	}
	defer g.Close()
	wb, err := os.ReadFile(filepath.Join(want, name))
	if err != nil {
		return err
	}
	off := rng.IntN(len(wb))
	n := 1 + rng.IntN(len(wb)-off)
	gb := make([]byte, n)
	if _, err := g.ReadAt(gb, int64(off)); err != nil {
		return err
	}
	if !bytes.Equal(gb, wb[off:off+n]) {
		return fmt.Errorf("%s: %d bytes at %d differ", name, n, off)
	}
	return unix.Fadvise(int(g.Fd()), 0, 0, unix.FADV_DONTNEED)
}

// SEEK_DATA and SEEK_HOLE see the sparse blocks.
func TestSeek(t *testing.T) {
	const size = 4096
	src := t.TempDir()
	fillTree(t, src, size)
	m := mountImage(t, openImage(t, mksquashfs(t, src, "-comp", "gzip", "-b", fmt.Sprint(size))), Options{})
	f, err := os.Open(filepath.Join(m.dir, "sparse")) // 3 blocks of hole, 2 of data, 1 of hole, 10 bytes
	must(t, err)
	defer f.Close()
	for _, tt := range []struct {
		from   int64
		whence int
		want   int64
		err    error
	}{
		{0, unix.SEEK_DATA, 3 * size, nil},
		{0, unix.SEEK_HOLE, 0, nil},
		{size + 5, unix.SEEK_HOLE, size + 5, nil},
		{3*size + 1, unix.SEEK_DATA, 3*size + 1, nil},
		{3 * size, unix.SEEK_HOLE, 5 * size, nil},
		{5 * size, unix.SEEK_DATA, 6 * size, nil},
		{6*size + 3, unix.SEEK_HOLE, 6*size + 10, nil},
		{6*size + 10, unix.SEEK_DATA, 0, unix.ENXIO},
		{6*size + 10, io.SeekEnd, 12*size + 20, nil},
	} {
		got, err := unix.Seek(int(f.Fd()), tt.from, tt.whence)
		if err != tt.err || err == nil && got != tt.want {
			t.Errorf("seek(%d, %d) = %d, %v, want %d, %v", tt.from, tt.whence, got, err, tt.want, tt.err)
		}
	}
}
