package squash

import (
	"bytes"
	"os"
	"testing"
)

// benchImage returns an image of the tree that CORACLE_BENCH_DIR names, or of
// part of the Go distribution.
func benchImage(b *testing.B, args ...string) []byte {
	b.Helper()
	dir := os.Getenv("CORACLE_BENCH_DIR")
	if dir == "" {
		dir = sourceTree(b)
	}
	return makeImage(b, dir, args...)
}

// BenchmarkOpenLookup is what planning a launch costs: a fresh reader, and a
// few paths.
func BenchmarkOpenLookup(b *testing.B) {
	for _, comp := range []string{"gzip", "zstd", "xz"} {
		b.Run(comp, func(b *testing.B) {
			img := benchImage(b, "-comp", comp)
			b.ReportAllocs()
			for b.Loop() {
				r, err := Open(bytes.NewReader(img), int64(len(img)), nil)
				check(b, err)
				for _, path := range []string{"/", "/bin", "/lib/time", "/odd/empty", "/etc/passwd", "/tmp"} {
					_, _ = r.Walk(path)
				}
			}
		})
	}
}

// BenchmarkWalk visits every inode, first with a fresh reader, then again.
func BenchmarkWalk(b *testing.B) {
	img := benchImage(b, "-comp", "gzip")
	walk := func(r *Reader) (n int) {
		var visit func(ref Ref)
		visit = func(ref Ref) {
			n++
			ino, err := r.Inode(ref)
			check(b, err)
			if ino.Type == Directory {
				check(b, r.ReadDir(&ino, 0, func(d Dirent, _ Cursor) bool { visit(d.Ref); return true }))
			}
		}
		visit(r.Root())
		return n
	}
	b.Run("first", func(b *testing.B) {
		b.ReportAllocs()
		for b.Loop() {
			b.ReportMetric(float64(walk(openImage(b, img))), "inodes")
		}
	})
	b.Run("again", func(b *testing.B) {
		r := openImage(b, img)
		b.ReportAllocs()
		for b.Loop() {
			b.ReportMetric(float64(walk(r)), "inodes")
		}
	})
}

// BenchmarkDecode decodes all blocks of the regular files of an image.
func BenchmarkDecode(b *testing.B) {
	for _, comp := range []string{"gzip", "zstd", "lz4", "lzo", "xz"} {
		b.Run(comp, func(b *testing.B) {
			r := openImage(b, benchImage(b, "-comp", comp, "-no-fragments"))
			var blocks []Block
			var size int64
			var visit func(ref Ref)
			visit = func(ref Ref) {
				ino, err := r.Inode(ref)
				check(b, err)
				for i := range r.Blocks(&ino) {
					block, err := r.Block(&ino, i)
					check(b, err)
					if !block.Sparse && !block.Stored {
						blocks = append(blocks, block)
						size += int64(block.Len)
					}
				}
				if ino.Type == Directory {
					check(b, r.ReadDir(&ino, 0, func(d Dirent, _ Cursor) bool { visit(d.Ref); return true }))
				}
			}
			visit(r.Root())
			dst := make([]byte, r.Super().BlockSize+Slack)
			b.SetBytes(size)
			b.ReportAllocs()
			for b.Loop() {
				for _, block := range blocks {
					_, err := r.Decode(block, dst)
					check(b, err)
				}
			}
		})
	}
}
