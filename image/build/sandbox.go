package build

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path"
	"runtime"
	"sync"

	"coracle/image"
	"coracle/squash"

	"golang.org/x/sys/unix"
)

// ErrNoFiles says that an image is no file that could be unpacked.
var ErrNoFiles = errors.New("it is a directory already")

// A Unpacked is what has become of an image.
type Unpacked struct {
	Inodes  int
	Devices int   // device nodes, which an ordinary user cannot make
	Size    int64 // bytes of file contents
}

// Unpack writes the tree of an image file into the empty directory behind root. What only root can make is left out or
// made otherwise: everything belongs to the caller, devices are missing, setuid bits are taken away and the caller may always
// look into directories and files.
func Unpack(ctx context.Context, img *image.Image, root *os.Root) (Unpacked, error) {
	if img.Ext != nil {
		return Unpacked{}, image.ErrExt
	}
	if img.Squash == nil {
		return Unpacked{}, ErrNoFiles
	}
	u := &unpacker{ctx: ctx, r: img.Squash, root: root, first: map[uint32]string{}, dirs: map[squash.Ref]bool{}, files: make(chan unpackFile, 64)}
	for range max(1, runtime.GOMAXPROCS(0)) {
		u.workers.Go(u.work)
	}
	ino, err := u.r.Inode(u.r.Super().Root)
	if err == nil {
		err = u.directory(".", &ino, 0)
	}
	close(u.files)
	u.workers.Wait()
	if err == nil {
		err = u.failed()
	}
	if err == nil {
		err = u.finish()
	}
	return u.out, err
}

// An unpackFile is a file whose contents are to be written.
type unpackFile struct {
	name string
	ino  squash.Inode
}

type unpacker struct {
	ctx     context.Context
	r       *squash.Reader
	root    *os.Root
	first   map[uint32]string // inode number to the first name of files that have several
	links   [][2]string       // further names, made at the end
	late    []unpackFile      // directories, whose modes and times are set at the end
	dirs    map[squash.Ref]bool
	out     Unpacked
	files   chan unpackFile
	workers sync.WaitGroup

	mu  sync.Mutex
	err error // the first one of a worker
}

func (u *unpacker) fail(err error) {
	u.mu.Lock()
	defer u.mu.Unlock()
	if u.err == nil {
		u.err = err
	}
}

func (u *unpacker) failed() error {
	u.mu.Lock()
	defer u.mu.Unlock()
	return u.err
}

// directory makes what is in a directory that is there.
func (u *unpacker) directory(name string, ino *squash.Inode, depth int) error {
	if depth > maxDepth || u.dirs[ino.Ref] {
		return fmt.Errorf("%s: %w: directories without end", name, squash.ErrCorrupt)
	}
	u.dirs[ino.Ref] = true
	u.late = append(u.late, unpackFile{name, *ino})
	type child struct {
		name string
		ref  squash.Ref
	}
	var children []child
	err := u.r.ReadDir(ino, 0, func(d squash.Dirent, _ squash.Cursor) bool {
		children = append(children, child{string([]byte(d.Name)), d.Ref}) // the name is a view of a cached block
		return true
	})
	if err != nil {
		return err
	}
	for _, c := range children {
		below, err := u.r.Inode(c.ref)
		if err == nil {
			err = errors.Join(u.ctx.Err(), u.failed())
		}
		if err == nil {
			err = u.entry(path.Join(name, c.name), &below, depth)
		}
		if err != nil {
			return err
		}
	}
	return nil
}

// entry makes one entry of a directory.
func (u *unpacker) entry(name string, ino *squash.Inode, depth int) error {
	u.out.Inodes++
	if ino.Type != squash.Directory && ino.Links > 1 {
		if first, ok := u.first[ino.Number]; ok {
			u.links = append(u.links, [2]string{first, name})
			return nil
		}
		u.first[ino.Number] = name
	}
	switch ino.Type {
	case squash.Directory:
		if err := u.root.Mkdir(name, 0o700); err != nil {
			return err
		}
		return u.directory(name, ino, depth+1)
	case squash.Symlink:
		text, err := u.r.Readlink(ino)
		if err != nil {
			return err
		}
		return u.root.Symlink(text, name)
	case squash.Regular:
		u.out.Size += ino.Size
		u.files <- unpackFile{name, *ino}
		return nil
	case squash.Fifo:
		return u.fifo(name, ino)
	}
	u.out.Devices++
	delete(u.first, ino.Number)
	return nil
}

func (u *unpacker) fifo(name string, ino *squash.Inode) error {
	dir, err := u.root.Open(path.Dir(name))
	if err != nil {
		return err
	}
	defer dir.Close()
	return unix.Mkfifoat(int(dir.Fd()), path.Base(name), uint32(ino.Perm&0o777))
}

// work writes the contents of files.
func (u *unpacker) work() {
	buf := make([]byte, 1<<20)
	for f := range u.files {
		if u.failed() != nil || u.ctx.Err() != nil {
			continue // to the channel's end
		}
		if err := u.write(&f, buf); err != nil {
			u.fail(fmt.Errorf("/%s: %w", f.name, err))
		}
	}
}

func (u *unpacker) write(f *unpackFile, buf []byte) error {
	out, err := u.root.OpenFile(f.name, os.O_WRONLY|os.O_CREATE|os.O_EXCL, 0o600)
	if err != nil {
		return err
	}
	defer out.Close()
	for off := int64(0); off < f.ino.Size; {
		n, err := u.r.ReadAt(&f.ino, buf[:min(int64(len(buf)), f.ino.Size-off)], off)
		if n == 0 {
			return errors.Join(err, squash.ErrCorrupt)
		}
		if _, err := out.Write(buf[:n]); err != nil {
			return err
		}
		off += int64(n)
	}
	if err := out.Chmod(fs.FileMode(f.ino.Perm&0o777 | 0o400)); err != nil {
		return err
	}
	if err := out.Close(); err != nil {
		return err
	}
	return u.root.Chtimes(f.name, f.ino.ModTime(), f.ino.ModTime())
}

// finish makes further names, and sets modes and times of directories, the deepest first.
func (u *unpacker) finish() error {
	for _, l := range u.links {
		if err := u.root.Link(l[0], l[1]); err != nil {
			return err
		}
	}
	for i := len(u.late) - 1; i >= 0; i-- {
		d := u.late[i]
		if err := u.root.Chmod(d.name, fs.FileMode(d.ino.Perm&0o777|0o700)); err != nil {
			return err
		}
		if err := u.root.Chtimes(d.name, d.ino.ModTime(), d.ino.ModTime()); err != nil {
			return err
		}
	}
	return nil
}
