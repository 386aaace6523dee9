package cache

import (
	"context"
	"crypto/rand"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"time"

	"golang.org/x/sys/unix"
)

// A lock is a file that only one process can create. Its holder changes the file's time
// now and then; a lock whose time has stood still for long is dead, and so is one whose
// holder was on this machine and is gone. That works on NFS without a lock service, and
// without clocks that agree: waiters only watch whether the time changes.
const (
	beat     = 2 * time.Second  // between two signs of life
	poll     = time.Second / 4  // between two looks at a lock
	deadHere = 3 * beat         // without a sign of life and without a process: dead
	deadAway = 30 * time.Second // without a sign of life: dead
)

// lock takes the lock called name, and returns what gives it back. It returns nil when
// done says that there is nothing left to do.
func (c *Cache) lock(ctx context.Context, name string, done func() bool) (unlock func(), err error) {
	path := filepath.Join(c.dir, lockDir, name)
	w := watcher{path: path}
	for told := false; ; {
		if done() {
			return nil, nil
		}
		unlock, err := take(path)
		if err == nil {
			if done() { // while we took it
				unlock()
				return nil, nil
			}
			return unlock, nil
		}
		if !errors.Is(err, fs.ErrExist) {
			return nil, fmt.Errorf("cache: %w", err)
		}
		holder, dead := w.look()
		if dead {
			bury(path, w.seen)
			continue
		}
		if !told && holder != "" && holder != self() && c.Waiting != nil {
			c.Waiting(holder)
			told = true
		}
		select {
		case <-ctx.Done():
			return nil, context.Cause(ctx)
		case <-time.After(poll):
		}
	}
}

// self is what a lock of this process has in it.
func self() string {
	host, _ := os.Hostname()
	return host + " process " + strconv.Itoa(os.Getpid())
}

// take creates a lock and keeps it alive until it is given back.
func take(path string) (func(), error) {
	f, err := os.OpenFile(path, os.O_WRONLY|os.O_CREATE|os.O_EXCL, 0o600)
	if err != nil {
		return nil, err
	}
	fmt.Fprintln(f, self())
	mine, err := f.Stat()
	f.Close()
	if err != nil {
		os.Remove(path)
		return nil, err
	}
	stop, stopped := make(chan struct{}), make(chan struct{})
	go func() {
		defer close(stopped)
		t := time.NewTicker(beat)
		defer t.Stop()
		for {
			select {
			case now := <-t.C:
				if held(path, mine) { // not a lock of whoever took us for dead
					os.Chtimes(path, now, now)
				}
			case <-stop:
				return
			}
		}
	}()
	return func() {
		close(stop)
		<-stopped
		if held(path, mine) {
			os.Remove(path)
		}
	}, nil
}

// held reports whether the lock at path is still the file that fi is about.
func held(path string, fi os.FileInfo) bool {
	now, err := os.Stat(path)
	return err == nil && os.SameFile(fi, now)
}

// bury takes a dead lock away. Others may be about to do the same, and one of them may have made a lock of its own by
// now: only the file that dead is about goes, anything else gets its name back. (In between a third may take
// the lock too, and two do the same work.)
func bury(path string, dead os.FileInfo) {
	aside := path + ".dead-" + rand.Text()[:8]
	if os.Rename(path, aside) != nil {
		return
	}
	fi, err := os.Lstat(aside)
	if err == nil && !(os.SameFile(fi, dead) && fi.ModTime().Equal(dead.ModTime())) { // inode numbers are used again
		os.Link(aside, path)
	}
	os.Remove(aside)
}

// A watcher watches somebody else's lock.
type watcher struct {
	path  string
	last  time.Time // the lock's time
	since time.Time // when we first saw that
	seen  os.FileInfo
}

// look returns the holder of the lock, and whether it is dead.
func (w *watcher) look() (holder string, dead bool) {
	b, err := os.ReadFile(w.path) // opening it makes NFS ask the server
	fi, serr := os.Stat(w.path)
	if err != nil || serr != nil {
		return "", false
	}
	w.seen = fi
	holder = strings.TrimSpace(string(b[:min(len(b), 300)]))
	if !fi.ModTime().Equal(w.last) || w.since.IsZero() {
		w.last, w.since = fi.ModTime(), time.Now()
		return holder, false
	}
	still := time.Since(w.since)
	return holder, still > deadAway || still > deadHere && gone(holder)
}

// gone reports whether the holder was a process of this machine that is no more.
func gone(holder string) bool {
	host, pid, ok := strings.Cut(holder, " process ")
	if name, err := os.Hostname(); !ok || err != nil || name != host {
		return false
	}
	n, err := strconv.Atoi(pid)
	return err == nil && n > 0 && unix.Kill(n, 0) == unix.ESRCH
}
