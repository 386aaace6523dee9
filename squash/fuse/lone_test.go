package fuse

import (
	"bytes"
	"testing"
	"time"

	"golang.org/x/sys/unix"

	"coracle/squash"
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

// With two processors the leader keeps the leadership when it has been asked for nothing but a file in sequence.
func TestLoneStream(t *testing.T) {
	for _, tt := range []struct {
		name  string
		file  func(i int) uint64 // whose blocks are read
		place func(i int) int64  // which
		other func(s *server, i int)
		kept  bool
	}{
		{name: "in sequence", kept: true},
		{name: "with processors to spare", other: func(s *server, _ int) { s.spare = true }},
		{name: "with a slow image", other: func(s *server, _ int) { s.img = slowReader(t) }},
		{name: "with a name", other: func(s *server, i int) {
			if i%8 == 0 {
				s.lone.note(opLookup, rootNode)
			}
		}},
		{name: "two files", file: func(i int) uint64 { return uint64(i % 2) }, place: func(i int) int64 { return int64(i / 2) }},
		{name: "two readers", place: func(i int) int64 { return int64(i/2 + i%2*100) }},
		{name: "backwards", place: func(i int) int64 { return int64(100 - i) }},
	} {
		t.Run(tt.name, func(t *testing.T) {
			s, err := newServer(smallImage(t), &Options{ReadAhead: 2})
			must(t, err)
			defer s.cache.close()
			defer s.workers.Wait()
			defer s.stop(nil)
			s.conn, s.spare = conn{devNull(t)}, false
			s.idle.Store(1) // nobody is started
			w := s.newWorker()
			for i := range lonely + 4 {
				at, node := int64(i), nodeNamed(t, w, "file")
				if tt.file != nil {
					node += tt.file(i)
				}
				if tt.place != nil {
					at = tt.place(i)
				}
				if tt.other != nil {
					tt.other(s, i)
				}
				w.leader = true
				s.lone.note(opRead, node)
				w.plan = readPlan{node: node, off: at * 4096, n: 4096, open: true}
				s.lone.asked.Add(2) // so it does not wait alone
				w.yield()
				if kept := w.kept != 0; kept != (tt.kept && i+1 >= lonely) {
					t.Fatalf("leadership kept: %v, at request %d", kept, i)
				}
				s.lone.asked.Add(1)
				w.settle()
				if !w.leader {
					<-s.token
				}
			}
		})
	}
}

// slowReader is an image that makes its readers wait.
func slowReader(t *testing.T) *squash.Reader {
	_, image := damageTree(t)
	img := openReader(t, &slowSource{bytes.NewReader(image), time.Millisecond}, int64(len(image)))
	b := blockOf(t, image, "f1", 0)
	for range 20 {
		_, err := img.Decode(b, make([]byte, 4096+squash.Slack))
		must(t, err)
	}
	if !img.Slow() {
		t.Fatal("an image whose reads take a millisecond is not slow")
	}
	return img
}
