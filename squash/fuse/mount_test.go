package fuse

import (
	"bytes"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"strings"
	"sync"
	"testing"
	"time"

	"golang.org/x/sys/unix"

	"coracle/squash"
)

// mksquashfs makes an image of the directory src.
func mksquashfs(t testing.TB, src string, args ...string) string {
	t.Helper()
	path, err := exec.LookPath("mksquashfs")
	if err != nil {
		skip(t, "mksquashfs is not installed (package squashfs-tools)")
	}
	image := filepath.Join(t.TempDir(), "image.sqfs")
	args = append([]string{src, image, "-noappend", "-quiet", "-no-progress"}, args...)
	if out, err := exec.Command(path, args...).CombinedOutput(); err != nil {
		t.Fatalf("mksquashfs %q: %v\n%s", args, err, out)
	}
	return image
}

// openImage opens an image file for reading until the test ends.
func openImage(t testing.TB, path string) *squash.Reader {
	t.Helper()
	f, err := os.Open(path)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { f.Close() })
	st, err := f.Stat()
	if err != nil {
		t.Fatal(err)
	}
	return openReader(t, f, st.Size())
}

func openReader(t testing.TB, src io.ReaderAt, size int64) *squash.Reader {
	t.Helper()
	img, err := squash.Open(src, size, nil)
	if err != nil {
		t.Fatal(err)
	}
	return img
}

// A mounted image, served by the test itself.
type mounted struct {
	dir    string
	served chan error
	fd     int
	mu     sync.Mutex
	lines  []string // of the log
}

func (m *mounted) log() []string {
	m.mu.Lock()
	defer m.mu.Unlock()
	return append([]string(nil), m.lines...)
}

// mountImage serves an image until the end of the test, which fails if the
// server ends before or leaves anything behind.
func mountImage(t testing.TB, img *squash.Reader, o Options) *mounted {
	t.Helper()
	if why := os.Getenv(reasonKey); why != "" {
		skip(t, "no user and mount namespace: %s", why)
	}
	goroutines, fds := runtime.NumGoroutine(), openFiles(t)
	fd, err := unix.Open("/dev/fuse", unix.O_RDWR|unix.O_CLOEXEC, 0)
	if err != nil {
		skip(t, "/dev/fuse cannot be opened: %v", err)
	}
	m := &mounted{dir: t.TempDir(), served: make(chan error, 1), fd: fd}
	data := fmt.Sprintf("fd=%d,rootmode=40000,user_id=%d,group_id=%d", fd, os.Getuid(), os.Getgid())
	if err := unix.Mount("test", m.dir, "fuse", unix.MS_RDONLY|unix.MS_NOSUID|unix.MS_NODEV, data); err != nil {
		unix.Close(fd)
		skip(t, "mounting fuse in a user namespace: %v", err)
	}
	o.Log = func(line string) {
		m.mu.Lock()
		defer m.mu.Unlock()
		m.lines = append(m.lines, line)
	}
	go func() { m.served <- Serve(fd, img, &o) }()
	m.refusePoll(t)
	t.Cleanup(func() {
		m.end(t)
		if n := openFiles(t); n > fds {
			t.Errorf("%d descriptors after, %d before", n, fds)
		}
		for range 100 {
			if runtime.NumGoroutine() <= goroutines {
				return
			}
			time.Sleep(10 * time.Millisecond)
		}
		t.Errorf("%d goroutines after, %d before", runtime.NumGoroutine(), goroutines)
	})
	return m
}

// refusePoll lets the kernel ask for POLL once, whose answer it remembers. The
// test would otherwise deadlock with itself: os.Open polls a file while it
// holds one of the processors that the server in the same process needs.
func (m *mounted) refusePoll(t testing.TB) {
	t.Helper()
	list, err := os.ReadDir(m.dir)
	must(t, err)
	for _, e := range list {
		if !e.Type().IsRegular() {
			continue
		}
		fd, err := unix.Open(filepath.Join(m.dir, e.Name()), unix.O_RDONLY, 0)
		must(t, err)
		_, err = unix.Poll([]unix.PollFd{{Fd: int32(fd), Events: unix.POLLIN}}, -1)
		must(t, err)
		unix.Close(fd)
		return
	}
	t.Fatal("the image has no file in its root")
}

// end unmounts and waits for the server.
func (m *mounted) end(t testing.TB) {
	select {
	case err := <-m.served:
		t.Errorf("Serve ended before unmounting: %v", err)
		unix.Unmount(m.dir, unix.MNT_DETACH)
	default:
		if err := unix.Unmount(m.dir, unix.MNT_DETACH); err != nil {
			t.Errorf("unmount: %v", err)
		}
		select {
		case err := <-m.served:
			if err != nil {
				t.Errorf("Serve = %v, want nil after unmounting", err)
			}
		case <-time.After(20 * time.Second):
			t.Fatal("Serve goes on after unmounting")
		}
	}
	unix.Close(m.fd)
}

func openFiles(t testing.TB) int {
	t.Helper()
	l, err := os.ReadDir("/proc/self/fd")
	if err != nil {
		t.Fatal(err)
	}
	return len(l)
}

// pattern is n bytes that compress a little and differ by seed.
func pattern(n int, seed uint64) []byte {
	b := make([]byte, n)
	x := seed*2654435761 + 1
	for i := range b {
		if i%3 == 0 {
			x ^= x << 13
			x ^= x >> 7
			x ^= x << 17
		}
		b[i] = byte(x)
	}
	return b
}

// fillTree makes a tree with everything that an ordinary user can make.
func fillTree(t testing.TB, dir string, blockSize int) {
	t.Helper()
	write := func(name string, b []byte) {
		if err := os.WriteFile(filepath.Join(dir, name), b, 0o640); err != nil {
			t.Fatal(err)
		}
	}
	for i, n := range []int{0, 1, 100, blockSize - 1, blockSize, blockSize + 1, 3*blockSize + 77, 20 * blockSize} {
		write(fmt.Sprintf("file%d", i), pattern(n, uint64(i)))
	}
	hole := append(make([]byte, 3*blockSize), pattern(2*blockSize, 77)...)
	write("sparse", append(append(hole, make([]byte, blockSize)...), "0123456789"...))
	many := filepath.Join(dir, "many")
	must(t, os.MkdirAll(filepath.Join(dir, "a/b/c"), 0o755))
	must(t, os.Mkdir(many, 0o755))
	for i := range 1500 {
		write(fmt.Sprintf("many/%s%d", strings.Repeat("n", i%200), i), pattern(i%300, uint64(i)))
	}
	must(t, os.Symlink("../file1", filepath.Join(dir, "a/link")))
	must(t, os.Symlink(strings.Repeat("x/", 1500), filepath.Join(dir, "a/long link")))
	must(t, os.Link(filepath.Join(dir, "file6"), filepath.Join(dir, "a/b/hard")))
	must(t, unix.Mkfifo(filepath.Join(dir, "fifo"), 0o600))
	must(t, os.Chmod(filepath.Join(dir, "file2"), 0o4711|os.ModeSetuid))
	must(t, os.Chtimes(filepath.Join(dir, "file3"), time.Unix(1, 0), time.Unix(1_000_000_001, 0)))
}

func must(t testing.TB, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}

// compareTrees fails the test where the tree got is not what want is.
func compareTrees(t *testing.T, got, want string) {
	t.Helper()
	names := map[string]bool{}
	err := filepath.Walk(want, func(path string, _ os.FileInfo, err error) error {
		if err != nil {
			return err
		}
		rel, _ := filepath.Rel(want, path)
		names[rel] = true
		compareFiles(t, filepath.Join(got, rel), path)
		return nil
	})
	must(t, err)
	must(t, filepath.Walk(got, func(path string, _ os.FileInfo, err error) error {
		rel, _ := filepath.Rel(got, path)
		if !names[rel] {
			t.Errorf("%s is in the mount only", rel)
		}
		return err
	}))
}

func compareFiles(t *testing.T, got, want string) {
	t.Helper()
	var g, w unix.Stat_t
	if err := unix.Lstat(got, &g); err != nil {
		t.Errorf("lstat %s: %v", got, err)
		return
	}
	must(t, unix.Lstat(want, &w))
	if g.Mode != w.Mode || g.Uid != w.Uid || g.Gid != w.Gid || g.Mtim.Sec != w.Mtim.Sec {
		t.Errorf("%s: mode %o owner %d:%d time %d, want %o %d:%d %d", got,
			g.Mode, g.Uid, g.Gid, g.Mtim.Sec, w.Mode, w.Uid, w.Gid, w.Mtim.Sec)
	}
	switch w.Mode & unix.S_IFMT {
	case unix.S_IFREG:
		if g.Nlink != w.Nlink || g.Size != w.Size {
			t.Errorf("%s: %d links, %d bytes, want %d, %d", got, g.Nlink, g.Size, w.Nlink, w.Size)
		}
		gb, err := os.ReadFile(got)
		wb, _ := os.ReadFile(want)
		if err != nil || !bytes.Equal(gb, wb) {
			t.Errorf("%s: contents differ (%v)", got, err)
		}
	case unix.S_IFLNK:
		gl, err := os.Readlink(got)
		wl, _ := os.Readlink(want)
		if err != nil || gl != wl {
			t.Errorf("readlink %s = %q, %v, want %q", got, gl, err, wl)
		}
	}
}
