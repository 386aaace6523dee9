package squash

import (
	"runtime"
	"sync"
)

// A stock keeps things that are costly to make for those who need one next, what was used last in front: it is in the processor's
// cache. A sync.Pool loses what it has when the number of Ps changes, as it does twice in a server that has just started.
type stock[T any] struct {
	mu   sync.Mutex
	kept []T
}

// fewKept are kept on any machine: an image that answers slowly is read by as many at a time.
const fewKept = 16

// take returns something that was given back; false: there is nothing.
func (s *stock[T]) take() (x T, ok bool) {
	s.mu.Lock()
	defer s.mu.Unlock()
	last := len(s.kept) - 1
	if last < 0 {
		return x, false
	}
	x = s.kept[last]
	clear(s.kept[last:])
	s.kept = s.kept[:last]
	return x, true
}

// give keeps x, unless there are as many as processors can use.
func (s *stock[T]) give(x T) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if len(s.kept) < max(fewKept, runtime.NumCPU()) {
		s.kept = append(s.kept, x)
	}
}
