package fuse

import (
	"bytes"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"
)

// Reading ahead begins with a sequence, grows while its reader waits, and ends with it.
func TestSequences(t *testing.T) {
	const k = 128 << 10
	var q sequences
	for _, tt := range []struct {
		what   string
		node   uint64
		off    int64
		n      int
		waited bool
		want   int
	}{
		{"small start", 7, 0, 4096, false, 0},
		{"the next", 7, 4096, 4096, false, 1},
		{"elsewhere", 7, 1 << 30, k, false, 0},
		{"big start", 7, 0, k, true, 1}, // too early to learn from the wait
		{"second", 7, k, k, false, 1},
		{"third", 7, 2 * k, k, true, 2},
		{"fourth", 7, 3 * k, k, true, 3},
		{"other file", 8, 50, k, false, 0},
		{"fifth", 7, 4 * k, k, false, 4},
		{"a jump", 7, 1 << 30, k, false, 0},
		{"a new sequence", 7, 1<<30 + k, k, false, 1},
	} {
		_, got := q.note(tt.node, tt.off, tt.n)
		if got != tt.want {
			t.Errorf("%s: %d blocks ahead, want %d", tt.what, got, tt.want)
		}
		if tt.waited {
			q.deepen(tt.node)
		}
	}
	for i := range int64(100) {
		q.note(9, i*k, k)
		q.deepen(9)
	}
	if _, got := q.note(9, 100*k, k); got != maxDepth {
		t.Errorf("after 100 waits: %d blocks ahead, want %d", got, maxDepth)
	}
}

// One processor leaves reading ahead to the kernel; a cache for many has more locks, but
// never fewer than 16 slots behind one.
func TestProcessors(t *testing.T) {
	for _, tt := range []struct{ procs, ahead, decoders, shards int }{
		{1, 0, 0, 4}, {2, 8, 1, 4}, {3, 8, 3, 4}, {8, 8, 6, 4}, {12, 10, 10, 6}, {32, 16, 16, 16}, {128, 16, 16, 16},
	} {
		ahead, shards := aheadFor(tt.procs), shardsFor(256, tt.procs)
		if decoders := decodersFor(tt.procs, ahead); ahead != tt.ahead || decoders != tt.decoders || shards != tt.shards {
			t.Errorf("%d processors: %d blocks ahead, %d at a time, %d shards, want %d, %d, %d",
				tt.procs, ahead, decoders, shards, tt.ahead, tt.decoders, tt.shards)
		}
	}
	if got := shardsFor(minSlots, 128); got != 1 {
		t.Errorf("the smallest cache has %d shards, want 1", got)
	}
}

// A file read in sequence finds its next blocks decoded.
func TestReadAhead(t *testing.T) {
	src := t.TempDir()
	const block = 4096
	var text []byte
	for i := 0; len(text) < 64*block; i++ {
		text = fmt.Appendf(text, "line %d of something that compresses\n", i)
	}
	must(t, os.WriteFile(filepath.Join(src, "file"), text[:64*block], 0o644))
	img := openImage(t, mksquashfs(t, src, "-comp", "gzip", "-b", "4096"))
	s, err := newServer(img, &Options{ReadAhead: 4})
	must(t, err)
	s.conn = conn{devNull(t)}
	t.Cleanup(func() { s.stop(nil); s.workers.Wait(); must(t, s.cache.close()) })
	w := s.newWorker()
	file := nodeNamed(t, w, "file")
	for i := range uint64(10) {
		w.serve(request(opRead, file, readArg(i*block, block)))
	}
	must(t, w.inode(file))
	b, err := img.Block(&w.ino, 10)
	must(t, err)
	for range 1000 {
		if s.cache.has(b) {
			return
		}
		time.Sleep(time.Millisecond)
	}
	t.Error("after ten blocks in sequence the eleventh is not being decoded")
}

// What goes wrong in a plan keeps nobody from the block that is read.
func TestPlanPanics(t *testing.T) {
	img := smallImage(t)
	var log []string
	s, err := newServer(img, &Options{ReadAhead: 4, Log: func(line string) { log = append(log, line) }})
	must(t, err)
	defer s.cache.close()
	ours, kernels := packets(t)
	s.conn = conn{ours}
	s.decoders = 0
	close(s.ahead)
	w := s.newWorker()
	file := nodeNamed(t, w, "file")
	for i := range uint64(3) {
		w.serve(request(opRead, file, readArg(i*4096, 4096)))
		if b := replies(t, kernels, 1)[7]; !bytes.Equal(b, pattern(3*4096+100, 1)[i*4096:(i+1)*4096]) {
			t.Errorf("block %d is answered with %d bytes, or with others than it has", i, len(b))
		}
	}
	if len(log) != 1 || !strings.Contains(log[0], "panic") {
		t.Errorf("log = %q, want one line about the panic", log)
	}
}
