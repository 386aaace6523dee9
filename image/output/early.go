package output

import (
	"io"
	"os"
	"sync/atomic"

	"golang.org/x/sys/unix"
)

// How much is written, in bytes, before the disk is told to take it: the first time, when it has nothing to do yet, and later. Each
// time costs a commit of the file system's journal, if it has one, and whoever writes may have to wait.
const (
	earlyFirst = 4 << 20
	earlyStep  = 16 << 20
)

// An early writes to disk what a file has become, while it becomes more.
type early struct {
	written    atomic.Int64  // bytes since the last sync began
	more       chan struct{} // enough of them are there
	stop, done chan struct{}
	err        error // the first one; good when done is closed
}

// SyncEarly has the disk take what is written to the file while more is written, so that Commit, which waits for all of it, has less
// to wait for. It is of use for large files. Call it once, before anything is written.
//
// fdatasync(2) does more for that than sync_file_range(2), which leaves emptying the disk's own cache to the end.
func (f *File) SyncEarly() {
	f.early = newEarly(f.File, datasync)
}

func newEarly(f *os.File, sync func(*os.File) error) *early {
	e := &early{more: make(chan struct{}, 1), stop: make(chan struct{}), done: make(chan struct{})}
	e.written.Store(earlyStep - earlyFirst)
	go e.run(f, sync)
	return e
}

func (e *early) run(f *os.File, sync func(*os.File) error) {
	defer close(e.done)
	for {
		select {
		case <-e.stop:
			return
		case <-e.more:
		}
		e.written.Store(0)
		if e.err = sync(f); e.err != nil { // the kernel says it once: the sync at the end may know nothing of it
			return
		}
	}
}

// wrote counts n bytes. e may be nil.
func (e *early) wrote(n int) {
	if e == nil || e.written.Add(int64(n)) < earlyStep {
		return
	}
	select {
	case e.more <- struct{}{}:
	default:
	}
}

// end waits for what is under way and returns the first error. e may be nil, and is not used afterwards.
func (e *early) end() error {
	if e == nil {
		return nil
	}
	close(e.stop)
	<-e.done
	return e.err
}

// Reserve has the file system find room for the first size bytes, if it can, while it has nothing else to do: it may have to look on
// the disk for that, and whoever writes then waits. What is too much goes back when the file is truncated.
func (f *File) Reserve(size int64) {
	if c, err := f.SyscallConn(); err == nil {
		c.Control(func(fd uintptr) { unix.Fallocate(int(fd), unix.FALLOC_FL_KEEP_SIZE, 0, size) })
	}
}

// Write is that of [os.File], as are WriteAt and ReadFrom, and tells SyncEarly of it.
func (f *File) Write(b []byte) (int, error) {
	n, err := f.File.Write(b)
	f.early.wrote(n)
	return n, err
}

// WriteAt belongs to [io.WriterAt].
func (f *File) WriteAt(b []byte, off int64) (int, error) {
	n, err := f.File.WriteAt(b, off)
	f.early.wrote(n)
	return n, err
}

// ReadFrom belongs to [io.ReaderFrom]: what is read from a file is copied in the kernel.
func (f *File) ReadFrom(r io.Reader) (n int64, err error) {
	for err == nil {
		var step int64
		step, err = io.CopyN(f.File, r, earlyStep)
		n += step
		f.early.wrote(int(step))
	}
	if err == io.EOF {
		err = nil
	}
	return n, err
}

func datasync(f *os.File) error {
	c, err := f.SyscallConn()
	if err != nil {
		return err
	}
	err2 := c.Control(func(fd uintptr) {
		for err = unix.EINTR; err == unix.EINTR; {
			err = unix.Fdatasync(int(fd))
		}
	})
	if err2 != nil {
		return err2
	}
	return os.NewSyscallError("fdatasync", err)
}
