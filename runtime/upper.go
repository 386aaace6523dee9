package runtime

import (
	"errors"
	"io/fs"
	"os"
	"path/filepath"
	"strconv"

	"coracle/runtime/server"

	"golang.org/x/sys/unix"
)

// A BusyError says that an overlay has a writer already.
type BusyError = server.BusyError

// A diskUpper is the launcher's part of a writable layer on disk.
type diskUpper struct {
	dir int // UpperDir: the locked directory. UpperImage: the locked file. UpperScratch: the directory that one is made in. -1: none
}

// openUpper looks after the place of a writable layer on disk before anything is started. A directory that
// another container writes to is a [*BusyError].
func openUpper(u *Upper) (diskUpper, error) {
	if u.Kind == UpperImage {
		return openImage(u)
	}
	if !u.onDisk() {
		return diskUpper{-1}, nil
	}
	dir, err := unix.Open(u.Path, unix.O_RDONLY|unix.O_DIRECTORY|unix.O_CLOEXEC, 0)
	if err != nil {
		return diskUpper{-1}, &UpperError{Path: u.Path, Why: u.Why, Err: err}
	}
	if u.Kind == UpperScratch {
		return diskUpper{dir}, nil
	}
	if err := LockOverlay(dir, u.Path); err != nil {
		return diskUpper{-1}, err
	}
	if err := makeUpper(u.Path); err != nil {
		return diskUpper{-1}, &UpperError{Path: u.Path, Why: u.Why, Err: err}
	}
	return diskUpper{dir}, nil
}

// openImage opens an image that is written to, and locks it. The image server gets the descriptor, and from it
// fuse2fs: the lock is held as long as either lives.
func openImage(u *Upper) (diskUpper, error) {
	fd, err := unix.Open(u.Path, unix.O_RDWR|unix.O_CLOEXEC, 0)
	if err != nil {
		return diskUpper{-1}, &UpperError{Path: u.Path, Why: u.Why, Err: err}
	}
	if err := LockOverlay(fd, u.Path); err != nil {
		unix.Close(fd)
		return diskUpper{-1}, err
	}
	return diskUpper{fd}, nil
}

// LockOverlay makes this process the writer of the overlay, a directory or an image file, behind the descriptor fd, until
// every copy of the descriptor is closed. path is for messages. When there is a writer already the error is a *[BusyError].
func LockOverlay(fd int, path string) error { return server.Lock(fd, path, true) }

// handOver leaves the layer to the image server behind sock, and makes it where it is a new one.
func (d diskUpper) handOver(sock int, u *Upper) error {
	switch u.Kind {
	case UpperDir:
		return errors.Join(server.Keep(sock, d.dir), unix.Close(d.dir))
	case UpperImage:
		return unix.Close(d.dir)
	case UpperScratch:
		defer unix.Close(d.dir)
		d.discardOld(sock)
		return d.makeScratch(sock, u)
	}
	return nil
}

// scratchPrefix begins the names of directories that are gone with the last process.
func scratchPrefix() string { return "coracle-scratch-" + strconv.Itoa(os.Getuid()) + "-" }

// makeScratch makes a directory that is removed at the end, and locks it: that is how others see that it is in use.
func (d diskUpper) makeScratch(sock int, u *Upper) error {
	for range 16 {
		name := scratchPrefix() + server.RandomName()
		if err := server.Remove(sock, d.dir, name); err != nil {
			return err
		}
		if err := unix.Mkdirat(d.dir, name, 0o700); err != nil {
			return &UpperError{Path: u.Path, Why: u.Why, Err: err}
		}
		fd, err := server.ClaimDir(d.dir, name)
		if errors.Is(err, unix.EWOULDBLOCK) || errors.Is(err, fs.ErrNotExist) {
			continue // taken for an old one before it was locked
		}
		if err != nil {
			return &UpperError{Path: u.Path, Why: u.Why, Err: err}
		}
		u.Made = name
		err = makeUpper(u.dir())
		if errors.Is(err, fs.ErrNotExist) {
			unix.Close(fd)
			continue
		}
		if err != nil {
			unix.Close(fd)
			return &UpperError{Path: u.Path, Why: u.Why, Err: err}
		}
		return errors.Join(server.Keep(sock, fd), unix.Close(fd))
	}
	return &UpperError{Path: u.Path, Why: u.Why, Err: unix.EEXIST}
}

// discardOld has the directories removed that a server left when it was killed: those that nobody has locked.
func (d diskUpper) discardOld(sock int) {
	for _, name := range server.Left(d.dir, scratchPrefix()) {
		if old, ok := server.TakeOld(d.dir, scratchPrefix(), name); ok {
			server.Discard(sock, d.dir, old)
		}
	}
}

// abandon removes what was made for a server that never came to life. What it may still do itself is done twice.
func (u *Upper) abandon() {
	if u.Kind == UpperScratch && u.Made != "" {
		os.RemoveAll(filepath.Join(u.Path, u.Made))
	}
}
