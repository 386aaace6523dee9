package squash

import (
	"sync/atomic"
	"time"
)

// A pace says how fast the source of an image answers. The zero value is one that has answered at once so far.
type pace struct{ late atomic.Int32 }

const (
	// A read that takes longer than slowRead and a nanosecond a byte was not answered from memory.
	slowRead = 100 * time.Microsecond

	lateStep = 4            // what such a read counts; any other counts one the other way
	lateSlow = 4 * lateStep // from here on the source is slow
	lateMost = 4 * lateSlow // more is not counted
)

// note takes a read of n bytes. Reads that end at the same time may lose each other's: it is a hint.
func (p *pace) note(n int, took time.Duration) {
	late := p.late.Load()
	switch {
	case took > slowRead+time.Duration(n):
		p.late.Store(min(late+lateStep, lateMost))
	case late > 0:
		p.late.Store(late - 1)
	}
}

// Slow tells whether reading blocks of the image takes time in which somebody else could use the processor, as it does from a disk or over a
// network, more often than once in five.
func (r *Reader) Slow() bool { return r.pace.late.Load() >= lateSlow }
