package fuse

import (
	"fmt"
	"math"
	"sync"
)

// sequence remembers where the last read of a file ended.
type sequence struct {
	mu     sync.Mutex
	node   uint64
	end    int64
	streak int // reads that began where the one before ended
	depth  int // blocks to decode ahead once the streak is long enough
	_      [24]byte
}

// sequences holds them for the files read last, one for each hash of a node id. Each
// has a lock and a cache line of its own: readers of different files do not meet.
type sequences [256]sequence

func (q *sequences) of(node uint64) *sequence { return &q[node*0x9e3779b97f4a7c15>>56] }

// bigStart is the size of a read at the start of a file that is taken for the
// beginning of a sequential one: the kernel asks for this much when a program
// reads in big pieces, and never for a page fault of a mapped library.
const bigStart = 64 << 10

// longStreak is how many reads must have followed one another before more than one
// block is decoded ahead.
const longStreak = 3

// note records a read. It returns how many have followed one another, and how many
// blocks are worth decoding ahead.
func (q *sequences) note(node uint64, off int64, n int) (streak, depth int) {
	e := q.of(node)
	e.mu.Lock()
	defer e.mu.Unlock()
	switch {
	case e.node == node && e.end == off:
		e.streak++
	case off == 0 && n >= bigStart:
		e.streak, e.depth = 1, 2
	default:
		e.streak, e.depth = 0, 2
	}
	e.node, e.end = node, off+int64(n)
	switch {
	case e.streak == 0:
		return 0, 0
	case e.streak < longStreak:
		return e.streak, 1
	}
	return e.streak, e.depth
}

// surely is told that a file whose beginning has just been read will be read to its end.
func (q *sequences) surely(node uint64) (streak, depth int) {
	e := q.of(node)
	e.mu.Lock()
	defer e.mu.Unlock()
	if e.node != node {
		return 0, 0
	}
	e.streak, e.depth = longStreak, maxDepth
	return e.streak, e.depth
}

// maxDepth is the most blocks that are decoded ahead of one reader, however many
// processors there are, and however slowly the image answers.
const maxDepth = 16

// deepen is told that a reader in sequence had to wait for a block.
func (q *sequences) deepen(node uint64) {
	e := q.of(node)
	e.mu.Lock()
	defer e.mu.Unlock()
	if e.node == node && e.streak >= longStreak {
		e.depth = min(e.depth+1, maxDepth)
	}
}

// aheadFor returns the most blocks to decode ahead of a reader with a number of processors. It is more than are decoded at a
// time: whoever decodes ahead then finds the next block reserved, instead of falling asleep until the reader is there.
func aheadFor(procs int) int {
	if procs < 2 {
		return 0
	}
	return max(8, min(procs-2, maxDepth))
}

// decodersFor returns how many of them are decoded at a time: the processors but two, for the reader and a worker, and never
// so few that one block in the making holds the others up. With two processors it is one, because the worker decodes, too.
func decodersFor(procs, ahead int) int {
	few := 3
	if procs == 2 {
		few = 1
	}
	return min(ahead, max(few, procs-2))
}

// A readPlan is what is known of the READ that a worker answers, for what is decoded ahead of it.
type readPlan struct {
	node   uint64
	off    int64
	n      int
	open   bool // planAhead has not seen it yet
	streak int  // the number of reads that have followed one another
}

// planAhead starts decoding what is likely to be wanted soon: the further
// blocks of this read, and blocks behind it if the file is read in sequence.
// It does so once for a read: before the first block of it that has to be waited for, or after the answer, so that
// a reader who finds everything decoded does not wait for plans.
func (w *worker) planAhead() {
	s, p := w.s, &w.plan
	if !p.open {
		return
	}
	p.open = false
	if s.opt.ReadAhead == 0 {
		return
	}
	defer func() {
		if e := recover(); e != nil { // somebody may wait for the block that this worker is about to decode
			s.log.add(p.node, 0, fmt.Errorf("panic: %v", e))
		}
	}()
	var dir *following
	var before, count int
	if p.off == 0 {
		dir, before, count = w.inOrder()
	}
	streak, depth := s.files.note(p.node, p.off, p.n)
	if dir != nil && count >= enoughInOrder && w.ino.Size > int64(p.n) {
		streak, depth = s.files.surely(p.node)
	}
	p.streak = streak
	depth = min(depth, s.mostAhead())
	first := p.off >> s.blockLog
	last := (p.off + int64(p.n) - 1) >> s.blockLog
	for i := first + 1; i <= last+int64(depth); i++ {
		at := i << s.blockLog
		if at >= w.ino.Size || i > math.MaxInt32 {
			break
		}
		if !w.reserve(at) {
			break
		}
	}
	if dir != nil {
		ino := w.ino
		w.goOn(dir, before < enoughInOrder && count >= enoughInOrder)
		w.ino = ino // there may be more of this read
	}
}

// reserve has the block with a byte of w.ino decoded; false means that there is none.
func (w *worker) reserve(at int64) bool {
	b, _, _, err := w.locate(at, 1)
	if err != nil {
		return false
	}
	if b.Sparse || b.Stored && !w.s.img.Slow() {
		return true // there is nothing to decode, nor to be waited for
	}
	if e := w.s.cache.reserve(b); e != nil {
		w.s.enqueue(e)
	}
	return true
}

// enqueue hands a reserved block to the goroutines that read ahead. When more are waiting
// than there are goroutines for, the oldest goes: its reader is there already.
func (s *server) enqueue(e *slot) {
	s.moreDecoders()
	for range 2 {
		select {
		case s.ahead <- e:
			return
		default:
		}
		select {
		case old := <-s.ahead:
			s.cache.drop(old)
		default:
		}
	}
	s.cache.drop(e)
}

// moreDecoders starts another goroutine that reads ahead, as long as there are fewer than are wanted: whoever launches a small program
// needs none.
func (s *server) moreDecoders() {
	if most := s.mostDecoders(); s.decoding.Load() < most {
		if s.decoding.Add(1) > most {
			s.decoding.Add(-1)
			return
		}
		s.workers.Go(s.readAhead)
	}
}

// mostAhead is how many blocks are decoded ahead: what keeps the processors busy, or as many as possible while the image is waited for more
// than anything else.
func (s *server) mostAhead() int {
	if s.img.Slow() {
		return s.slowAhead
	}
	return s.opt.ReadAhead
}

// mostDecoders is how many goroutines do so: as many as processors can use, or one for each block.
func (s *server) mostDecoders() int32 {
	if s.img.Slow() {
		return int32(s.slowAhead)
	}
	return s.decoders
}

// readAhead decodes what planAhead asks for, until there are more to do so than are wanted.
func (s *server) readAhead() {
	for {
		select {
		case e := <-s.ahead:
			s.cache.load(e)
		case <-s.done:
			return
		}
		if s.decoding.Load() > s.mostDecoders() {
			if s.decoding.Add(-1) >= s.mostDecoders() {
				return
			}
			s.decoding.Add(1)
		}
	}
}
