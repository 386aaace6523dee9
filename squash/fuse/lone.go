package fuse

import (
	"sync/atomic"
	"time"
	"unsafe"

	"golang.org/x/sys/unix"
)

// A program that waits for one block after the other is the only one to ask, mostly. To hand the leadership on for each of its
// blocks wakes a thread up, on another processor, that finds nothing to do; and the next request goes there. So the leader
// keeps it while it waits for a block if the last ones kept nobody else waiting.

// lonely is how many blocks in a row somebody waited for alone, or how many READs of one file came in a row, before the leader keeps the
// leadership.
const lonely = 16

// tooLong is how long, about, others wait at most for a leader that keeps the leadership while the image's file system does
// not answer.
const tooLong = 10 * time.Millisecond

// So it does on a machine of two processors when all requests are READs of one file, in sequence: while it decodes a block that is
// wanted, whoever decodes ahead does the next ones and answers for them ([late]), and both processors have enough to do.

// A lone says whether requests come one at a time, or from one reader.
type lone struct {
	alone    atomic.Int32  // waits in a row that kept nobody else waiting
	asked    atomic.Uint64 // requests that were read
	keeps    atomic.Uint64 // how often a leader has kept the leadership while it waited
	kept     atomic.Uint64 // the number of such a wait while it lasts: whoever makes it 0 has the leadership
	watching atomic.Bool

	node uint64 // of the last request, if that was a READ; these are the leader's
	same int    // how many such requests have come in a row
}

// note takes a request before the leader answers it.
func (l *lone) note(op uint32, node uint64) {
	switch {
	case op != opRead:
		l.node, l.same = 0, 0
	case node != l.node:
		l.node, l.same = node, 1
	default:
		l.same++
	}
}

// keep tells whether this worker, which leads, keeps the leadership while it waits for a block.
func (w *worker) keep() bool {
	s := w.s
	if s.lone.alone.Load() >= lonely {
		return true
	}
	if s.spare || s.lone.same < lonely || s.img.Slow() {
		return false
	}
	w.planAhead() // says whether that file is read in sequence
	return w.plan.streak >= longStreak
}

// yield is called before this worker waits for a block: it hands the leadership on, if it has it, unless it is asked for
// one block after the other.
func (w *worker) yield() {
	w.waited = true
	defer w.planAhead()
	s := w.s
	if !w.leader || w.kept != 0 {
		return
	}
	if !w.keep() {
		w.handed, w.asked = true, s.lone.asked.Load()
		w.pass()
		return
	}
	w.kept = s.lone.keeps.Add(1)
	s.lone.kept.Store(w.kept)
	if !s.lone.watching.Load() && s.lone.watching.CompareAndSwap(false, true) {
		s.workers.Go(s.watch)
	}
}

// pass hands the leadership on.
func (w *worker) pass() {
	w.leader = false
	w.s.lead()
}

// lead has somebody else lead.
func (s *server) lead() {
	s.token <- struct{}{}
	if s.idle.Load() == 0 {
		s.startWorker()
	}
}

// settle is called when everything is there that this worker waited for, before it replies.
func (w *worker) settle() {
	l := &w.s.lone
	switch {
	case w.kept != 0:
		w.leader = l.kept.CompareAndSwap(w.kept, 0)
		if !w.leader || w.s.pending() {
			l.alone.Store(0)
		}
	case w.handed:
		if l.asked.Load() == w.asked {
			l.alone.Add(1)
		} else {
			l.alone.Store(0)
		}
	}
	w.kept, w.handed = 0, false
}

// watch takes the leadership from a leader that waits for too long. It ends when nobody keeps it any more.
func (s *server) watch() {
	l := &s.lone
	tick := time.NewTicker(tooLong)
	defer tick.Stop()
	for {
		kept, keeps := l.kept.Load(), l.keeps.Load()
		select {
		case <-tick.C:
		case <-s.done:
			return
		}
		switch {
		case kept != 0 && l.kept.CompareAndSwap(kept, 0):
			s.lead()
		case keeps == l.keeps.Load():
			l.watching.Store(false)
			if l.kept.Load() == 0 || !l.watching.CompareAndSwap(false, true) {
				return
			}
		}
	}
}

// pending tells whether a request waits to be read.
func (c conn) pending() bool {
	p := unix.PollFd{Fd: int32(c.fd), Events: unix.POLLIN}
	var at unix.Timespec
	n, _, _ := unix.RawSyscall6(unix.SYS_PPOLL, uintptr(unsafe.Pointer(&p)), 1, uintptr(unsafe.Pointer(&at)), 0, 0, 0)
	return n == 1 && p.Revents&unix.POLLIN != 0
}
