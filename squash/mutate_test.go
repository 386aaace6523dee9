package squash

import (
	"bytes"
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"math/rand/v2"
	"os"
	"os/exec"
	"path/filepath"
	"runtime/metrics"
	"strings"
	"sync"
	"testing"
	"time"
)

// smallImages makes images of a small tree with every compressor. In some of
// them metadata is stored as it is, so that changed bytes are changed fields;
// in the others changed bytes reach the decompressors.
var smallImages = sync.OnceValues(func() ([][]byte, error) {
	dir, err := os.MkdirTemp("", "squash-mutate")
	if err != nil {
		return nil, err
	}
	defer os.RemoveAll(dir)
	tree := filepath.Join(dir, "tree")
	err = errors.Join(os.MkdirAll(filepath.Join(tree, "a/b/c"), 0o755), os.Mkdir(filepath.Join(tree, "many"), 0o755),
		os.WriteFile(filepath.Join(tree, "text"), pattern(9000), 0o644),
		os.WriteFile(filepath.Join(tree, "a/sparse"), append(make([]byte, 20000), pattern(50)...), 0o644),
		os.WriteFile(filepath.Join(tree, "a/b/random"), randomBytes(6000), 0o644),
		os.Link(filepath.Join(tree, "text"), filepath.Join(tree, "a/b/c/text")),
		os.Symlink("b/c", filepath.Join(tree, "a/link")))
	for i := range 700 {
		err = errors.Join(err, os.WriteFile(filepath.Join(tree, "many", fmt.Sprint("some name ", i)), []byte{byte(i)}, 0o644))
	}
	if err != nil {
		return nil, err
	}
	var images [][]byte
	for _, args := range []string{
		"-comp gzip -noI -noD -noF -noX", "-comp gzip -noI -noX", "-comp xz -noI -Xbcj x86,arm", "-comp zstd -noI",
		"-comp gzip", "-comp xz", "-comp lzma", "-comp lzo", "-comp lz4", "-comp zstd",
	} {
		img, err := mutationImage(dir, tree, strings.Fields(args))
		if err != nil {
			return nil, err
		}
		images = append(images, img)
	}
	return images, nil
})

func randomBytes(n int) []byte {
	p := make([]byte, n)
	_, _ = rand.NewChaCha8([32]byte{}).Read(p)
	return p
}

// An edit changes a few bytes of an image. Regions are tables of the
// superblock; offsets count from their start.
type edit struct {
	region, op byte
	off, value uint16
}

// mutate applies edits of 6 bytes each to a copy of an image.
func mutate(img, edits []byte) []byte {
	img = bytes.Clone(img)
	var s Super
	s.decode((*[SuperSize]byte)(img))
	regions := []uint64{0, SuperSize, s.InodeTable, s.DirTable, s.FragmentTable, s.ExportTable, s.IDTable, s.XattrTable}
	for ; len(edits) >= 6; edits = edits[6:] {
		e := edit{edits[0], edits[1], binary.LittleEndian.Uint16(edits[2:]), binary.LittleEndian.Uint16(edits[4:])}
		at := regions[int(e.region)%len(regions)]
		if at > uint64(len(img)) {
			continue
		}
		at += uint64(e.off)
		if e.region&0x80 != 0 { // in front of a lookup table are its blocks
			at -= min(at, 2*uint64(e.off))
		}
		if at+4 > uint64(len(img)) {
			continue
		}
		p := img[at:]
		switch e.op % 6 {
		case 0:
			p[0] = byte(e.value)
		case 1:
			binary.LittleEndian.PutUint16(p, e.value)
		case 2:
			binary.LittleEndian.PutUint32(p, uint32(int32(int16(e.value))))
		case 3:
			p[0] ^= 1 << (e.value & 7)
		case 4:
			binary.LittleEndian.PutUint32(p, binary.LittleEndian.Uint32(p)+uint32(int32(int16(e.value))))
		case 5:
			copy(p[:min(len(p), 64)], img[int(e.value)%len(img):])
		}
	}
	return img
}

// An explorer touches everything in an image, within a budget.
type explorer struct {
	t      *testing.T
	r      *Reader
	budget int
	seen   map[Ref]bool
	buf    []byte
	sample []metrics.Sample
}

// explore opens an image and calls every method on what it finds. Errors must
// be of the documented kinds, and no call may take much memory.
func explore(t *testing.T, img []byte) {
	r, err := Open(bytes.NewReader(img), int64(len(img)), nil)
	x := &explorer{t: t, r: r, budget: 3000, seen: map[Ref]bool{}, sample: []metrics.Sample{{Name: "/gc/heap/allocs:bytes"}}}
	if x.fine(err); err != nil {
		return
	}
	x.buf = make([]byte, r.Super().BlockSize+Slack)
	start := time.Now()
	x.visit(r.Root())
	for i := range uint32(5) {
		ref, err := r.ByNumber(i)
		if x.fine(err); err == nil {
			x.visit(ref)
		}
	}
	_ = fs.WalkDir(r.FS(), ".", func(path string, d fs.DirEntry, err error) error {
		if x.budget--; x.budget < 0 {
			return fs.SkipAll
		}
		x.fine(err)
		return nil
	})
	if took := time.Since(start); took > time.Minute {
		t.Errorf("took %v", took)
	}
}

// fine fails the test on an error of a kind that callers do not expect.
func (x *explorer) fine(err error) {
	x.t.Helper()
	for _, kind := range []error{nil, ErrCorrupt, ErrUnsupported, ErrNotSquashfs, ErrNoExport, ErrNotDir, fs.ErrNotExist, fs.ErrInvalid} {
		if errors.Is(err, kind) {
			return
		}
	}
	x.t.Fatalf("unexpected error: %v", err)
}

// call makes sure that fn takes little memory: some blocks, and a decoder.
func (x *explorer) call(name string, fn func()) {
	x.t.Helper()
	metrics.Read(x.sample)
	before := x.sample[0].Value.Uint64()
	fn()
	metrics.Read(x.sample)
	if took := x.sample[0].Value.Uint64() - before; took > 8<<20 {
		x.t.Fatalf("%s allocates %d bytes", name, took)
	}
}

func (x *explorer) visit(ref Ref) {
	if x.budget--; x.budget < 0 || x.seen[ref] {
		return
	}
	x.seen[ref] = true
	ino, err := x.r.Inode(ref)
	if x.fine(err); err != nil {
		return
	}
	x.call("Xattrs", func() {
		n := 0
		x.fine(x.r.Xattrs(&ino, func(string, []byte) bool { n++; return n < 20 }))
	})
	switch ino.Type {
	case Directory:
		x.directory(&ino)
	case Regular:
		x.file(&ino)
	case Symlink:
		x.call("Readlink", func() {
			_, err := x.r.Readlink(&ino)
			x.fine(err)
		})
	}
}

func (x *explorer) directory(ino *Inode) {
	var found []Dirent
	var at Cursor
	x.call("ReadDir", func() {
		x.fine(x.r.ReadDir(ino, 0, func(d Dirent, next Cursor) bool {
			found = append(found, d)
			at = next
			return len(found) < 1000
		}))
		for _, c := range []Cursor{at, at ^ 1, at ^ 1<<9, at ^ 1<<20, at << 7} {
			n := 0
			x.fine(x.r.ReadDir(ino, c, func(Dirent, Cursor) bool { n++; return n < 10 }))
		}
	})
	for i, d := range found {
		if i%16 == 0 {
			_, err := x.r.Lookup(ino, d.Name)
			x.fine(err)
		}
		if x.budget > 0 {
			x.visit(d.Ref)
		}
	}
}

func (x *explorer) file(ino *Inode) {
	n := x.r.Blocks(ino)
	for _, i := range []int{0, 1, 2, 3, n / 2, n - 1} {
		if i < 0 || i >= n {
			continue
		}
		x.call("Block", func() {
			b, err := x.r.Block(ino, i)
			if x.fine(err); err == nil {
				_, err = x.r.Decode(b, x.buf)
				x.fine(err)
			}
		})
	}
	x.call("Tail", func() {
		b, _, err := x.r.Tail(ino)
		if x.fine(err); err == nil {
			_, err = x.r.Decode(b, x.buf)
			x.fine(err)
		}
	})
	x.call("ReadAt", func() {
		var p [100]byte
		if _, err := x.r.ReadAt(ino, p[:], ino.Size-50); err != io.EOF {
			x.fine(err)
		}
	})
}

// mutationImage makes one of the small images.
func mutationImage(dir, tree string, args []string) ([]byte, error) {
	img := filepath.Join(dir, "img")
	args = append([]string{tree, img, "-noappend", "-no-progress", "-quiet", "-nopad", "-b", "4K"}, args...)
	if out, err := exec.Command("mksquashfs", args...).CombinedOutput(); err != nil {
		return nil, fmt.Errorf("mksquashfs: %v\n%s", err, out)
	}
	return os.ReadFile(img)
}

// Random edits, a few at a time, of every image.
func TestMutations(t *testing.T) {
	needTool(t, "mksquashfs")
	images, err := smallImages()
	check(t, err)
	rng := rand.New(rand.NewPCG(3, 4))
	for i, img := range images {
		explore(t, img)
		for range 60 {
			edits := make([]byte, 6*(1+rng.IntN(3)))
			for j := range edits {
				edits[j] = byte(rng.Uint32())
			}
			if i < 4 && rng.IntN(4) > 0 { // small offsets and values hit more fields
				edits[3] = 0
			}
			explore(t, mutate(img, edits))
			if t.Failed() {
				t.Fatalf("image %d, edits %x", i, edits)
			}
		}
	}
}

// Every truncation that cuts into the image is noticed.
func TestTruncated(t *testing.T) {
	needTool(t, "mksquashfs")
	images, err := smallImages()
	check(t, err)
	img := images[4]
	for n := 0; n < len(img); n += 1 + len(img)/500 {
		_, err := Open(bytes.NewReader(img[:n]), int64(n), nil)
		if n < SuperSize && !errors.Is(err, ErrNotSquashfs) || n >= SuperSize && !errors.Is(err, ErrCorrupt) {
			t.Errorf("Open(%d of %d bytes): %v", n, len(img), err)
		}
		// A file that shrinks after it was opened.
		r, err := Open(bytes.NewReader(img[:n]), int64(len(img)), nil)
		if err == nil {
			x := &explorer{t: t, r: r, budget: 50, seen: map[Ref]bool{}, buf: make([]byte, MaxBlockSize),
				sample: []metrics.Sample{{Name: "/gc/heap/allocs:bytes"}}}
			x.visit(r.Root())
		}
	}
}

func FuzzImage(f *testing.F) {
	needTool(f, "mksquashfs")
	images, err := smallImages()
	if err != nil {
		f.Fatal(err)
	}
	for i := range images {
		f.Add(byte(i), []byte{2, 1, 40, 0, 9, 0})
		f.Add(byte(i), []byte{1, 3, 40, 0, 9, 0, 3, 2, 2, 0, 0, 1})
	}
	f.Fuzz(func(t *testing.T, i byte, edits []byte) {
		explore(t, mutate(images[int(i)%len(images)], edits))
	})
}

// A directory that contains itself does not keep the file system busy.
func TestDirectoryLoop(t *testing.T) {
	needTool(t, "mksquashfs")
	images, err := smallImages()
	check(t, err)
	img := bytes.Clone(images[0])
	r := openImage(t, img)
	a, err := r.Walk("a")
	check(t, err)
	d, err := r.Lookup(&a, "b")
	check(t, err)
	// The entry of b: offset, number delta, type, size, name. Let it name a.
	at := bytes.Index(img[r.super.DirTable:], []byte("\x00\x00b"))
	if at < 0 {
		t.Fatal("no entry")
	}
	at += int(r.super.DirTable) - 6
	if int(binary.LittleEndian.Uint16(img[at:])) != int(d.Ref&0xffff) {
		t.Fatalf("no entry at %#x: %x", at, img[at:at+9])
	}
	binary.LittleEndian.PutUint16(img[at:], uint16(a.Ref))
	n := 0
	err = fs.WalkDir(openImage(t, img).FS(), ".", func(path string, d fs.DirEntry, err error) error {
		n++
		return err
	})
	if !errors.Is(err, ErrCorrupt) || n > 20 {
		t.Errorf("WalkDir: %v after %d entries; want %v", err, n, ErrCorrupt)
	}
}
