package fuse

import (
	"runtime"
	"time"

	"golang.org/x/sys/unix"
)

// A launch asks a fresh server for dozens of small things, one after the other. Each answer is a matter of microseconds, but
// to wake a processor that has gone to sleep meanwhile takes ten times as long, in a virtual machine a hundred times.
// So the leader does not sleep at first: it polls, and lets others run between two looks.

// eagerTime is how long after its start a server polls at most.
const eagerTime = 25 * time.Millisecond

// crowded is how long somebody else has the processor when there is more to do than processors for it: then polling is in the way.
const crowded = 100 * time.Microsecond

// eagerGap is how long it polls without being asked for anything.
const eagerGap = 2 * time.Millisecond

// An eager reader polls its descriptor for requests. Only the leader uses it.
type eager struct {
	on    bool
	until time.Time // it ends at the latest
	idle  time.Time // when the next request must have come
}

// startEager begins polling, where there is a processor for it.
func (s *server) startEager() {
	if s.opt.Eager && runtime.GOMAXPROCS(0) > 1 && s.setNonblock(true) == nil {
		now := time.Now()
		s.eager = eager{on: true, until: now.Add(eagerTime), idle: now.Add(eagerTime)}
	}
}

// next returns the next request's length, as read does.
func (s *server) next(buf []byte) (int, unix.Errno) {
	for s.eager.on {
		n, errno := s.read(buf)
		now := time.Now()
		if errno != unix.EAGAIN {
			s.eager.idle = now.Add(eagerGap)
			return n, errno
		}
		unix.Syscall(unix.SYS_SCHED_YIELD, 0, 0, 0)
		if now.After(s.eager.until) || now.After(s.eager.idle) || time.Since(now) > crowded {
			s.eager.on = false
			if err := s.setNonblock(false); err != nil {
				return 0, unix.EBADF
			}
		}
	}
	return s.read(buf)
}
