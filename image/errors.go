package image

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"

	"golang.org/x/sys/unix"
)

// What can be wrong with an image, beside what the operating system, [squash] and [sif] say.
var (
	ErrNotFile   = errors.New("neither a regular file nor a directory")
	ErrEmpty     = errors.New("the file is empty")
	ErrEncrypted = errors.New("the image is encrypted")
	ErrExt       = errors.New("images cannot be made of ext3 and ext4 file systems") // they can be run
)

// A PathError is an error about the image at Path.
type PathError struct {
	Path string // as the user named it
	Err  error
}

func (e *PathError) Error() string { return fmt.Sprintf("image %q: %v", e.Path, e.Err) }

// Unwrap returns Err.
func (e *PathError) Unwrap() error { return e.Err }

// A MissingError says that there is no such image. It is an [fs.ErrNotExist].
type MissingError struct {
	Dir     string   // the directory that was looked in, absolute
	NoDir   bool     // that directory does not exist either
	Similar []string // names in Dir that look like the one asked for, best first
}

func (e *MissingError) Error() string {
	if e.NoDir {
		return fmt.Sprintf("no such file (there is no directory %s)", e.Dir)
	}
	return fmt.Sprintf("no such file (in %s)", e.Dir)
}

// Is makes errors.Is(err, fs.ErrNotExist) hold.
func (e *MissingError) Is(target error) bool { return target == fs.ErrNotExist }

// A KindError says that a file is no image.
type KindError struct {
	Looks string // what it looks like: "a gzip archive"; "" unknown
}

func (e *KindError) Error() string {
	if e.Looks == "" {
		return "not an image: neither SIF nor squashfs"
	}
	return "not an image: it looks like " + e.Looks
}

// A PartitionError says that the primary partition of a SIF file holds no squashfs.
type PartitionError struct {
	FS string // what it holds, in the words of SIF tools
}

func (e *PartitionError) Error() string {
	return fmt.Sprintf("its primary partition holds %s, not squashfs", e.FS)
}

// An ArchError says that an image is for other machines.
type ArchError struct {
	Arch, Host string // GOARCH names
}

func (e *ArchError) Error() string {
	return fmt.Sprintf("the image is for %s, this machine is %s", e.Arch, e.Host)
}

// openError explains why the file at path could not be opened.
func openError(path string, err error) error {
	switch err {
	case unix.ENOENT, unix.ENOTDIR:
		if _, lerr := os.Lstat(path); lerr == nil {
			target, _ := os.Readlink(path)
			return fmt.Errorf("a symlink to %q, which does not exist: %w", target, fs.ErrNotExist)
		}
		return missing(path)
	case unix.EACCES:
		fi, serr := os.Stat(path)
		if serr == nil && fi.IsDir() {
			return fmt.Errorf("the directory is not readable: %w", err)
		}
	case unix.ENXIO: // a socket, or a device without a driver
		return ErrNotFile
	}
	return err
}

func missing(path string) error {
	abs, err := filepath.Abs(path)
	if err != nil {
		return fs.ErrNotExist
	}
	e := &MissingError{Dir: filepath.Dir(abs)}
	d, err := os.OpenFile(e.Dir, os.O_RDONLY|unix.O_DIRECTORY, 0)
	if err != nil {
		e.NoDir = errors.Is(err, fs.ErrNotExist) || errors.Is(err, unix.ENOTDIR)
		return e
	}
	defer d.Close()
	names, _ := d.Readdirnames(maxSimilar)
	e.Similar = similar(filepath.Base(abs), names)
	return e
}
