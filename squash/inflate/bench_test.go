package inflate

import (
	"bytes"
	stdzlib "compress/zlib"
	"io"
	"os"
	"testing"

	"github.com/klauspost/compress/zlib"
)

// benchBlocks returns compressed blocks of 128 KiB of a file: the one that
// CORACLE_BENCH_FILE names, or the test program itself.
func benchBlocks(b *testing.B) (blocks [][]byte, size int64) {
	path := os.Getenv("CORACLE_BENCH_FILE")
	if path == "" {
		var err error
		if path, err = os.Executable(); err != nil {
			b.Fatal(err)
		}
	}
	p, err := os.ReadFile(path)
	if err != nil {
		b.Fatal(err)
	}
	p = p[:min(len(p), 32<<20)]
	for len(p) >= 128<<10 {
		blocks = append(blocks, compress(b, p[:128<<10], 9))
		p = p[128<<10:]
	}
	return blocks, int64(len(blocks)) * 128 << 10
}

// BenchmarkZlib compares decoders on the same blocks. A reader of the library
// decoders is reused through Reset, as a server would.
func BenchmarkZlib(b *testing.B) {
	blocks, size := benchBlocks(b)
	dst := make([]byte, 128<<10)
	b.Run("own", func(b *testing.B) {
		b.SetBytes(size)
		var d Decoder
		for b.Loop() {
			for _, z := range blocks {
				if n, err := d.Zlib(dst, z); n != len(dst) || err != nil {
					b.Fatal(n, err)
				}
			}
		}
	})
	library := func(open func(io.Reader) (io.ReadCloser, error), reset func(io.Reader, io.ReadCloser) error) func(*testing.B) {
		return func(b *testing.B) {
			b.SetBytes(size)
			r, err := open(bytes.NewReader(blocks[0]))
			if err != nil {
				b.Fatal(err)
			}
			for b.Loop() {
				for _, z := range blocks {
					if err := reset(bytes.NewReader(z), r); err != nil {
						b.Fatal(err)
					}
					if _, err := io.ReadFull(r, dst); err != nil {
						b.Fatal(err)
					}
				}
			}
		}
	}
	b.Run("klauspost", library(zlib.NewReader, func(in io.Reader, r io.ReadCloser) error { return r.(zlib.Resetter).Reset(in, nil) }))
	b.Run("stdlib", library(stdzlib.NewReader, func(in io.Reader, r io.ReadCloser) error { return r.(stdzlib.Resetter).Reset(in, nil) }))
}

func BenchmarkAdler32(b *testing.B) {
	p := make([]byte, 128<<10)
	b.SetBytes(int64(len(p)))
	for b.Loop() {
		adler32(p)
	}
}
