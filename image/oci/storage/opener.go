package storage

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path"
	"sync"

	"golang.org/x/sys/unix"
)

// An opener opens files of layers. What the user may not read belongs to subordinate ids: a helper reads it, which it
// starts when the first such file comes.
type opener struct {
	maps func() Maps

	mu     sync.Mutex
	helper *helper
	failed error // why there is no helper
}

// file opens the regular file called name below dir, as an unpacker that lives in dir would have found it.
func (o *opener) file(ctx context.Context, dir, name string) (*os.File, error) {
	f, err := openBelow(dir, name)
	if !errors.Is(err, fs.ErrPermission) {
		return f, err
	}
	o.mu.Lock()
	defer o.mu.Unlock()
	if o.helper == nil && o.failed == nil {
		o.helper, o.failed = o.start(ctx)
	}
	if o.failed != nil {
		return nil, fmt.Errorf("%w: %w", err, o.failed)
	}
	return o.helper.file(dir, name)
}

func (o *opener) start(ctx context.Context) (*helper, error) {
	if o.maps == nil {
		return nil, ErrSubIDs
	}
	return startHelper(ctx, o.maps())
}

func (o *opener) close() error {
	o.mu.Lock()
	defer o.mu.Unlock()
	if o.helper == nil {
		return nil
	}
	h := o.helper
	o.helper, o.failed = nil, os.ErrClosed
	return h.close()
}

// openBelow opens a regular file. Symbolic links on the way are followed inside dir, the last name is none.
func openBelow(dir, name string) (*os.File, error) {
	root, err := unix.Open(dir, unix.O_PATH|unix.O_DIRECTORY|unix.O_CLOEXEC, 0)
	if err != nil {
		return nil, &fs.PathError{Op: "open", Path: dir, Err: err}
	}
	defer unix.Close(root)
	name = path.Clean("/" + name)[1:]
	how := unix.OpenHow{Flags: unix.O_RDONLY | unix.O_NOFOLLOW | unix.O_NONBLOCK | unix.O_CLOEXEC, Resolve: unix.RESOLVE_IN_ROOT | unix.RESOLVE_NO_MAGICLINKS}
	fd, err := unix.Openat2(root, name, &how)
	if err == unix.ENOSYS { // Linux before 5.6
		return openRooted(dir, name)
	}
	if err != nil {
		return nil, &fs.PathError{Op: "open", Path: path.Join(dir, name), Err: err}
	}
	return regular(os.NewFile(uintptr(fd), path.Join(dir, name)))
}

// openRooted does the same on kernels that cannot resolve a path inside a directory. A link that is absolute is an error.
func openRooted(dir, name string) (*os.File, error) {
	root, err := os.OpenRoot(dir)
	if err != nil {
		return nil, err
	}
	defer root.Close()
	f, err := root.OpenFile(name, os.O_RDONLY|unix.O_NONBLOCK, 0)
	if err != nil {
		return nil, err
	}
	return regular(f)
}

func regular(f *os.File) (*os.File, error) {
	fi, err := f.Stat()
	if err == nil && !fi.Mode().IsRegular() {
		err = fmt.Errorf("%w: %q is not a regular file", ErrCorrupt, f.Name())
	}
	if err != nil {
		f.Close()
		return nil, err
	}
	return f, nil
}
