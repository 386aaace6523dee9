package fuse

import (
	"testing"

	"golang.org/x/sys/unix"
)

// The leader hands the leadership on before it waits, until enough waits in a row have kept nobody else waiting; then it keeps
// it, until somebody else has had to wait or it waits for too long.
func TestLone(t *testing.T) {
	var pipe [2]int
	must(t, unix.Pipe2(pipe[:], unix.O_CLOEXEC))
	defer unix.Close(pipe[0])
	defer unix.Close(pipe[1])
	s, err := newServer(smallImage(t), &Options{ReadAhead: -1})
	must(t, err)
	defer s.cache.close()
	defer s.workers.Wait()
	defer s.stop(nil)
	s.conn = conn{pipe[0]}
	s.idle.Store(1) // nobody is started
	w := s.newWorker()

	// wait has w wait for a block as the leader and tells whether it leads afterwards; others do their part meanwhile.
	wait := func(others func()) bool {
		w.leader = true
		w.yield()
		w.yield() // another block of the same request
		others()
		w.settle()
		if !w.leader {
			<-s.token
		}
		return w.leader
	}
	nothing := func() {}
	request := func() { s.lone.asked.Add(1) }
	alone := func() {
		t.Helper()
		for i := range lonely {
			if wait(nothing) {
				t.Fatalf("leadership kept after %d waits alone", i)
			}
		}
		if !wait(nothing) {
			t.Fatalf("leadership handed on after %d waits alone", lonely)
		}
	}
	wait(nothing)
	wait(request)
	alone()
	wait(func() { _, err = unix.Write(pipe[1], []byte("request")) })
	must(t, err)
	_, err = unix.Read(pipe[0], make([]byte, 16))
	must(t, err)
	alone()
	if wait(func() { s.token <- <-s.token }) {
		t.Error("leadership kept by a leader that waits for too long")
	}
	alone()
}
