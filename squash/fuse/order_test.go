package fuse

import (
	"fmt"
	"os"
	"path/filepath"
	"testing"

	"golang.org/x/sys/unix"

	"coracle/squash"
)

// aheadWorker returns a worker of a server that decodes ahead, until the test ends.
func aheadWorker(t *testing.T, img *squash.Reader) *worker {
	s, err := newServer(img, &Options{ReadAhead: 8})
	must(t, err)
	s.conn = conn{devNull(t)}
	t.Cleanup(func() {
		s.stop(nil)
		s.workers.Wait()
		must(t, s.cache.close())
	})
	return s.newWorker()
}

// When files have been read in the order of their directory, those that follow are decoded ahead; nothing is for whoever reads in another order.
func TestInOrder(t *testing.T) {
	const files, blockSize = 60, 64 << 10
	src := t.TempDir()
	for i := range files {
		must(t, os.WriteFile(filepath.Join(src, fmt.Sprintf("f%02d", i)), pattern(blockSize+i, uint64(i)), 0o644))
		must(t, os.WriteFile(filepath.Join(src, fmt.Sprintf("f%02d-empty", i)), nil, 0o644))
		must(t, os.Symlink("f00", filepath.Join(src, fmt.Sprintf("f%02d-link", i))))
	}
	img := openImage(t, mksquashfs(t, src, "-b", fmt.Sprint(blockSize), "-no-xattrs"))
	for _, tt := range []struct {
		name string
		step int // from one file that is read to the next
	}{{"in order", 1}, {"backwards", -1}, {"every third", 3}} {
		t.Run(tt.name, func(t *testing.T) {
			w := aheadWorker(t, img)
			s := w.s
			var nodes []uint64
			for i := range files {
				nodes = append(nodes, nodeNamed(t, w, fmt.Sprintf("f%02d", i)))
			}
			decoded := func(i int) bool {
				t.Helper()
				must(t, w.inode(nodes[i]))
				b, _, _, err := w.locate(0, 1)
				must(t, err)
				return s.cache.has(b)
			}
			w.serve(request(opReaddirplus, rootNode, readArg(0, 32<<10)))
			for k, i := 0, (files+min(0, tt.step))%files; k < 18; k, i = k+1, i+tt.step {
				arg := readArg(0, 4096)
				if _, errno := w.dispatch(view[inHeader](request(opRead, nodes[i], arg)), arg); errno != noReply {
					t.Fatal(unix.Errno(errno))
				}
				next := i + tt.step
				if got, want := decoded(next), tt.step == 1 && k >= enoughInOrder-1; got != want {
					t.Errorf("after %d files: the next one is decoded: %v, want %v", k+1, got, want)
				}
			}
		})
	}
}

// Who has read files in order is likely to read those of a directory that he lists: all of their blocks are decoded ahead, until some directories
// have been listed for nothing.
func TestListedInOrder(t *testing.T) {
	const files, dirs, blocks, blockSize = 16, 10, 4, 64 << 10
	src := t.TempDir()
	for i := range files {
		must(t, os.WriteFile(filepath.Join(src, fmt.Sprintf("f%02d", i)), pattern(blockSize+i, uint64(i)), 0o644))
	}
	for i := range dirs {
		dir := filepath.Join(src, fmt.Sprintf("g%d", i))
		must(t, os.Mkdir(dir, 0o755))
		must(t, os.WriteFile(filepath.Join(dir, "file"), pattern(blocks*blockSize, uint64(1000+i)), 0o644))
	}
	img := openImage(t, mksquashfs(t, src, "-b", fmt.Sprint(blockSize), "-no-xattrs"))
	for _, reads := range []bool{false, true} {
		t.Run(fmt.Sprintf("read: %v", reads), func(t *testing.T) {
			w := aheadWorker(t, img)
			s := w.s
			w.serve(request(opReaddirplus, rootNode, readArg(0, 32<<10)))
			for i := range files {
				w.serve(request(opRead, nodeNamed(t, w, fmt.Sprintf("f%02d", i)), readArg(0, 4096)))
			}
			for i := range dirs {
				dir := nodeNamed(t, w, fmt.Sprintf("g%d", i))
				if _, errno := w.lookup(dir, []byte("file\x00")); errno != 0 {
					t.Fatal(errno)
				}
				file := view[entryOut](w.out[outHeaderSize:]).Node
				w.serve(request(opReaddirplus, dir, readArg(0, 32<<10)))
				var decoded int
				must(t, w.inode(file))
				for k := range blocks {
					b, _, _, err := w.locate(int64(k*blockSize), 1)
					must(t, err)
					if s.cache.has(b) {
						decoded++
					}
				}
				want := 0
				if reads || i < 3 { // each costs four of the sixteen files that were read in order, and eight are enough
					want = blocks
				}
				if decoded != want {
					t.Errorf("directory %d has been listed: %d of %d blocks of its file are decoded, want %d", i, decoded, blocks, want)
				}
				if reads {
					w.serve(request(opRead, file, readArg(0, 4096)))
				}
			}
		})
	}
}
