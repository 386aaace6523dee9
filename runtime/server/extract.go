package server

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"strconv"

	"coracle/runtime/extract"
	"coracle/runtime/mnt"
	"coracle/runtime/remove"

	"golang.org/x/sys/unix"
)

// Where there is no FUSE, a server extracts its images into a directory of the host, for all launches that share it, and
// hands out read-only binds of them. Clients that come meanwhile wait. When the last process is gone that lives
// in the server's user namespace, the directory is removed.

// An extraction is the directory that the images are extracted in:
//
//	DIR/coracle-image-UID-NAMESPACE-RANDOM/0, 1, …
//
// NAMESPACE is the inode of the server's user namespace: whoever finds the directory of a server that has been killed
// can tell whether anybody lives on in it.
type extraction struct {
	parent int // the directory DIR
	name   string
	dir    int    // locked
	proc   int    // the host's /proc
	users  uint64 // inode of the server's user namespace
}

// extractPrefix begins the names of the directories.
func extractPrefix() string { return "coracle-image-" + strconv.Itoa(os.Getuid()) + "-" }

// extract makes trees of the images while clients wait. nil, and no error: the last client has gone.
func (c *clients) extract(images []*served, conf *Config) (*extraction, error) {
	x, err := newExtraction(conf.Dir)
	if err != nil {
		return nil, err
	}
	if err = x.fillFor(c, images, conf); err == nil && c.any() {
		return x, nil
	}
	x.remove()
	c.removals.Wait()
	return nil, err
}

// newExtraction makes the directory.
func newExtraction(parent string) (*extraction, error) {
	x := &extraction{dir: -1}
	var st unix.Stat_t
	if err := unix.Stat("/proc/self/ns/user", &st); err != nil {
		return nil, fmt.Errorf("look at /proc/self/ns/user: %w", err)
	}
	x.users = st.Ino
	var err error
	if x.proc, err = unix.Open("/proc", unix.O_RDONLY|unix.O_DIRECTORY|unix.O_CLOEXEC, 0); err != nil {
		return nil, fmt.Errorf("open /proc: %w", err)
	}
	if x.parent, err = unix.Open(parent, unix.O_RDONLY|unix.O_DIRECTORY|unix.O_CLOEXEC, 0); err != nil {
		return nil, fmt.Errorf("extract to %s: %w", parent, err)
	}
	for range 16 {
		x.name = extractPrefix() + strconv.FormatUint(x.users, 10) + "-" + RandomName()
		if err = unix.Mkdirat(x.parent, x.name, 0o700); err != nil {
			break
		}
		if x.dir, err = ClaimDir(x.parent, x.name); !errors.Is(err, unix.EWOULDBLOCK) && !errors.Is(err, fs.ErrNotExist) {
			break
		}
	}
	if err != nil {
		return nil, fmt.Errorf("extract to %s: %w", parent, err)
	}
	return x, nil
}

// remove removes the directory with all that is in it.
func (x *extraction) remove() {
	remove.Tree(x.parent, x.name)
	unix.Close(x.dir)
}

// LeftImages are trees that servers have left that were killed. The zero value is none.
type LeftImages struct {
	dir   int
	names []string
}

// FindLeftImages takes those in dir in which no container lives on. It takes the rights of whoever starts servers: a server cannot
// look at the clients of another. Call it before a server is started, for that may get the number of a namespace that is gone.
func FindLeftImages(dir string) (l LeftImages) {
	var err error
	if l.dir, err = unix.Open(dir, unix.O_RDONLY|unix.O_DIRECTORY|unix.O_CLOEXEC, 0); err != nil {
		return LeftImages{} // the server will say so
	}
	found := Left(l.dir, extractPrefix())
	if len(found) == 0 {
		unix.Close(l.dir)
		return LeftImages{}
	}
	proc, err := unix.Open("/proc", unix.O_RDONLY|unix.O_DIRECTORY|unix.O_CLOEXEC, 0)
	for _, name := range found {
		var ns uint64
		fmt.Sscanf(name, extractPrefix()+"%d-", &ns) // 0: nobody's
		if err != nil || ns != 0 && inhabited(proc, ns) {
			continue
		}
		if old, ok := TakeOld(l.dir, extractPrefix(), name); ok {
			l.names = append(l.names, old)
		}
	}
	unix.Close(proc)
	return l
}

// Discard has the server behind sock remove them.
func (l *LeftImages) Discard(sock int) {
	for _, name := range l.names {
		Discard(sock, l.dir, name)
	}
	if l.dir > 0 {
		unix.Close(l.dir)
	}
}

// fillFor extracts the images while clients come and go. It ends early when the last one has gone.
func (x *extraction) fillFor(c *clients, images []*served, conf *Config) error {
	var pipe [2]int
	if err := unix.Pipe2(pipe[:], unix.O_CLOEXEC); err != nil {
		return err
	}
	defer unix.Close(pipe[0])
	ctx, cancel := context.WithCancel(context.Background())
	defer cancel()
	result := make(chan error, 1)
	go func() {
		result <- x.fill(ctx, images, conf)
		unix.Close(pipe[1]) // wakes attend
	}()
	if !c.attend(pipe[0]) {
		cancel()
		<-result
		return nil
	}
	return <-result
}

// fill extracts the images, one after the other: each keeps all processors busy.
func (x *extraction) fill(ctx context.Context, images []*served, conf *Config) error {
	var o extract.Options
	if conf.many() {
		o.UID, o.GID = within(conf.UIDs, conf.Uid), within(conf.GIDs, conf.Gid)
	}
	for i, s := range images {
		if s.image.Ext {
			continue
		}
		err := x.check(ctx, s)
		if err == nil {
			err = x.one(ctx, i, s, &o)
		}
		if err != nil {
			return fmt.Errorf("extract %s to %s: %w", s.image.Path, conf.Dir, err)
		}
	}
	return nil
}

// check finds out whether there is room for an image.
func (x *extraction) check(ctx context.Context, s *served) error {
	need, err := extract.Measure(ctx, s.reader)
	if err != nil {
		return err
	}
	room, err := extract.Room(x.dir)
	if err == nil && (need.Bytes > room.Bytes || need.Entries > room.Entries) {
		err = fmt.Errorf("it takes %d MiB and %d files, there is room for %d MiB and %d files: %w",
			need.Bytes>>20, need.Entries, room.Bytes>>20, room.Entries, unix.ENOSPC)
	}
	return err
}

func (x *extraction) one(ctx context.Context, i int, s *served, o *extract.Options) error {
	name := strconv.Itoa(i)
	if err := unix.Mkdirat(x.dir, name, 0o700); err != nil {
		return err
	}
	var err error
	if s.tree, err = unix.Openat(x.dir, name, unix.O_RDONLY|unix.O_DIRECTORY|unix.O_NOFOLLOW|unix.O_CLOEXEC, 0); err != nil {
		return err
	}
	return extract.Tree(ctx, s.reader, s.tree, o)
}

// bindTree binds what has been extracted.
func (s *served) bindTree(conf *Config) error {
	defer unix.Close(s.tree)
	target, err := unix.Open(s.mount, unix.O_PATH|unix.O_CLOEXEC, 0)
	if err == nil {
		err = mnt.Bind(s.tree, target, false, conf.imageAttr())
		unix.Close(target)
	}
	if err != nil {
		return fmt.Errorf("bind the extracted image: %w", err)
	}
	return s.file.Close()
}
