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
	seen map[uint64]bool // node ids; at most logFiles of them
	last time.Time       // of a line beyond logFiles
}

// add logs an error of a node. The file's inode number, which find -inum takes,
// is 0 where the inode is what cannot be read.
func (l *corruptLog) add(node uint64, number uint32, err error) {
	if !l.admit(node, time.Now()) {
		return
	}
	if number == 0 {
		l.out(err.Error())
		return
	}
	l.out(fmt.Sprintf("%v (file with inode number %d)", err, number))
}

// admit decides whether there is a line for a node now.
func (l *corruptLog) admit(node uint64, now time.Time) bool {
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.seen[node] {
		return false
	}
	if len(l.seen) < logFiles {
		if l.seen == nil {
			l.seen = make(map[uint64]bool)
		}
		l.seen[node] = true
		return true
	}
	if now.Sub(l.last) < logEvery {
		return false
	}
	l.last = now
	return true
}
