package server

import (
	"fmt"
	"os"
	"strconv"
	"strings"
	"time"

	"golang.org/x/sys/unix"
)

// A BusyError says that an overlay, a directory or an image file, has a writer already.
type BusyError struct {
	Path string
	Host string // where the other one runs; "" unknown, or it only reads
	PID  string // its process id there
}

func (e *BusyError) Error() string {
	if e.Host == "" {
		return fmt.Sprintf("overlay %s: another container is using it", e.Path)
	}
	return fmt.Sprintf("overlay %s: process %s on host %s is writing to it", e.Path, e.PID, e.Host)
}

// Unwrap returns EBUSY.
func (e *BusyError) Unwrap() error { return unix.EBUSY }

// ended tells whether the writer is a process of this host that is no more. Its lock is released in a moment then,
// when the kernel has taken the overlay down, and fuse2fs has written what it still had, unless it has left others in the background.
func (e *BusyError) ended(host string) bool {
	pid, err := strconv.Atoi(e.PID)
	return err == nil && pid > 0 && e.Host == host && unix.Kill(pid, 0) == unix.ESRCH
}

// ending is how long a launch waits for the writer before it to be gone for good. The kernel writes the layer to the disk before it takes the
// overlay down, and others may have the disk write a lot.
const ending = 20 * time.Second

// reading is how long it waits for those who read, and whose end takes no time.
const reading = 5 * time.Second

// writerAttr records who writes to an overlay, as "HOST PID". It means something only while
// somebody has the lock on it (flock(2)): the kernel takes that back from the dead, this it does not.
const writerAttr = "user.coracle.writer"

// Lock locks the overlay behind the descriptor fd until every copy of that is closed: for this process alone, as its writer, or with
// others who read. path is for messages. The error is a *[BusyError] when somebody writes to it, or somebody reads what is to be written to.
func Lock(fd int, path string, write bool) error {
	how := unix.LOCK_SH
	if write {
		how = unix.LOCK_EX
	}
	host, _ := os.Hostname()
	for begin := time.Now(); ; time.Sleep(2 * time.Millisecond) {
		err := unix.Flock(fd, how|unix.LOCK_NB)
		if err == nil {
			break
		}
		if err != unix.EWOULDBLOCK {
			return fmt.Errorf("overlay %s: lock it: %w", path, err)
		}
		busy := &BusyError{Path: path}
		buf := make([]byte, 256)
		if n, err := unix.Fgetxattr(fd, writerAttr, buf); err == nil {
			busy.Host, busy.PID, _ = strings.Cut(string(buf[:n]), " ")
		}
		if !busy.ended(host) {
			return busy
		}
		waited := time.Since(begin)
		if waited > ending || waited > reading && !written(fd) { // it has left others
			if unix.Flock(fd, how|unix.LOCK_NB) == nil { // or has ended just now
				break
			}
			busy.Host, busy.PID = "", ""
			return busy
		}
	}
	if write { // where there are no attributes the message will be short of a name
		unix.Fsetxattr(fd, writerAttr, []byte(host+" "+strconv.Itoa(os.Getpid())), 0)
	}
	return nil
}

// written tells whether somebody has the overlay locked as its writer.
func written(fd int) bool {
	if unix.Flock(fd, unix.LOCK_SH|unix.LOCK_NB) != nil {
		return true
	}
	unix.Flock(fd, unix.LOCK_UN)
	return false
}
