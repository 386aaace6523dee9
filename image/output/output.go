// Package output makes files that appear whole or not at all.
//
// Where the file system can, a file has no name before it is finished, so that nothing
// is left even by SIGKILL. Elsewhere, on NFS for one, it has a name that begins with a
// dot until then.
package output

import (
	"crypto/rand"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"sync"

	"golang.org/x/sys/unix"
)

// ErrExists says that there is something where the file is to go.
var ErrExists = errors.New("it exists already")

// OpCreate is what a [fs.PathError] about the directory of a new file says was done.
const OpCreate = "create a file in"

// A SpaceError says that a file system is too full.
type SpaceError struct {
	Dir        string
	Need, Free int64 // bytes
}

func (e *SpaceError) Error() string {
	return fmt.Sprintf("%s has %d MiB free, at least %d MiB are needed", e.Dir, e.Free>>20, (e.Need+1<<20-1)>>20)
}

// A File is on its way. Write to it, then call [File.Commit]; [File.Close] gives it up
// unless it has been committed.
type File struct {
	*os.File
	path string
	perm os.FileMode
	over bool // an existing file is replaced

	early *early // or nil: see SyncEarly

	mu   sync.Mutex
	temp string // its name for the time being, or ""
	done bool
}

// Create begins the file at path. With over, a file that is there is replaced at the end;
// without it, the error wraps [ErrExists]. A directory is never replaced.
func Create(path string, perm os.FileMode, over bool) (*File, error) {
	if fi, err := os.Lstat(path); err == nil {
		switch {
		case fi.IsDir():
			return nil, fmt.Errorf("%s: %w, a directory", path, ErrExists)
		case !over:
			return nil, fmt.Errorf("%s: %w", path, ErrExists)
		}
	}
	f := &File{path: path, perm: perm, over: over}
	dir := filepath.Dir(path)
	fd, err := unix.Open(dir, unix.O_TMPFILE|unix.O_RDWR|unix.O_CLOEXEC, 0o600)
	if _, perr := os.Stat("/proc/self/fd"); perr != nil && err == nil { // it could not be named
		unix.Close(fd)
		err = unix.ENOSYS
	}
	switch err {
	case nil:
		f.File = os.NewFile(uintptr(fd), path)
		return f, nil
	case unix.EOPNOTSUPP, unix.EISDIR, unix.EINVAL, unix.ENOENT, unix.ENOSYS: // NFS, FUSE, kernels before 3.11
	default:
		return nil, &fs.PathError{Op: OpCreate, Path: dir, Err: err}
	}
	f.temp = tempName(path)
	if f.File, err = os.OpenFile(f.temp, os.O_RDWR|os.O_CREATE|os.O_EXCL, 0o600); err != nil {
		return nil, err
	}
	return f, nil
}

// Nameless makes a file in dir that goes away when it is closed.
func Nameless(dir string) (*os.File, error) {
	fd, err := unix.Open(dir, unix.O_TMPFILE|unix.O_RDWR|unix.O_CLOEXEC, 0o600)
	if err == nil {
		return os.NewFile(uintptr(fd), dir), nil
	}
	f, err := os.CreateTemp(dir, ".coracle-")
	if err != nil {
		var path *fs.PathError
		if errors.As(err, &path) {
			err = path.Err // its name is nobody's business
		}
		return nil, &fs.PathError{Op: OpCreate, Path: dir, Err: err}
	}
	return f, os.Remove(f.Name())
}

// tempName returns a name beside path that nobody else uses.
func tempName(path string) string {
	return filepath.Join(filepath.Dir(path), "."+filepath.Base(path)+"."+strconv.Itoa(os.Getpid())+rand.Text()[:8]+".part")
}

// Commit writes the file to disk and gives it its name.
func (f *File) Commit() error { return f.commit(true) }

// CommitSoon gives the file its name, and leaves it to the system when the disk has it: if the machine stops before, the file has
// other bytes, or none.
func (f *File) CommitSoon() error { return f.commit(false) }

func (f *File) commit(sync bool) error {
	f.mu.Lock()
	defer f.mu.Unlock()
	if f.done {
		return os.ErrClosed
	}
	if err := f.publish(sync); err != nil {
		f.discard()
		return err
	}
	f.done = true
	return f.File.Close()
}

func (f *File) publish(sync bool) error {
	if err := f.File.Chmod(f.perm &^ umask()); err != nil {
		return err
	}
	err := f.early.end()
	f.early = nil
	if err == nil && sync {
		err = f.File.Sync()
	}
	if err != nil {
		return fmt.Errorf("write %s: %w", f.path, err)
	}
	if f.temp == "" {
		if !f.over {
			return f.exists(f.link(f.path))
		}
		temp := tempName(f.path)
		if err := f.link(temp); err != nil {
			return err
		}
		f.temp = temp
	}
	if !f.over {
		if err := os.Link(f.temp, f.path); err != nil && !f.arrived() {
			return f.exists(err)
		}
		return os.Remove(f.temp)
	}
	if err := os.Rename(f.temp, f.path); err != nil && !f.arrived() {
		return err
	}
	return nil
}

// arrived reports whether the file has its name, although the system says that it could not be given: a server of NFS
// whose answer is lost carries out a request, is asked again, and finds that it has been carried out.
//
// Source: link(2), rename(2), "BUGS".
func (f *File) arrived() bool {
	mine, err := f.File.Stat()
	if err != nil {
		return false
	}
	there, err := os.Lstat(f.path)
	return err == nil && os.SameFile(mine, there)
}

// link gives the nameless file a name.
func (f *File) link(name string) error {
	self := "/proc/self/fd/" + strconv.Itoa(int(f.File.Fd()))
	if err := unix.Linkat(unix.AT_FDCWD, self, unix.AT_FDCWD, name, unix.AT_SYMLINK_FOLLOW); err != nil {
		return &fs.PathError{Op: "create", Path: name, Err: err}
	}
	return nil
}

func (f *File) exists(err error) error {
	if errors.Is(err, fs.ErrExist) {
		return fmt.Errorf("%s: %w", f.path, ErrExists)
	}
	return err
}

// Close gives the file up, unless it has been committed.
func (f *File) Close() error {
	f.mu.Lock()
	defer f.mu.Unlock()
	if f.done {
		return nil
	}
	return f.discard()
}

func (f *File) discard() error {
	f.done = true
	f.early.end()
	err := f.File.Close()
	if f.temp != "" {
		err = errors.Join(err, os.Remove(f.temp))
	}
	return err
}

// umask reads the process's file mode mask where that can be had without changing it.
func umask() os.FileMode {
	b, err := os.ReadFile("/proc/self/status")
	if err != nil {
		return 0o077
	}
	var mask os.FileMode = 0o077
	for line := range strings.Lines(string(b)) {
		fmt.Sscanf(line, "Umask: %o", &mask)
	}
	return mask
}

// NeedSpace returns a *[SpaceError] if dir's file system has less than need bytes that the
// user may take.
func NeedSpace(dir string, need int64) error {
	var st unix.Statfs_t
	if err := unix.Statfs(dir, &st); err != nil || st.Bsize <= 0 || st.Blocks == 0 { // ramfs, and tmpfs with size=0, have no bounds
		return nil // the writing will tell
	}
	if free := int64(st.Bavail) * st.Bsize; free < need {
		return &SpaceError{Dir: dir, Need: need, Free: free}
	}
	return nil
}
