// Package remove removes directories with all that is in them, whatever is done to them meanwhile.
package remove

import (
	"errors"
	"os"
	"strconv"

	"golang.org/x/sys/unix"
)

// maxDepth is how deep Tree descends, each level holding a descriptor; what lies deeper is moved up first.
const maxDepth = 64

// Tree removes name in the directory dir, with everything below it, and returns the first error. It follows no
// symlink, goes into nothing that is mounted (EXDEV, from Linux 5.6 on), and does not stop at a directory that forbids
// it to its owner, nor at what somebody else has removed meanwhile: a server takes over what one that is still removing
// looks to have left.
func Tree(dir int, name string) error {
	if err := unix.Unlinkat(dir, name, 0); err == nil || err == unix.ENOENT {
		return nil
	}
	top, err := openToEmpty(dir, name)
	if err != nil {
		return err
	}
	defer unix.Close(top)
	r := remover{top: top}
	for {
		moved := r.moved
		if err := r.empty(top, 0); err != nil {
			return err
		}
		if r.moved == moved {
			err := unix.Unlinkat(dir, name, unix.AT_REMOVEDIR)
			if err == unix.ENOENT {
				err = nil
			}
			return err
		}
	}
}

// A remover empties the directory top.
type remover struct {
	top   int
	moved int // directories that were too deep and are entries of top now
}

// openToEmpty opens a directory so that its entries can be listed and removed.
func openToEmpty(dir int, name string) (int, error) {
	const flags = unix.O_RDONLY | unix.O_DIRECTORY | unix.O_NOFOLLOW | unix.O_CLOEXEC
	fd, err := openHere(dir, name, flags)
	if err == unix.EACCES {
		if err := allow(dir, name); err != nil {
			return -1, err
		}
		fd, err = openHere(dir, name, flags)
	}
	if err == nil {
		unix.Fchmod(fd, 0o700) // if that fails, so may the removal, which tells
	}
	return fd, err
}

// openHere opens what is no other mount.
func openHere(dir int, name string, flags uint64) (int, error) {
	how := unix.OpenHow{Flags: flags, Resolve: unix.RESOLVE_NO_XDEV | unix.RESOLVE_NO_SYMLINKS}
	for {
		fd, err := unix.Openat2(dir, name, &how)
		switch err {
		case unix.EAGAIN, unix.EINTR:
		case unix.ENOSYS, unix.EPERM:
			return unix.Openat(dir, name, int(flags), 0)
		default:
			return fd, err
		}
	}
}

// allow gives the owner of a directory that cannot be opened all rights to it. It has no use for a name that is a
// symlink by now: fchmodat follows those, so it goes by an O_PATH descriptor's file type first.
func allow(dir int, name string) error {
	var st unix.Stat_t
	if err := unix.Fstatat(dir, name, &st, unix.AT_SYMLINK_NOFOLLOW); err != nil {
		return err
	}
	if st.Mode&unix.S_IFMT != unix.S_IFDIR {
		return unix.ENOTDIR
	}
	return unix.Fchmodat(dir, name, 0o700, 0)
}

// empty removes the entries of the directory fd.
func (r *remover) empty(fd, depth int) error {
	names, err := List(fd)
	if errors.Is(err, unix.ENOENT) { // somebody else has removed the directory itself
		return nil
	}
	if err != nil {
		return err
	}
	for _, name := range names {
		err := unix.Unlinkat(fd, name, 0)
		if err == nil || err == unix.ENOENT {
			continue
		}
		if depth >= maxDepth {
			if err := r.raise(fd, name); err != nil {
				return err
			}
			continue
		}
		below, err := openToEmpty(fd, name)
		if err == unix.ENOENT {
			continue
		}
		if err != nil {
			return err
		}
		err = r.empty(below, depth+1)
		unix.Close(below)
		if err != nil {
			return err
		}
		if err := unix.Unlinkat(fd, name, unix.AT_REMOVEDIR); err != nil && err != unix.ENOENT {
			return err
		}
	}
	return nil
}

// raise makes a directory an entry of top, under a name that nothing else has.
func (r *remover) raise(fd int, name string) error {
	for {
		r.moved++
		err := unix.Renameat2(fd, name, r.top, ".deep"+strconv.Itoa(r.moved), unix.RENAME_NOREPLACE)
		if err != unix.EEXIST {
			return err
		}
	}
}

// List names the entries of an open directory.
func List(fd int) ([]string, error) {
	dup, err := unix.Openat(fd, ".", unix.O_RDONLY|unix.O_DIRECTORY|unix.O_CLOEXEC, 0)
	if err != nil {
		return nil, err
	}
	f := os.NewFile(uintptr(dup), ".")
	defer f.Close()
	return f.Readdirnames(-1)
}
