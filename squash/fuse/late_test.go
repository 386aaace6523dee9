package fuse

import (
	"bytes"
	"crypto/rand"
	"errors"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"golang.org/x/sys/unix"

	"coracle/squash"
)

// packets returns two ends of a connection that keeps replies apart.
func packets(t *testing.T) (ours, kernels int) {
	p, err := unix.Socketpair(unix.AF_UNIX, unix.SOCK_SEQPACKET|unix.SOCK_CLOEXEC, 0)
	must(t, err)
	t.Cleanup(func() { unix.Close(p[0]); unix.Close(p[1]) })
	return p[0], p[1]
}

// replies reads n replies, and returns their bodies, or nil for EIO, by the request's number.
func replies(t *testing.T, fd, n int) map[uint64][]byte {
	t.Helper()
	got := make(map[uint64][]byte)
	must(t, unix.SetsockoptTimeval(fd, unix.SOL_SOCKET, unix.SO_RCVTIMEO, &unix.Timeval{Sec: 10}))
	for range n {
		buf := make([]byte, 8<<10)
		k, err := unix.Read(fd, buf)
		must(t, err)
		h := view[outHeader](buf)
		switch {
		case int(h.Len) != k:
			t.Fatalf("reply of %d bytes says %d", k, h.Len)
		case h.Error == 0:
			got[h.Unique] = buf[outHeaderSize:k]
		case unix.Errno(-h.Error) == unix.EIO && k == outHeaderSize:
			got[h.Unique] = nil
		default:
			t.Fatalf("reply of %d bytes with error %d", k, h.Error)
		}
	}
	return got
}

// A READ of a block that is being decoded is answered by who decodes it, and keeps nobody else.
func TestLate(t *testing.T) {
	broken := errors.New("broken block")
	for _, tt := range []struct {
		name string
		err  error
	}{{"decoded", nil}, {"broken", broken}} {
		t.Run(tt.name, func(t *testing.T) {
			img := smallImage(t)
			ours, kernels := packets(t)
			var log []string
			s, err := newServer(img, &Options{ReadAhead: -1, Log: func(line string) { log = append(log, line) }})
			must(t, err)
			defer s.cache.close()
			s.conn = conn{ours}
			begun, gate := make(chan struct{}, 9), make(chan struct{})
			s.cache.decode = func(b squash.Block, dst []byte) (int, error) {
				begun <- struct{}{}
				<-gate
				if tt.err != nil {
					return 0, tt.err
				}
				return img.Decode(b, dst)
			}
			w := s.newWorker()
			file := nodeNamed(t, w, "file")
			read := func(w *worker, unique, off uint64, n uint32) {
				r := request(opRead, file, readArg(off, n))
				view[inHeader](r).Unique = unique
				w.serve(r)
			}
			done := make(chan struct{})
			go func() { defer close(done); read(s.newWorker(), 1, 0, 4096) }()
			<-begun
			read(w, 2, 96, 1000)
			read(w, 3, 4000, 96)
			must(t, w.inode(file))
			b, _, _, err := w.locate(0, 1)
			must(t, err)
			if e := s.cache.shardOf(b).index[b]; e.nlate != mostLate || e.leave(late{n: 1}) {
				t.Errorf("%d READs are left to one block, and there is room for more", e.nlate)
			}
			var wg sync.WaitGroup
			wg.Go(func() { read(s.newWorker(), 4, 0, 10) }) // there is no room for it
			wg.Go(func() { read(s.newWorker(), 5, 4095, 2) })
			close(gate)
			got := replies(t, kernels, 5)
			<-done
			wg.Wait()
			contents := pattern(3*4096+100, 1)
			for unique, want := range map[uint64][]byte{1: contents[:4096], 2: contents[96:1096], 3: contents[4000:4096], 4: contents[:10], 5: contents[4095:4097]} {
				if tt.err != nil {
					want = nil
				}
				if b, ok := got[unique]; !ok || !bytes.Equal(b, want) {
					t.Errorf("READ %d is answered with %d bytes, or others than the file has; want %d", unique, len(b), len(want))
				}
			}
			if n := len(log); tt.err == nil && n != 0 || tt.err != nil && (n != 1 || !strings.Contains(log[0], "broken block (file with inode number ")) {
				t.Errorf("log = %q", log)
			}
			for i := range s.cache.shards {
				for b, e := range s.cache.shards[i].index {
					if e.pins != 0 || e.nlate != 0 {
						t.Errorf("block at %d is still pinned %d times, with %d READs", b.Off, e.pins, e.nlate)
					}
				}
			}
		})
	}
}

// A slowSource is an image that takes as long to read as it is told.
type slowSource struct {
	r    *bytes.Reader
	wait time.Duration
}

func (s *slowSource) ReadAt(p []byte, off int64) (int, error) {
	time.Sleep(s.wait)
	return s.r.ReadAt(p, off)
}

// While the image makes its readers wait, more is decoded ahead, by more goroutines; they end when it does no longer.
func TestSlowImage(t *testing.T) {
	dir, _ := damageTree(t)
	random := make([]byte, 2*4096)
	_, err := rand.Read(random)
	must(t, err)
	must(t, os.WriteFile(filepath.Join(dir, "random"), random, 0o644))
	image, err := os.ReadFile(mksquashfs(t, dir, "-comp", "gzip", "-b", "4096"))
	must(t, err)
	src := &slowSource{r: bytes.NewReader(image)}
	img := openReader(t, src, int64(len(image)))
	s, err := newServer(img, &Options{ReadAhead: 2})
	must(t, err)
	defer s.cache.close()
	defer s.workers.Wait()
	defer s.stop(nil)
	s.decoders = 1
	if s.mostAhead() != 2 || s.mostDecoders() != 1 {
		t.Errorf("%d blocks ahead, decoded by %d, want 2 by 1", s.mostAhead(), s.mostDecoders())
	}
	if b := blockOf(t, image, "random", 1); !b.Stored {
		t.Fatal("the test needs a block that is not compressed")
	}
	w := s.newWorker()
	must(t, w.inode(nodeNamed(t, w, "random")))
	if w.reserve(4096); len(s.ahead) != 0 {
		t.Error("a block that is not compressed is read ahead of an image that is not slow")
	}
	dst := make([]byte, 4096+squash.Slack)
	pace := func(wait time.Duration) {
		t.Helper()
		src.wait = wait
		for range 100 {
			if _, err := img.Decode(blockOf(t, image, "f1", 2), dst); err != nil {
				t.Fatal(err)
			}
		}
	}
	pace(time.Millisecond)
	if s.mostAhead() != maxDepth || s.mostDecoders() != maxDepth {
		t.Errorf("%d blocks ahead, decoded by %d, of an image that is slow, want %d by as many", s.mostAhead(), s.mostDecoders(), maxDepth)
	}
	s.decoding.Store(maxDepth) // as if there were as many
	if !s.warmBlock(blockOf(t, image, "f2", 1)) || len(s.ahead) != 1 {
		t.Fatalf("%d blocks of a program are left to those who decode ahead, want 1", len(s.ahead))
	}
	s.cache.drop(<-s.ahead)
	if w.reserve(4096); len(s.ahead) != 1 {
		t.Fatal("a block that is not compressed is not read ahead of a slow image")
	}
	s.cache.drop(<-s.ahead)
	s.decoding.Store(0)
	for range 2 * maxDepth {
		s.moreDecoders()
	}
	if n := s.decoding.Load(); n != maxDepth {
		t.Errorf("%d goroutines decode ahead, want %d", n, maxDepth)
	}
	pace(0)
	for i := range 3 * maxDepth { // whoever gets one finds that he is one too many
		e := s.cache.reserve(squash.Block{Off: int64(i), Size: 1, Len: 1, Stored: true})
		s.ahead <- e
	}
	for range 1000 {
		if s.decoding.Load() == 1 {
			return
		}
		time.Sleep(time.Millisecond)
	}
	t.Errorf("%d goroutines decode ahead of an image that is no longer slow, want 1", s.decoding.Load())
}
