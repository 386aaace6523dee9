package build

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path"
	"runtime"
	"sync"
	"sync/atomic"

	"coracle/image"
	"coracle/image/record"
	"coracle/squash"

	"golang.org/x/sys/unix"
)

// A Unpacked is what has become of an image.
type Unpacked struct {
	Inodes int
	Size   int64 // bytes of file contents
}

// Unpack writes the tree of an image file, or of another sandbox, into the empty directory behind root. What the caller cannot give to a file (owners,
// setuid bits, capabilities, what makes it a device) is recorded (package record), for [Repack] to read it. Root, be it of a
// user namespace, gives what it can.
func Unpack(ctx context.Context, img *image.Image, root *os.Root) (Unpacked, error) {
	return unpack(ctx, img, root, os.Geteuid() == 0)
}

func unpack(ctx context.Context, img *image.Image, root *os.Root, privileged bool) (Unpacked, error) {
	if img.Ext != nil {
		return Unpacked{}, image.ErrExt
	}
	u := &unpacker{
		ctx: ctx, root: root, privileged: privileged,
		first: map[uint32]string{}, dirs: map[squash.Ref]bool{}, files: make(chan unpackFile, 256),
	}
	if err := u.from(img); err != nil {
		return Unpacked{}, err
	}
	u.begin()
	for range max(1, runtime.GOMAXPROCS(0)) {
		u.workers.Go(u.work)
	}
	err := u.all()
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

// A folder is a directory that is being filled. It is closed when the last one that needs it is done: the walk, or a
// file in it whose contents are to be written.
type folder struct {
	path string // from the top; "." is the top
	fd   int
	refs atomic.Int32
}

func (f *folder) release() {
	if f.refs.Add(-1) == 0 {
		unix.Close(f.fd)
	}
}

// An unpackFile is a file whose contents are to be written.
type unpackFile struct {
	dir  *folder
	name string
	ino  squash.Inode
}

type unpacker struct {
	ctx        context.Context
	r          treeReader
	root       *os.Root
	privileged bool              // the caller is root, if of a user namespace only
	created    string            // when the image was made, in seconds since 1970; "" unknown
	first      map[uint32]string // inode number to the first name of files that have several
	links      [][2]string       // further names, made at the end
	late       []unpackDir       // directories, whose attributes are set at the end
	dirs       map[squash.Ref]bool
	out        Unpacked
	files      chan unpackFile
	workers    sync.WaitGroup

	mu   sync.Mutex
	err  error // the first one of a worker
	spec record.Spec
}

// An unpackDir is a directory that has been made.
type unpackDir struct {
	path string
	ino  squash.Inode
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

// begin marks the directory, so that it can be told for what it is before it is complete.
func (u *unpacker) begin() {
	if top, err := u.root.Open("."); err == nil {
		unix.Fsetxattr(int(top.Fd()), record.CreatedAttr, []byte(u.created), 0) // giveTop sees whether it could be
		top.Close()
	}
}

// all makes everything but what is left for finish.
func (u *unpacker) all() error {
	ino, err := u.r.Inode(u.r.Root())
	if err != nil {
		return err
	}
	top, err := u.root.Open(".")
	if err != nil {
		return err
	}
	defer top.Close()
	return u.directory(int(top.Fd()), ".", ".", &ino, 0)
}

// directory fills the directory name in the one behind at. Its path is dir.
func (u *unpacker) directory(at int, name, dir string, ino *squash.Inode, depth int) error {
	if depth > maxDepth || u.dirs[ino.Ref] {
		return fmt.Errorf("%s: %w: directories without end", dir, squash.ErrCorrupt)
	}
	u.dirs[ino.Ref] = true
	u.late = append(u.late, unpackDir{dir, *ino})
	children, err := u.children(ino)
	if err != nil {
		return err
	}
	fd, err := unix.Openat(at, name, unix.O_RDONLY|unix.O_DIRECTORY|unix.O_NOFOLLOW|unix.O_CLOEXEC, 0)
	if err != nil {
		return &os.PathError{Op: "open", Path: dir, Err: err}
	}
	f := &folder{path: dir, fd: fd}
	f.refs.Store(1)
	defer f.release()
	for _, c := range children {
		below, err := u.r.Inode(c.ref)
		if err == nil {
			err = errors.Join(u.ctx.Err(), u.failed())
		}
		if err == nil {
			err = u.entry(f, c.name, &below, depth)
		}
		if err != nil {
			return err
		}
	}
	return nil
}

type unpackChild struct {
	name string
	ref  squash.Ref
}

func (u *unpacker) children(ino *squash.Inode) (list []unpackChild, err error) {
	err = u.r.ReadDir(ino, 0, func(d squash.Dirent, _ squash.Cursor) bool {
		list = append(list, unpackChild{string([]byte(d.Name)), d.Ref}) // the name is a view of a cached block
		return true
	})
	return list, err
}

// entry makes one entry of a directory.
func (u *unpacker) entry(dir *folder, name string, ino *squash.Inode, depth int) error {
	full := path.Join(dir.path, name)
	if full == record.SpecName {
		return nil // of an image that was made of a sandbox by something else: here it would be believed
	}
	u.out.Inodes++
	if ino.Type != squash.Directory && ino.Links > 1 {
		if first, ok := u.first[ino.Number]; ok {
			u.links = append(u.links, [2]string{first, full})
			return nil
		}
		u.first[ino.Number] = full
	}
	switch ino.Type {
	case squash.Directory:
		if err := unix.Mkdirat(dir.fd, name, 0o700); err != nil {
			return &os.PathError{Op: "mkdir", Path: full, Err: err}
		}
		return u.directory(dir.fd, name, full, ino, depth+1)
	case squash.Regular:
		u.out.Size += ino.Size
		dir.refs.Add(1)
		u.files <- unpackFile{dir, name, *ino}
		return nil
	}
	if err := u.special(dir, name, ino); err != nil {
		return &os.PathError{Op: "make", Path: full, Err: err}
	}
	return nil
}

// special makes what is neither a file nor a directory. Where there cannot be a device an empty file stands for it.
func (u *unpacker) special(dir *folder, name string, ino *squash.Inode) error {
	mode := uint32(0o600)
	switch ino.Type {
	case squash.Symlink:
		text, err := u.r.Readlink(ino)
		if err == nil {
			err = unix.Symlinkat(text, dir.fd, name)
		}
		if err != nil {
			return err
		}
		return u.give(dir, name, -1, ino)
	case squash.Fifo:
		mode |= unix.S_IFIFO
	case squash.Socket:
		mode |= unix.S_IFSOCK
	case squash.CharDevice:
		mode |= unix.S_IFCHR
	case squash.BlockDevice:
		mode |= unix.S_IFBLK
	}
	device := mode&unix.S_IFMT == unix.S_IFCHR || mode&unix.S_IFMT == unix.S_IFBLK
	err := unix.EPERM
	if !device || u.privileged {
		major, minor := ino.Device()
		err = errnoOf(unix.Mknodat(dir.fd, name, mode, int(unix.Mkdev(major, minor))))
	}
	if err == 0 {
		return u.give(dir, name, -1, ino)
	}
	if !device || err != unix.EPERM {
		return err
	}
	fd, oerr := unix.Openat(dir.fd, name, unix.O_WRONLY|unix.O_CREAT|unix.O_EXCL|unix.O_NOFOLLOW|unix.O_CLOEXEC, 0o600)
	if oerr != nil {
		return oerr
	}
	defer unix.Close(fd)
	return u.give(dir, name, fd, ino)
}

func errnoOf(err error) unix.Errno {
	var no unix.Errno
	if err != nil && !errors.As(err, &no) {
		return unix.EIO
	}
	return no
}

// work writes the contents of files.
func (u *unpacker) work() {
	buf := make([]byte, 1<<20)
	for f := range u.files {
		if u.failed() == nil && u.ctx.Err() == nil { // else: to the channel's end
			if err := u.write(&f, buf); err != nil {
				u.fail(fmt.Errorf("/%s: %w", path.Join(f.dir.path, f.name), err))
			}
		}
		f.dir.release()
	}
}

func (u *unpacker) write(f *unpackFile, buf []byte) error {
	fd, err := unix.Openat(f.dir.fd, f.name, unix.O_WRONLY|unix.O_CREAT|unix.O_EXCL|unix.O_NOFOLLOW|unix.O_CLOEXEC, 0o600)
	if err != nil {
		return err
	}
	out := os.NewFile(uintptr(fd), f.name)
	defer out.Close()
	for off := int64(0); off < f.ino.Size; {
		n, err := u.r.ReadAt(&f.ino, buf[:min(int64(len(buf)), f.ino.Size-off)], off)
		if n == 0 && err == nil {
			err = squash.ErrCorrupt
		}
		if n == 0 {
			return err
		}
		if _, err := out.Write(buf[:n]); err != nil {
			return err
		}
		off += int64(n)
	}
	if err := u.give(f.dir, f.name, fd, &f.ino); err != nil {
		return err
	}
	return out.Close()
}

// finish makes further names, and gives directories their attributes, the deepest first.
func (u *unpacker) finish() error {
	for _, l := range u.links {
		if err := u.root.Link(l[0], l[1]); err != nil {
			return err
		}
	}
	for i := len(u.late) - 1; i >= 0; i-- {
		d := &u.late[i]
		f, err := u.root.Open(d.path)
		if err != nil {
			return err
		}
		dir := &folder{path: d.path, fd: int(f.Fd())}
		if i > 0 {
			err = u.give(dir, ".", dir.fd, &d.ino)
		} else {
			err = u.giveTop(dir, &d.ino)
		}
		f.Close()
		if err != nil {
			return &os.PathError{Op: "give attributes to", Path: d.path, Err: err}
		}
	}
	return nil
}
