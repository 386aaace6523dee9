//go:build !lean

package main

import (
	"crypto/rand"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"time"

	"coracle/image"
	"coracle/image/mkfs"
	"coracle/image/output"
	"coracle/image/sif"
	"coracle/runtime"

	"golang.org/x/sys/unix"
)

// defaultSize of a file system, in bytes: Apptainer's.
const defaultSize = 64 << 20

// bytes reads --size: MiB, unless there is a unit.
func (f *overlayFlags) bytes() (int64, error) {
	if f.size == "" {
		return defaultSize, nil
	}
	size := f.size
	if strings.Trim(size, "0123456789") == "" {
		size += "M"
	}
	n, err := parseSize(size)
	if err != nil {
		return 0, usageErrorf("--size: %v", err)
	}
	return n &^ 4095, nil
}

// createImage makes a file with an empty ext4 file system. It has its name once it is complete.
func (f *overlayFlags) createImage(c *cli, path string) error {
	size, err := f.bytes()
	if err != nil {
		return err
	}
	if parent := filepath.Dir(path); !exists(parent) {
		return &fs.PathError{Op: output.OpCreate, Path: parent, Err: fs.ErrNotExist}
	}
	out, err := output.Create(path, 0o666, false)
	if err != nil {
		return err
	}
	defer out.Close()
	err = f.format(out.File, 0, size)
	if err == nil {
		err = out.Commit()
	}
	if err != nil {
		return fmt.Errorf("make %s: %w", path, full(err))
	}
	f.tell(c, path, size)
	return nil
}

// addPartition adds an empty ext4 file system to a SIF file, as an overlay partition. Whenever that is interrupted, what was in the
// file is in it.
func (f *overlayFlags) addPartition(c *cli, path string) error {
	size, err := f.bytes()
	if err != nil {
		return err
	}
	file, err := os.OpenFile(path, os.O_RDWR, 0)
	if err != nil {
		return err
	}
	defer file.Close()
	if err := runtime.LockOverlay(int(file.Fd()), path); err != nil {
		return err
	}
	fi, err := file.Stat()
	if err != nil {
		return err
	}
	s, err := sif.Read(file, fi.Size())
	if err != nil {
		return &image.PathError{Path: path, Err: err}
	}
	if err := fitForLayer(s); err != nil {
		return &sifOverlayError{path, err}
	}
	if err := f.extend(file, s, size); err != nil {
		return fmt.Errorf("%s: add an overlay partition: %w", path, errors.Join(full(err), file.Truncate(fi.Size())))
	}
	f.tell(c, path, size)
	return nil
}

// fitForLayer tells whether a SIF file can have a writable layer of its own.
func fitForLayer(s *sif.File) error {
	if s.Find(sif.TypeSignature, "") != nil {
		return image.ErrSigned
	}
	for i := range s.Descriptors {
		if p, ok := s.Descriptors[i].Partition(); ok && p.Part == sif.PartOverlay && p.FS == sif.FSExt3 {
			return errHasLayer
		}
	}
	if s.Header.DescriptorsTotal <= int64(len(s.Descriptors)) {
		return sif.ErrFull
	}
	return nil
}

// extend writes the file system behind all that is in the file, and then says that it is there.
func (f *overlayFlags) extend(file *os.File, s *sif.File, size int64) error {
	at, err := s.Place()
	if err != nil {
		return err
	}
	if err := file.Truncate(at); err != nil { // what lies behind is nobody's, and is to be zeros
		return err
	}
	if err := f.format(file, at, size); err != nil {
		return err
	}
	if err := file.Sync(); err != nil {
		return err
	}
	return errors.Join(s.AddOverlay(file, sif.FSExt3, size, time.Now().Unix()), file.Sync())
}

// format makes a file system of size bytes at the end of a file, which is at offset at.
func (f *overlayFlags) format(file *os.File, at, size int64) error {
	if err := file.Truncate(at + size); err != nil {
		return err
	}
	if !f.sparse {
		if err := allocate(file, at, size); err != nil {
			return err
		}
	}
	o := mkfs.Options{UID: os.Getuid(), GID: os.Getgid(), Dirs: f.dirs, Time: time.Now()}
	if f.fakeroot {
		o.UID, o.GID = 0, 0
	}
	rand.Read(o.UUID[:])
	o.UUID[6], o.UUID[8] = o.UUID[6]&0x0f|0x40, o.UUID[8]&0x3f|0x80 // a random one, RFC 9562
	return mkfs.Write(&section{file, at}, size, &o)
}

// allocate gets the room on the disk now, so that it cannot be missing later.
func allocate(file *os.File, at, size int64) error {
	err := unix.Fallocate(int(file.Fd()), 0, at, size)
	if !errors.Is(err, unix.EOPNOTSUPP) && !errors.Is(err, unix.ENOSYS) {
		return err
	}
	zeros := make([]byte, 1<<20)
	for end := at + size; at < end; at += int64(len(zeros)) {
		if _, err := file.WriteAt(zeros[:min(int64(len(zeros)), end-at)], at); err != nil {
			return err
		}
	}
	return nil
}

// A section is what lies in a file from an offset on.
type section struct {
	file *os.File
	at   int64
}

func (s *section) WriteAt(p []byte, off int64) (int, error) { return s.file.WriteAt(p, s.at+off) }

// tell says what was made.
func (f *overlayFlags) tell(c *cli, path string, size int64) {
	if c.global.quiet || c.global.silent {
		return
	}
	how := ""
	if f.sparse {
		how = "  sparse"
	}
	fmt.Fprintf(c.err, "%s  %d MiB  ext4%s\n", path, size>>20, how)
}
