package server

import (
	"sync"

	"golang.org/x/sys/unix"
)

// arrivals are clients that other threads have taken in, until the one that looks after them all knows of them.
type arrivals struct {
	sync.Mutex
	pidfds []int
	bell   int  // an eventfd that wakes that one; -1 none
	closed bool // nobody is taken in any more
}

// arrive takes a client in. false: the server is about to end.
func (a *arrivals) arrive(pidfd int) bool {
	a.Lock()
	defer a.Unlock()
	if a.closed || a.bell < 0 {
		return false
	}
	a.pidfds = append(a.pidfds, pidfd)
	one := [8]byte{1}
	unix.Write(a.bell, one[:])
	return true
}

// take returns those that have arrived.
func (a *arrivals) take() []int {
	var count [8]byte
	unix.Read(a.bell, count[:])
	a.Lock()
	defer a.Unlock()
	pidfds := a.pidfds
	a.pidfds = nil
	return pidfds
}

// close lets nobody in any more, if nobody has come.
func (a *arrivals) close() bool {
	a.Lock()
	defer a.Unlock()
	a.closed = len(a.pidfds) == 0
	return a.closed
}
