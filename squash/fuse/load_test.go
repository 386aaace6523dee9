package fuse

import (
	"fmt"
	"math/rand/v2"
	"os"
	"path/filepath"
	"sync"
	"testing"

	"coracle/squash"
)

// loadImage has files of 32 blocks each, of text that compresses.
func loadImage(t testing.TB, compressor string, files int) *squash.Reader {
	src := t.TempDir()
	rng := rand.New(rand.NewPCG(1, 2))
	for i := range files {
		var text []byte
		for len(text) < 32*4096 {
			text = fmt.Appendf(text, "line %d: %d\n", len(text), rng.Uint32())
		}
		must(t, os.WriteFile(filepath.Join(src, fmt.Sprintf("file%d", i)), text[:32*4096], 0o644))
	}
	return openImage(t, mksquashfs(t, src, "-comp", compressor, "-b", "4096", "-no-xattrs"))
}

// Decoding a block takes no memory beyond the cache (xz: a reader of its container). A run
// in some may, when the collector has emptied the pools.
func TestDecodeAllocations(t *testing.T) {
	for compressor, most := range map[string]float64{"gzip": 0, "zstd": 0, "lz4": 0, "xz": 1} {
		s, err := newServer(loadImage(t, compressor, 1), &Options{ReadAhead: -1, CacheBytes: 1})
		must(t, err)
		s.conn = conn{devNull(t)}
		w := s.newWorker()
		file := nodeNamed(t, w, "file0")
		req := request(opRead, file, readArg(0, 4096))
		in := view[readIn](req[inHeaderSize:])
		n := testing.AllocsPerRun(200, func() { // twice as many blocks as slots: never there
			w.serve(req)
			in.Offset = (in.Offset + 4096) % (32 * 4096)
		})
		if n > most+0.5 {
			t.Errorf("%s: %v allocations a block, want %v", compressor, n, most)
		}
		s.stop(nil)
		s.workers.Wait()
		must(t, s.cache.close())
	}
}

// BenchmarkReaders is a load of parallel readers without a kernel: run it with -cpu 2,8,32
// and -mutexprofile to see where they meet. Each has files of its own.
func BenchmarkReaders(b *testing.B) {
	img := loadImage(b, "gzip", 64)
	for _, bench := range []struct {
		name  string
		cache int64
	}{{"hits", 64 << 20}, {"misses", 1 << 20}} {
		b.Run(bench.name, func(b *testing.B) {
			s, err := newServer(img, &Options{ReadAhead: -1, CacheBytes: bench.cache})
			must(b, err)
			s.conn = conn{devNull(b)}
			var next sync.Mutex
			files := 0
			b.SetBytes(4096)
			b.RunParallel(func(pb *testing.PB) {
				w := s.newWorker()
				next.Lock()
				file := nodeNamed(b, w, fmt.Sprintf("file%d", files%64))
				files++
				next.Unlock()
				req := request(opRead, file, readArg(0, 4096))
				in := view[readIn](req[inHeaderSize:])
				for i := uint64(0); pb.Next(); i++ {
					in.Offset = i % 32 * 4096
					w.serve(req)
				}
			})
			s.stop(nil)
			s.workers.Wait()
			must(b, s.cache.close())
		})
	}
}
