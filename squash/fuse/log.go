package fuse

import (
	"fmt"
	"sync"
	"time"
)

// Limits of what is logged: a broken image may have a million broken files,
// and a process may try them all again and again.
const (
	logFiles = 100         // files that get their line at once
	logEvery = time.Second // and one more in that time
)

// A corruptLog writes a line for each file that cannot be read.
type corruptLog struct {
	out  func(string)
	mu   sync.Mutex
	seen map[uint64]bool // numbers of inodes; at most logFiles of them
	last time.Time       // of a line beyond logFiles
}

// add logs an error of the file with an inode number; 0 is of no certain file.
func (l *corruptLog) add(number uint64, err error) {
	if !l.admit(number, time.Now()) {
		return
	}
	if number == 0 {
		l.out(err.Error())
		return
	}
	l.out(fmt.Sprintf("%v (file with inode number %d)", err, number))
}

// admit decides whether there is a line for a file now.
func (l *corruptLog) admit(number uint64, now time.Time) bool {
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.seen[number] {
		return false
	}
	if len(l.seen) < logFiles {
		if l.seen == nil {
			l.seen = make(map[uint64]bool)
		}
		l.seen[number] = true
		return true
	}
	if now.Sub(l.last) < logEvery {
		return false
	}
	l.last = now
	return true
}
