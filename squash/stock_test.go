package squash

import (
	"runtime"
	"testing"
)

// What was given back last comes first, and no more is kept than can be in use at a time.
func TestStock(t *testing.T) {
	var s stock[int]
	if _, ok := s.take(); ok {
		t.Error("something in an empty stock")
	}
	most := max(fewKept, runtime.NumCPU())
	for i := range most + 3 {
		s.give(i)
	}
	for i := most - 1; i >= 0; i-- {
		if got, ok := s.take(); !ok || got != i {
			t.Fatalf("got %d, %v; want %d", got, ok, i)
		}
	}
	if _, ok := s.take(); ok {
		t.Error("more kept than can be used at a time")
	}
}
