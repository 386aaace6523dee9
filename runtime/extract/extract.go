// Package extract writes the tree of a squashfs image into a directory of the host: what an image server does where it
// has no FUSE.
//
// The image is hostile. Every name is made with a system call that is relative to the directory that it stands in,
// exclusively and without following symlinks; nothing outside of the directory is touched. Device nodes are left out, but
// for the whiteouts of an overlay layer, and so are sockets. Contents are decoded by all processors.
package extract

import (
	"context"
	"errors"
	"fmt"
	"runtime"
	"strings"
	"sync"
	"unsafe"

	"coracle/squash"

	"golang.org/x/sys/unix"
)

// maxDepth bounds how deep directories may lie, each level holding a descriptor.
const maxDepth = 512

// errEndless: a directory lies below itself, or deeper than anything that is meant to be used.
var errEndless = fmt.Errorf("%w: directories without end", squash.ErrCorrupt)

// Options say whose the files are. The zero value works: all belong to the caller, who may read everything, and setuid bits
// are dropped.
type Options struct {
	// UID and GID return the owners for those in the image; both or neither are nil. With them modes and file
	// capabilities are those of the image. It takes privileges in the user namespace.
	UID, GID func(id uint32) uint32

	Progress func(bytes int64) // is told, from several goroutines, how much more has been written; nil: nobody is
}

// Tree writes the image's tree into the empty directory behind the descriptor dir, and gives dir the modes and
// times of the image's root. It stops when ctx ends. The error wraps [squash.ErrCorrupt] or what the system says.
func Tree(ctx context.Context, r *squash.Reader, dir int, o *Options) error {
	ctx, cancel := context.WithCancelCause(ctx)
	defer cancel(nil)
	x := &extractor{ctx: ctx, fail: cancel, r: r, o: o, root: dir, names: map[squash.Ref]string{}, seen: map[squash.Ref]bool{}, jobs: make(chan job, 64)}
	x.fragments.r = r
	var workers sync.WaitGroup
	for range runtime.GOMAXPROCS(0) {
		workers.Go(x.work)
	}
	ino, err := r.Inode(r.Root())
	if err == nil {
		err = x.directory(dir, "", &ino, 0)
	}
	close(x.jobs)
	if err != nil {
		cancel(err)
	}
	workers.Wait()
	return context.Cause(ctx)
}

// An extractor walks the tree in one goroutine, which makes all names; workers fill the files.
type extractor struct {
	ctx       context.Context
	fail      context.CancelCauseFunc
	r         *squash.Reader
	o         *Options
	root      int
	names     map[squash.Ref]string // first names of files that have several, from the root
	seen      map[squash.Ref]bool   // directories
	jobs      chan job
	fragments fragments
}

// entries returns what is in a directory, names copied.
func entries(r *squash.Reader, ino *squash.Inode) (list []squash.Dirent, err error) {
	err = r.ReadDir(ino, 0, func(d squash.Dirent, _ squash.Cursor) bool {
		d.Name = strings.Clone(d.Name)
		list = append(list, d)
		return true
	})
	return list, err
}

// directory makes what is in the directory behind fd, and then sets what it is like itself: nothing is made in it any more.
func (x *extractor) directory(fd int, at string, ino *squash.Inode, depth int) error {
	if depth > maxDepth || x.seen[ino.Ref] {
		return errEndless
	}
	x.seen[ino.Ref] = true
	list, err := entries(x.r, ino)
	if err != nil {
		return err
	}
	for _, d := range list {
		if err := context.Cause(x.ctx); err != nil {
			return err
		}
		if err := x.entry(fd, at, d, depth); err != nil {
			return named(at+"/"+d.Name, err)
		}
	}
	return x.dress(fd, ino)
}

// A nameError is what went wrong with an entry of the image.
type nameError struct {
	name string // from the image's root, with a slash
	err  error
}

func (e *nameError) Error() string { return e.name + ": " + e.err.Error() }

func (e *nameError) Unwrap() error { return e.err }

// named says which entry err is about, unless it does already.
func named(name string, err error) error {
	if e := (*nameError)(nil); errors.As(err, &e) {
		return err
	}
	return &nameError{name, err}
}

// entry makes one entry of the directory behind fd.
func (x *extractor) entry(fd int, at string, d squash.Dirent, depth int) error {
	ino, err := x.r.Inode(d.Ref)
	if err != nil {
		return err
	}
	name := at + "/" + d.Name
	if ino.Type != squash.Directory && ino.Links > 1 {
		if first, ok := x.names[ino.Ref]; ok {
			return x.link(first, fd, d.Name)
		}
		x.names[ino.Ref] = name
	}
	switch ino.Type {
	case squash.Directory:
		return x.subdirectory(fd, d.Name, name, &ino, depth)
	case squash.Regular:
		return x.regular(fd, d.Name, name, &ino)
	case squash.Symlink:
		return x.symlink(fd, d.Name, &ino)
	}
	made, err := x.special(fd, d.Name, &ino)
	if !made {
		delete(x.names, ino.Ref)
	}
	return err
}

func (x *extractor) subdirectory(fd int, name, path string, ino *squash.Inode, depth int) error {
	if err := unix.Mkdirat(fd, name, 0o700); err != nil {
		return err
	}
	below, err := unix.Openat(fd, name, unix.O_RDONLY|unix.O_DIRECTORY|unix.O_NOFOLLOW|unix.O_CLOEXEC, 0)
	if err != nil {
		return err
	}
	defer unix.Close(below)
	return x.directory(below, path, ino, depth+1)
}

func (x *extractor) symlink(fd int, name string, ino *squash.Inode) error {
	text, err := x.r.Readlink(ino)
	if err == nil {
		err = unix.Symlinkat(text, fd, name)
	}
	if err == nil && x.o.UID != nil {
		err = unix.Fchownat(fd, name, int(x.o.UID(ino.UID)), int(x.o.GID(ino.GID)), unix.AT_SYMLINK_NOFOLLOW)
	}
	if err == nil {
		err = unix.UtimesNanoAt(fd, name, times(ino), unix.AT_SYMLINK_NOFOLLOW)
	}
	return err
}

// special makes a fifo or a whiteout: the device 0:0 that anybody may make. Other devices are left out.
func (x *extractor) special(fd int, name string, ino *squash.Inode) (made bool, err error) {
	mode := uint32(ino.Perm & 0o777)
	switch {
	case ino.Type == squash.Fifo:
		mode |= unix.S_IFIFO
	case ino.Type == squash.CharDevice && ino.Rdev == 0:
		mode |= unix.S_IFCHR
	default:
		return false, nil
	}
	if err := unix.Mknodat(fd, name, mode, 0); err != nil {
		return false, err
	}
	if x.o.UID != nil {
		err = unix.Fchownat(fd, name, int(x.o.UID(ino.UID)), int(x.o.GID(ino.GID)), unix.AT_SYMLINK_NOFOLLOW)
	}
	return true, err
}

// link makes a further name of a file. The way to the first one is walked anew, through directories only.
func (x *extractor) link(first string, fd int, name string) error {
	dir, base, err := parent(x.root, first)
	if err != nil {
		return err
	}
	defer unix.Close(dir)
	return unix.Linkat(dir, base, fd, name, 0)
}

// parent opens the directory that path, which begins with a slash, stands in below root.
func parent(root int, path string) (dir int, base string, err error) {
	dir, err = unix.FcntlInt(uintptr(root), unix.F_DUPFD_CLOEXEC, 0)
	rest := path[1:]
	for err == nil {
		name, more, deeper := strings.Cut(rest, "/")
		if !deeper {
			return dir, name, nil
		}
		var next int
		next, err = unix.Openat(dir, name, unix.O_PATH|unix.O_DIRECTORY|unix.O_NOFOLLOW|unix.O_CLOEXEC, 0)
		unix.Close(dir)
		dir, rest = next, more
	}
	return -1, "", err
}

// dress gives an open file or directory its owner, attributes, mode and time.
func (x *extractor) dress(fd int, ino *squash.Inode) error {
	if x.o.UID != nil {
		if err := unix.Fchown(fd, int(x.o.UID(ino.UID)), int(x.o.GID(ino.GID))); err != nil {
			return err
		}
	}
	if err := x.attributes(fd, ino); err != nil {
		return err
	}
	if err := unix.Fchmod(fd, x.mode(ino)); err != nil {
		return err
	}
	return setTime(fd, times(ino))
}

// setTime is futimens(3), for which the kernel has utimensat(2) without a path.
func setTime(fd int, t []unix.Timespec) error {
	if _, _, errno := unix.Syscall6(unix.SYS_UTIMENSAT, uintptr(fd), 0, uintptr(unsafe.Pointer(&t[0])), 0, 0, 0); errno != 0 {
		return errno
	}
	return nil
}

// mode returns the permission bits of a file. A caller to whom everything belongs may read everything, as on a mount.
func (x *extractor) mode(ino *squash.Inode) uint32 {
	perm := uint32(ino.Perm)
	if x.o.UID != nil {
		return perm
	}
	perm = perm&0o1777 | 0o400
	if ino.Type == squash.Directory {
		return perm | 0o700
	}
	if perm&0o111 != 0 {
		perm |= 0o100
	}
	return perm
}

// attributes sets the extended attributes that mean something: the user's and, with owners, file capabilities. A file system
// without attributes does, but for the marks of an overlay layer.
func (x *extractor) attributes(fd int, ino *squash.Inode) (err error) {
	if !ino.HasXattrs() {
		return nil
	}
	listed := x.r.Xattrs(ino, func(name string, value []byte) bool {
		mark := strings.HasPrefix(name, "user.overlay.")
		if !strings.HasPrefix(name, "user.") && (name != "security.capability" || x.o.UID == nil) {
			return true
		}
		if e := unix.Fsetxattr(fd, name, value, 0); e != nil && (mark || !errors.Is(e, unix.EOPNOTSUPP) && !errors.Is(e, unix.EPERM)) {
			err = fmt.Errorf("attribute %s: %w", name, e)
		}
		return err == nil
	})
	return errors.Join(listed, err)
}

func times(ino *squash.Inode) []unix.Timespec {
	t := unix.Timespec{Sec: int64(ino.MTime)}
	return []unix.Timespec{t, t}
}
