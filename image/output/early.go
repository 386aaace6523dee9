package output

import (
	"os"
	"time"

	"golang.org/x/sys/unix"
)

// How much is written, in bytes, before the disk is told to take it, and how often that is looked at. Each time costs a commit of
// the file system's journal, for which whoever writes may have to wait.
const (
	earlyStep = 16 << 20
	earlyTick = 10 * time.Millisecond
)

// An early writes to disk what a file has become, while it becomes more.
type early struct {
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
	e := &early{stop: make(chan struct{}), done: make(chan struct{})}
	go e.run(f, sync)
	return e
}

func (e *early) run(f *os.File, sync func(*os.File) error) {
	defer close(e.done)
	tick := time.NewTicker(earlyTick)
	defer tick.Stop()
	for synced := int64(0); ; {
		select {
		case <-e.stop:
			return
		case <-tick.C:
		}
		fi, err := f.Stat()
		if err == nil && fi.Size() < synced+earlyStep {
			continue
		}
		if err == nil {
			synced, err = fi.Size(), sync(f)
		}
		if err != nil { // the kernel says it once: the sync at the end may know nothing of it
			e.err = err
			return
		}
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
