package image

import (
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"slices"
	"strconv"
	"strings"

	"coracle/bind"

	"golang.org/x/sys/unix"
)

// A SizeError says that a file is longer than its reader accepts.
type SizeError struct {
	Path        string
	Size, Limit int64 // bytes; Size is -1 where it is not known
}

func (e *SizeError) Error() string {
	return fmt.Sprintf("%q is longer than %d bytes", e.Path, e.Limit)
}

// HostTree shows the directory root of the host as a [bind.Tree]: "/" for the host
// itself, or a sandbox. Below any other root than "/" no symlink is ever followed, not
// even one that takes a directory's place while we look.
func HostTree(root string) bind.Tree {
	if root == "/" {
		return hostTree{}
	}
	return hostTree{root: root}
}

type hostTree struct{ root string } // "" is "/"

// open opens path below the root without following any symlink in it. Errors of links
// in the middle come out as missing paths: the asker resolves links.
func (t hostTree) open(path string, flags int) (int, error) {
	flags |= unix.O_CLOEXEC | unix.O_NOFOLLOW
	if t.root == "" {
		return retry(func() (int, error) { return unix.Open(path, flags, 0) })
	}
	dir, err := retry(func() (int, error) {
		return unix.Open(t.root, unix.O_PATH|unix.O_DIRECTORY|unix.O_CLOEXEC, 0)
	})
	if err != nil {
		return -1, err
	}
	rel := strings.TrimPrefix(path, "/")
	if rel == "" {
		rel = "."
	}
	how := &unix.OpenHow{Flags: uint64(flags), Resolve: unix.RESOLVE_BENEATH | unix.RESOLVE_NO_SYMLINKS | unix.RESOLVE_NO_MAGICLINKS}
	fd, err := retry(func() (int, error) { return unix.Openat2(dir, rel, how) })
	if err == unix.ENOSYS || err == unix.EPERM { // before Linux 5.6, or a filter that does not know the call
		return openStepwise(dir, rel, flags)
	}
	unix.Close(dir)
	return fd, err
}

// openStepwise does for rel below dir what openat2 would, a component at a time. It closes dir.
func openStepwise(dir int, rel string, flags int) (int, error) {
	for {
		name, rest, more := strings.Cut(rel, "/")
		f := unix.O_PATH | unix.O_DIRECTORY | unix.O_NOFOLLOW | unix.O_CLOEXEC
		if !more {
			f = flags
		}
		if name == ".." {
			unix.Close(dir)
			return -1, unix.EXDEV
		}
		fd, err := retry(func() (int, error) { return unix.Openat(dir, name, f, 0) })
		unix.Close(dir)
		if err != nil || !more {
			return fd, err
		}
		dir, rel = fd, rest
	}
}

// retry calls f again while it is interrupted (EINTR) or raced by a rename (EAGAIN from openat2).
func retry(f func() (int, error)) (int, error) {
	for range 100 {
		if n, err := f(); err != unix.EINTR && err != unix.EAGAIN {
			return n, err
		}
	}
	return f()
}

// fail gives err the path, and turns what means "a component is no directory" into a missing path.
func (t hostTree) fail(op, path string, err error) error {
	switch err {
	case unix.ENOTDIR, unix.ELOOP:
		err = fs.ErrNotExist
	}
	return &fs.PathError{Op: op, Path: t.root + path, Err: err}
}

func (t hostTree) Lstat(path string) (bind.Entry, error) {
	var st unix.Stat_t
	if t.root == "" {
		if err := unix.Lstat(path, &st); err != nil {
			return bind.Entry{}, t.fail("lstat", path, err)
		}
		if st.Mode&unix.S_IFMT != unix.S_IFLNK {
			return entry(&st), nil
		}
		target, err := os.Readlink(path)
		return bind.Entry{Kind: bind.Symlink, Perm: st.Mode & 0o7777, Target: target}, err
	}
	fd, err := t.open(path, unix.O_PATH)
	if err != nil {
		return bind.Entry{}, t.fail("lstat", path, err)
	}
	defer unix.Close(fd)
	if err := unix.Fstat(fd, &st); err != nil {
		return bind.Entry{}, t.fail("lstat", path, err)
	}
	e := entry(&st)
	if e.Kind == bind.Symlink {
		var buf [unix.PathMax]byte
		n, err := unix.Readlinkat(fd, "", buf[:])
		if err != nil {
			return bind.Entry{}, t.fail("readlink", path, err)
		}
		e.Target = string(buf[:n])
	}
	return e, nil
}

func entry(st *unix.Stat_t) bind.Entry {
	e := bind.Entry{Kind: bind.Other, Perm: st.Mode & 0o7777}
	switch st.Mode & unix.S_IFMT {
	case unix.S_IFDIR:
		e.Kind = bind.Directory
	case unix.S_IFREG:
		e.Kind = bind.File
	case unix.S_IFLNK:
		e.Kind = bind.Symlink
	}
	return e
}

func (t hostTree) ReadDir(path string) ([]string, error) {
	fd, err := t.open(path, unix.O_RDONLY|unix.O_DIRECTORY)
	if err != nil {
		return nil, t.fail("readdir", path, err)
	}
	f := os.NewFile(uintptr(fd), t.root+path)
	defer f.Close()
	names, err := f.Readdirnames(-1)
	slices.Sort(names)
	return names, err
}

func (t hostTree) ReadFile(path string, limit int64) ([]byte, error) {
	fd, err := t.open(path, unix.O_RDONLY|unix.O_NONBLOCK) // a fifo must not block
	if err != nil {
		return nil, t.fail("open", path, err)
	}
	var st unix.Stat_t
	if err = unix.Fstat(fd, &st); err == nil && st.Mode&unix.S_IFMT != unix.S_IFREG {
		err = errors.New("not a regular file")
	}
	if err == nil {
		err = unix.SetNonblock(fd, false) // or the Go runtime would start its poller for it
	}
	if err != nil {
		unix.Close(fd)
		return nil, &fs.PathError{Op: "read", Path: t.root + path, Err: err}
	}
	f := os.NewFile(uintptr(fd), t.root+path)
	defer f.Close()
	b, err := io.ReadAll(io.LimitReader(f, limit+1)) // files of /proc have no size
	if int64(len(b)) > limit {
		return nil, &SizeError{Path: path, Size: -1, Limit: limit}
	}
	return b, err
}

// procPath names an O_PATH descriptor for calls that take no such descriptor.
func procPath(fd int) string { return "/proc/self/fd/" + strconv.Itoa(fd) }
