package squash

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"math"
	"strings"
	"testing"
	"testing/fstest"
	"testing/iotest"
)

func TestTree(t *testing.T) {
	want := fstest.MapFS{
		"empty":           {Mode: 0o600},
		"bin/sh":          {Data: noise(1, 10<<10), Mode: 0o755},
		"etc/passwd":      {Data: []byte("root:x:0:0::/root:/bin/sh\n"), Mode: 0o644},
		"usr/share/words": {Data: []byte(strings.Repeat("words ", 1e3)), Mode: 0o644},
		"usr/lib":         {Mode: fs.ModeDir | 0o755},
	}
	r := openImage(t, write(t, WriterOptions{BlockSize: 4096}, func(w *Writer) *Node {
		root, err := w.Tree(want, nil)
		check(t, err)
		return root
	}))
	if err := fstest.TestFS(r.FS(), "empty", "bin/sh", "etc/passwd", "usr/share/words", "usr/lib"); err != nil {
		t.Error(err)
	}
	for name, f := range want {
		if f.Mode.IsDir() {
			continue
		}
		got, err := fs.ReadFile(r.FS(), name)
		if err != nil || !bytes.Equal(got, f.Data) {
			t.Errorf("contents of %q: %d bytes, %v; want %d bytes", name, len(got), err, len(f.Data))
		}
	}
}

func TestFileLength(t *testing.T) {
	broken := errors.New("broken")
	for _, tt := range []struct {
		have io.Reader
		size int64
		want error
	}{
		{have: zeros(5), size: 5},
		{have: zeros(4), size: 5, want: io.ErrUnexpectedEOF},
		{have: zeros(6), size: 5, want: ErrFormat},
		{have: zeros(1), size: 0, want: ErrFormat},
		{have: zeros(400 << 10), size: 500 << 10, want: io.ErrUnexpectedEOF},
		{have: zeros(400 << 10), size: 399 << 10, want: ErrFormat},
		{have: zeros(0), size: 1 << 60, want: ErrFormat}, // too many blocks
		{have: zeros(0), size: -1, want: ErrFormat},
		{have: iotest.ErrReader(broken), size: 5, want: broken},
		{have: io.MultiReader(zeros(5), iotest.ErrReader(broken)), size: 5, want: broken},
	} {
		w, err := NewWriter(&memory{}, nil)
		check(t, err)
		_, err = w.File(tt.have, tt.size)
		if !errors.Is(err, tt.want) {
			t.Errorf("File(%d): %v, want %v", tt.size, err, tt.want)
		}
		if _, again := w.File(zeros(1), 1); err != nil && again != err {
			t.Errorf("File after %v: %v", err, again)
		}
		check(t, w.Close())
		check(t, w.Close())
	}
}

func zeros(n int) io.Reader { return bytes.NewReader(make([]byte, n)) }

// What the format cannot hold is refused.
func TestUnfit(t *testing.T) {
	dir := func(children ...*Node) *Node { return &Node{Type: Directory, Children: children} }
	named := func(name string) *Node { return &Node{Name: name, Type: Fifo} }
	with := func(a ...Xattr) *Node { return dir(&Node{Name: "a", Type: Fifo, Xattrs: a}) }
	link := func(text string) *Node { return dir(&Node{Name: "a", Type: Symlink, Target: text}) }
	circle := dir()
	circle.Name = "a"
	circle.Children = []*Node{circle}
	itself := named("a")
	itself.Link = itself
	sub := &Node{Name: "a", Type: Directory}
	for _, tt := range []struct {
		name string
		root *Node
		ok   bool
	}{
		{name: "nothing", root: nil},
		{name: "a fifo as root", root: named("a")},
		{name: "no name", root: dir(named(""))},
		{name: "a dot", root: dir(named("."))},
		{name: "two dots", root: dir(named(".."))},
		{name: "three dots", root: dir(named("...")), ok: true},
		{name: "a slash", root: dir(named("a/b"))},
		{name: "a NUL", root: dir(named("a\x00"))},
		{name: "255 bytes", root: dir(named(strings.Repeat("a", 255))), ok: true},
		{name: "256 bytes", root: dir(named(strings.Repeat("a", 256)))},
		{name: "twice", root: dir(named("b"), named("a"), named("b"))},
		{name: "no type", root: dir(&Node{Name: "a"})},
		{name: "type 8", root: dir(&Node{Name: "a", Type: 8})},
		{name: "circle", root: circle},
		{name: "link to itself", root: dir(itself)},
		{name: "link to a directory", root: dir(sub, &Node{Name: "b", Link: sub})},
		{name: "directory twice", root: dir(sub, dir(sub))},
		{name: "link without a text", root: link("")},
		{name: "4095 bytes of text", root: link(strings.Repeat("a", 4095)), ok: true},
		{name: "4096 bytes of text", root: link(strings.Repeat("a", 4096))},
		{name: "a NUL in a text", root: link("a\x00")},
		{name: "attribute of no name", root: with(Xattr{Name: "user."})},
		{name: "attribute of another name space", root: with(Xattr{Name: "system.posix_acl_access"})},
		{name: "attribute of a long name", root: with(Xattr{Name: "user." + strings.Repeat("a", 251)})},
		{name: "attribute of 64 KiB", root: with(Xattr{"user.a", make([]byte, 64<<10)}), ok: true},
		{name: "attribute of more", root: with(Xattr{"user.a", make([]byte, 64<<10+1)})},
		{name: "attribute twice", root: with(Xattr{Name: "user.a"}, Xattr{Name: "user.b"}, Xattr{Name: "user.a"})},
	} {
		m := &memory{}
		w, err := NewWriter(m, nil)
		check(t, err)
		_, err = w.Finish(tt.root)
		if (err == nil) != tt.ok || err != nil && !errors.Is(err, ErrFormat) {
			t.Errorf("%s: %v", tt.name, err)
		}
		if _, err := Open(bytes.NewReader(m.b), int64(len(m.b)), nil); (err == nil) != tt.ok {
			t.Errorf("%s: what was written opens with %v", tt.name, err)
		}
		if _, err := w.Finish(&Node{Type: Directory}); err == nil {
			t.Errorf("%s: a second Finish is fine", tt.name)
		}
	}
}

func TestNewWriter(t *testing.T) {
	for _, o := range []WriterOptions{
		{BlockSize: 2048}, {BlockSize: 2 << 20}, {BlockSize: 5000}, {BlockSize: -4096},
		{Compression: Compression{Compressor: LZO}},
		{Compression: Compression{Compressor: Gzip, Level: 10}},
		{Compression: Compression{Level: -1}},
	} {
		if _, err := NewWriter(&memory{}, &o); !errors.Is(err, ErrFormat) {
			t.Errorf("NewWriter(%+v): %v, want ErrFormat", o, err)
		}
	}
}

// A failing is a destination that breaks after some bytes.
type failing struct {
	memory
	left int
}

var errFull = errors.New("disk full")

func (f *failing) WriteAt(p []byte, off int64) (int, error) {
	if f.left -= len(p); f.left < 0 {
		return 0, errFull
	}
	return f.memory.WriteAt(p, off)
}

// An error of the destination comes out wherever it happens, and nothing
// hangs.
func TestFullDestination(t *testing.T) {
	tree := fstest.MapFS{}
	for i := range 50 {
		tree[fmt.Sprint("f", i)] = &fstest.MapFile{Data: noise(byte(i), 3000*(1+i%3))}
	}
	for left := 0; ; left += 9999 {
		f := &failing{left: left}
		w, err := NewWriter(f, &WriterOptions{BlockSize: 4096, Workers: 2})
		var root *Node
		if err == nil {
			if root, err = w.Tree(tree, nil); err == nil {
				_, err = w.Finish(root)
			}
			check(t, w.Close())
		}
		if err == nil {
			if left < 200_000 {
				t.Errorf("no error with room for %d bytes", left)
			}
			return
		}
		if !errors.Is(err, errFull) {
			t.Fatalf("with room for %d bytes: %v", left, err)
		}
	}
}

// Equal files are stored once, and nothing is left of the copies.
func TestDuplicates(t *testing.T) {
	size := func(o WriterOptions, copies int) int {
		return len(write(t, o, func(w *Writer) *Node {
			root := &Node{Type: Directory}
			for i := range copies {
				for name, b := range map[string][]byte{"large": noise(1, 300<<10), "small": noise(2, 50<<10)} {
					root.Children = append(root.Children, &Node{Name: fmt.Sprint(name, i), Type: Regular, Data: w.testFile(t, b)})
				}
			}
			return root
		}))
	}
	for _, o := range []WriterOptions{{}, {AlwaysFragments: true}, {NoFragments: true}, {Workers: 2, BlockSize: 4096}} {
		one, ten := size(o, 1), size(o, 10)
		if ten > one+8192 {
			t.Errorf("%+v: %d bytes, %d for ten copies", o, one, ten)
		}
	}
	if ten := size(WriterOptions{NoDuplicates: true}, 10); ten < 3_200_000 {
		t.Errorf("%d bytes for ten copies kept apart", ten)
	}
}

// The bytes depend on neither the number of workers nor on how a reader hands
// out its bytes.
func TestDeterministic(t *testing.T) {
	for _, o := range allOptions() {
		var first []byte
		for _, workers := range []int{1, 2, 8} {
			o.Workers = workers
			img := write(t, o, func(w *Writer) *Node {
				tree := oddTree(t, w, 1000)
				b := noise(3, 300<<10)
				d, err := w.File(iotest.HalfReader(iotest.DataErrReader(bytes.NewReader(b))), int64(len(b)))
				check(t, err)
				tree.root.Children = append(tree.root.Children, &Node{Name: "zz", Type: Regular, Data: d})
				return tree.root
			})
			if first == nil {
				first = img
			}
			if !bytes.Equal(img, first) {
				t.Errorf("%+v: differs from one worker's", o)
			}
		}
	}
}

// Blocks of zeros take no space, and the inode says how many bytes they are.
func TestSparse(t *testing.T) {
	const size = 4<<30 + 5
	img := write(t, WriterOptions{BlockSize: 1 << 20, Workers: 2}, func(w *Writer) *Node {
		d, err := w.File(io.LimitReader(endless{}, size), size)
		check(t, err)
		return &Node{Type: Directory, Children: []*Node{{Name: "huge", Type: Regular, Data: d}}}
	})
	if len(img) > 16<<10 {
		t.Errorf("%d bytes of image", len(img))
	}
	r := openImage(t, img)
	ino, err := r.Walk("huge")
	if err != nil || ino.Size != size {
		t.Fatalf("Walk(huge) = %+v, %v", ino, err)
	}
	b := []byte{1, 1, 1, 1, 1}
	if n, err := r.ReadAt(&ino, b, size-5); n != 5 || err != nil || !bytes.Equal(b, make([]byte, 5)) {
		t.Errorf("ReadAt the end: %v, %d, %v", b, n, err)
	}
}

type endless struct{}

func (endless) Read(p []byte) (int, error) { clear(p); return len(p), nil }

// 65 535 ids fit, one more does not.
func TestIDs(t *testing.T) {
	tree := func(n int) *Node {
		root := &Node{Type: Directory}
		for i := range n {
			root.Children = append(root.Children, &Node{Name: fmt.Sprintf("%06d", i), Type: Fifo, UID: math.MaxUint32 - uint32(i)})
		}
		return root
	}
	r := openImage(t, write(t, WriterOptions{}, func(*Writer) *Node { return tree(65534) })) // and group 0
	for _, i := range []uint32{0, 1, 30000, 65533} {
		ino, err := r.Walk(fmt.Sprintf("%06d", i))
		if err != nil || ino.UID != math.MaxUint32-i || ino.GID != 0 {
			t.Errorf("inode %d: %+v, %v", i, ino, err)
		}
	}
	w, err := NewWriter(&memory{}, nil)
	check(t, err)
	if _, err := w.Finish(tree(65535)); !errors.Is(err, ErrFormat) {
		t.Errorf("65536 ids: %v, want ErrFormat", err)
	}
}

func TestRdev(t *testing.T) {
	for _, tt := range []struct {
		major, minor uint32
		ok           bool
	}{{1, 3, true}, {8, 257, true}, {4095, 0xfffff, true}, {4096, 0, false}, {0, 0x100000, false}} {
		rdev, ok := Rdev(tt.major, tt.minor)
		ino := Inode{Rdev: rdev}
		major, minor := ino.Device()
		if ok != tt.ok || ok && (major != tt.major || minor != tt.minor) {
			t.Errorf("Rdev(%d, %d) = %#x, %v: %d, %d", tt.major, tt.minor, rdev, ok, major, minor)
		}
	}
}
