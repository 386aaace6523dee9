// Package image tells what an image file or directory is, where its root file system
// lies, and what it says about itself.
//
// It opens and reads; it never mounts, runs or writes anything.
package image

import (
	"fmt"
	"io"
	"os"
	"path/filepath"
	"strconv"

	"coracle/bind"
	"coracle/image/ext"
	"coracle/image/sif"
	"coracle/squash"

	"golang.org/x/sys/unix"
)

// An Image is an opened image: a file that holds a squashfs or ext file system, or a directory.
type Image struct {
	Path   string // as the user named it
	Real   string // absolute, symlinks resolved; of a file without a name: Path
	Format Format
	Offset int64  // of the file system in the file, in bytes; 0 for a directory
	Size   int64  // of the file system as its container says, in bytes; 0 for a directory
	Arch   string // GOARCH name that a SIF file says it is for; "" unknown

	SIF    *sif.File      // nil unless Format is SIF
	Squash *squash.Reader // nil for a directory and for Ext
	Ext    *ext.Reader    // of an ext file system; nil for all others
	Tree   bind.Tree      // the root file system

	Descriptor int // of a file that was open already ([OpenFile]); 0: it is at Real

	// The identity of the file that was looked at.
	Device, Inode uint64
	Length        int64 // of the whole file, in bytes
	ModTime       int64 // in ns since 1970

	choice choice
	file   *os.File // nil for a directory
}

// A Format is the outer format of an image.
type Format string

// The formats that run.
const (
	SIF       Format = "SIF"
	Squashfs  Format = "squashfs"  // bare
	Simg      Format = "simg"      // a #! line, then squashfs
	Ext       Format = "ext"       // a bare ext2, ext3 or ext4 file system
	Directory Format = "directory" // a sandbox
)

// Open looks at the image at path. It follows symlinks, reads headers only, and costs
// the same for an image of any size. The image stays open until [Image.Close].
//
// The error is a *[PathError] that wraps one of this package's errors, or the
// operating system's.
func Open(path string) (*Image, error) { return wrap(path, primary) }

// OpenFile looks at an image that is open as f, and may have no name in any directory. name
// stands for its path. f stays the caller's.
func OpenFile(f interface{ Fd() uintptr }, name string) (*Image, error) {
	fd, err := unix.FcntlInt(f.Fd(), unix.F_DUPFD_CLOEXEC, 0)
	if err != nil {
		return nil, &PathError{Path: name, Err: err}
	}
	img := &Image{Path: name, Real: name, Descriptor: fd, file: os.NewFile(uintptr(fd), name)}
	if err := img.look(fd); err != nil {
		img.file.Close()
		return nil, &PathError{Path: name, Err: err}
	}
	return img, nil
}

// OpenData opens an image that lends a part of its tree to a container. id is the number of
// a SIF partition; "" is the primary one, or the first data partition of a file that has
// no primary one.
func OpenData(path, id string) (*Image, error) {
	if id == "" {
		return wrap(path, primaryOrData)
	}
	n, err := strconv.ParseUint(id, 10, 32)
	if err != nil {
		return nil, &PathError{Path: path, Err: fmt.Errorf("partition %q is not a number", id)}
	}
	return wrap(path, choice{id: uint32(n)})
}

// A choice says which partition of a SIF file to open.
type choice struct {
	id   uint32 // 0: the primary one
	data bool   // with id 0: else the first data partition

	overlay bool // the first overlay partition, or data partition; nothing else counts
}

var (
	primary       = choice{}
	primaryOrData = choice{data: true}
)

func wrap(path string, c choice) (*Image, error) {
	img, err := open(path, c)
	if err != nil {
		return nil, &PathError{Path: path, Err: err}
	}
	return img, nil
}

func open(path string, c choice) (*Image, error) {
	if path == "" {
		return nil, os.ErrNotExist
	}
	f, err := openFile(path)
	if err != nil {
		return nil, err
	}
	img := &Image{Path: path, choice: c, file: f}
	if err := img.look(int(f.Fd())); err != nil {
		f.Close()
		return nil, err
	}
	return img, nil
}

// openFile opens what may be an image.
func openFile(path string) (*os.File, error) {
	// Without O_NONBLOCK a fifo would block here.
	fd, err := unix.Open(path, unix.O_RDONLY|unix.O_CLOEXEC|unix.O_NONBLOCK, 0)
	if err != nil {
		return nil, openError(path, err)
	}
	if err := unix.SetNonblock(fd, false); err != nil { // or the Go runtime would start its poller for it
		unix.Close(fd)
		return nil, err
	}
	return os.NewFile(uintptr(fd), path), nil
}

// look fills in an image that has just been opened as fd.
func (m *Image) look(fd int) error {
	var st unix.Stat_t
	if err := unix.Fstat(fd, &st); err != nil {
		return err
	}
	m.Device, m.Inode, m.Length, m.ModTime = uint64(st.Dev), st.Ino, st.Size, st.Mtim.Nano()
	if m.Real == "" {
		var err error
		if m.Real, err = realPath(fd, m.Path); err != nil {
			return err
		}
	}
	switch st.Mode & unix.S_IFMT {
	case unix.S_IFDIR:
		m.Format = Directory
		m.Tree = HostTree(m.Real)
		m.file.Close()
		m.file = nil
		return nil
	case unix.S_IFREG:
		return m.identify()
	}
	return ErrNotFile
}

// realPath returns the absolute path of the open descriptor fd, symlinks resolved.
// The kernel knows it; where /proc is not mounted the path is resolved step by step.
func realPath(fd int, path string) (string, error) {
	if p, err := os.Readlink("/proc/self/fd/" + strconv.Itoa(fd)); err == nil && filepath.IsAbs(p) {
		var a, b unix.Stat_t
		if unix.Fstat(fd, &a) == nil && unix.Stat(p, &b) == nil && a.Dev == b.Dev && a.Ino == b.Ino {
			return p, nil
		}
	}
	p, err := filepath.EvalSymlinks(path)
	if err != nil {
		return "", err
	}
	return filepath.Abs(p)
}

// Close lets go of the file.
func (m *Image) Close() error {
	if m.file == nil {
		return nil
	}
	return m.file.Close()
}

// ReaderAt returns the image file, or nil for a directory.
func (m *Image) ReaderAt() io.ReaderAt {
	if m.file == nil {
		return nil
	}
	return m.file
}
