// Package seal makes a squashfs layer of a directory that overlayfs has written.
//
// What the layer hides in those below it stays marked as the kernel marks it: a whiteout is a character device 0:0,
// or an empty file with the attribute user.overlay.whiteout; an opaque directory has the
// attribute user.overlay.opaque. What else the kernel notes for its own use is left out: it is about the file
// system that the directory is on.
//
// Source: Linux Documentation/filesystems/overlayfs.
package seal

import (
	"errors"
	"fmt"
	"io"
	"os"
	"path"
	"slices"
	"strings"

	"coracle/squash"

	"golang.org/x/sys/unix"
)

// ErrIncomplete: the directory holds entries whose contents are in the layer below it (metacopy) or somewhere else
// in it (redirect), so that it cannot be taken by itself.
var ErrIncomplete = errors.New("it was written with the overlay features metacopy or redirect_dir")

// Options say how a layer is written. The zero value works.
type Options struct {
	Squash squash.WriterOptions
	UID    int // files of this user and group become root's, as in any image; 0: they are root's already
	GID    int
}

// A Result is what has been written.
type Result struct {
	Size   int64 // bytes of the file system
	Inodes int
}

// A sealer walks the directory.
type sealer struct {
	w     *squash.Writer
	o     *Options
	links map[identity]*squash.Node // files with several names
	count int
}

type identity struct{ dev, ino uint64 }

// Write writes the tree of the directory dir to dst, which is to be truncated to the resulting size. Symlinks are kept,
// never followed. The error wraps [ErrIncomplete], squash.ErrFormat or what the system says.
func Write(dst io.WriterAt, dir string, o *Options) (Result, error) {
	if o == nil {
		o = &Options{}
	}
	w, err := squash.NewWriter(dst, &o.Squash)
	if err != nil {
		return Result{}, err
	}
	defer w.Close()
	s := &sealer{w: w, o: o, links: map[identity]*squash.Node{}}
	fd, err := unix.Open(dir, unix.O_RDONLY|unix.O_DIRECTORY|unix.O_CLOEXEC, 0)
	if err != nil {
		return Result{}, &os.PathError{Op: "open", Path: dir, Err: err}
	}
	defer unix.Close(fd)
	var st unix.Stat_t
	if err := unix.Fstat(fd, &st); err != nil {
		return Result{}, err
	}
	root, err := s.node("/", fd, &st)
	if err == nil {
		err = s.children(root, fd, "/")
	}
	if err != nil {
		return Result{}, err
	}
	size, err := w.Finish(root)
	return Result{Size: size, Inodes: s.count}, err
}

// children adds what is in the directory behind fd.
func (s *sealer) children(dir *squash.Node, fd int, at string) error {
	names, err := list(fd)
	if err != nil {
		return &os.PathError{Op: "list", Path: at, Err: err}
	}
	for _, name := range names {
		n, err := s.entry(fd, name, path.Join(at, name))
		if err != nil {
			return err
		}
		dir.Children = append(dir.Children, n)
	}
	return nil
}

func list(fd int) ([]string, error) {
	dup, err := unix.Openat(fd, ".", unix.O_RDONLY|unix.O_DIRECTORY|unix.O_CLOEXEC, 0)
	if err != nil {
		return nil, err
	}
	f := os.NewFile(uintptr(dup), ".")
	defer f.Close()
	names, err := f.Readdirnames(-1)
	slices.Sort(names)
	return names, err
}

// entry makes the node of a name in a directory.
func (s *sealer) entry(dir int, name, at string) (*squash.Node, error) {
	fail := func(err error) (*squash.Node, error) {
		return nil, &os.PathError{Op: "read", Path: at, Err: err}
	}
	ref, err := unix.Openat(dir, name, unix.O_PATH|unix.O_NOFOLLOW|unix.O_CLOEXEC, 0)
	if err != nil {
		return fail(err)
	}
	defer unix.Close(ref)
	var st unix.Stat_t
	if err := unix.Fstat(ref, &st); err != nil {
		return fail(err)
	}
	id := identity{uint64(st.Dev), st.Ino}
	// Every whiteout of an overlay may be a name of the same one.
	if first := s.links[id]; first != nil && st.Mode&unix.S_IFMT != unix.S_IFDIR {
		return &squash.Node{Name: name, Link: first}, nil
	}
	n, err := s.node(name, ref, &st)
	if err != nil {
		return fail(err)
	}
	switch n.Type {
	case squash.Directory:
		fd, err := unix.Openat(dir, name, unix.O_RDONLY|unix.O_DIRECTORY|unix.O_NOFOLLOW|unix.O_CLOEXEC, 0)
		if err != nil {
			return fail(err)
		}
		defer unix.Close(fd)
		return n, s.children(n, fd, at)
	case squash.Regular:
		if n.Data, err = s.contents(dir, name, st.Size); err != nil {
			return fail(err)
		}
	case squash.Symlink:
		buf := make([]byte, unix.PathMax)
		k, err := unix.Readlinkat(ref, "", buf)
		if err != nil {
			return fail(err)
		}
		n.Target = string(buf[:k])
	}
	if st.Nlink > 1 {
		s.links[id] = n
	}
	return n, nil
}

func (s *sealer) contents(dir int, name string, size int64) (squash.Data, error) {
	fd, err := unix.Openat(dir, name, unix.O_RDONLY|unix.O_NOFOLLOW|unix.O_CLOEXEC, 0)
	if err != nil {
		return squash.Data{}, err
	}
	f := os.NewFile(uintptr(fd), name)
	defer f.Close()
	data, err := s.w.File(f, size)
	if errors.Is(err, squash.ErrFormat) || errors.Is(err, io.ErrUnexpectedEOF) {
		err = fmt.Errorf("it was changed meanwhile: %w", err)
	}
	return data, err
}

// node describes what the descriptor ref (O_PATH does) stands for.
func (s *sealer) node(name string, ref int, st *unix.Stat_t) (*squash.Node, error) {
	s.count++
	n := &squash.Node{Name: name, Perm: uint16(st.Mode & 0o7777), UID: st.Uid, GID: st.Gid, MTime: st.Mtim.Sec}
	if int(st.Uid) == s.o.UID {
		n.UID = 0
	}
	if int(st.Gid) == s.o.GID {
		n.GID = 0
	}
	n.Type = map[uint32]squash.Type{
		unix.S_IFDIR: squash.Directory, unix.S_IFREG: squash.Regular, unix.S_IFLNK: squash.Symlink,
		unix.S_IFCHR: squash.CharDevice, unix.S_IFBLK: squash.BlockDevice, unix.S_IFIFO: squash.Fifo, unix.S_IFSOCK: squash.Socket,
	}[st.Mode&unix.S_IFMT]
	if n.Type == squash.CharDevice || n.Type == squash.BlockDevice {
		rdev, ok := squash.Rdev(unix.Major(st.Rdev), unix.Minor(st.Rdev))
		if !ok {
			return nil, errors.New("a device whose number is too large")
		}
		n.Rdev = rdev
	}
	var err error
	if n.Type != squash.Symlink { // users can give those no attributes
		n.Xattrs, err = attributes(ref)
	}
	return n, err
}

// attributes reads the extended attributes that go into the layer.
func attributes(ref int) (list []squash.Xattr, err error) {
	at := fmt.Sprintf("/proc/self/fd/%d", ref)
	names, err := sized(func(b []byte) (int, error) { return unix.Listxattr(at, b) })
	if err != nil || len(names) == 0 {
		if errors.Is(err, unix.EOPNOTSUPP) {
			err = nil
		}
		return nil, err
	}
	for name := range strings.SplitSeq(strings.TrimSuffix(string(names), "\x00"), "\x00") {
		keep, err := kept(name)
		if err != nil {
			return nil, err
		}
		if !keep {
			continue
		}
		value, err := sized(func(b []byte) (int, error) { return unix.Getxattr(at, name, b) })
		if errors.Is(err, unix.ENODATA) || errors.Is(err, unix.EACCES) || errors.Is(err, unix.EPERM) {
			continue
		}
		if err != nil {
			return nil, fmt.Errorf("attribute %s: %w", name, err)
		}
		list = append(list, squash.Xattr{Name: name, Value: value})
	}
	return list, nil
}

// kept tells whether an attribute goes into the layer. The error is [ErrIncomplete].
func kept(name string) (bool, error) {
	if mark, ok := strings.CutPrefix(name, "user.overlay."); ok {
		switch mark {
		case "opaque", "whiteout", "whiteouts":
			return true, nil
		case "metacopy", "redirect":
			return false, ErrIncomplete
		}
		return false, nil
	}
	if strings.HasPrefix(name, "user.coracle.") { // who writes to the directory
		return false, nil
	}
	// Of the other name spaces only file capabilities mean anything in an image.
	return strings.HasPrefix(name, "user.") || name == "security.capability", nil
}

// sized calls an extended attribute call with a buffer that is large enough.
func sized(call func([]byte) (int, error)) ([]byte, error) {
	for {
		n, err := call(nil)
		if err != nil || n == 0 {
			return nil, err
		}
		b := make([]byte, n)
		if n, err = call(b); err != unix.ERANGE {
			return b[:max(n, 0)], err
		}
	}
}
