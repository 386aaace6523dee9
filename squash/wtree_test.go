package squash

import (
	"bytes"
	"crypto/sha256"
	"fmt"
	"io/fs"
	"math/rand/v2"
	"slices"
	"strings"
	"testing"
)

// A memory is an image in memory.
type memory struct{ b []byte }

func (m *memory) WriteAt(p []byte, off int64) (int, error) {
	if n := int(off) + len(p); n > len(m.b) {
		m.b = append(m.b, make([]byte, n-len(m.b))...)
	}
	return copy(m.b[off:], p), nil
}

// write makes an image of the tree that fill returns.
func write(t testing.TB, o WriterOptions, fill func(w *Writer) *Node) []byte {
	t.Helper()
	m := &memory{}
	w, err := NewWriter(m, &o)
	check(t, err)
	defer w.Close()
	size, err := w.Finish(fill(w))
	check(t, err)
	if size%padding != 0 || size > int64(len(m.b)) {
		t.Fatalf("Finish() = %d, %d bytes were written", size, len(m.b))
	}
	return m.b[:size]
}

// file writes the contents of one file.
func (w *Writer) testFile(t testing.TB, b []byte) Data {
	t.Helper()
	d, err := w.File(bytes.NewReader(b), int64(len(b)))
	check(t, err)
	if w.Size(d) != int64(len(b)) {
		t.Fatalf("Size() = %d, want %d", w.Size(d), len(b))
	}
	return d
}

// noise returns n bytes that do not compress.
func noise(seed byte, n int) []byte {
	b := make([]byte, n)
	rand.NewChaCha8([32]byte{seed}).Read(b)
	return b
}

// A tree is built for a Writer together with what a listing of its image says.
type testTree struct {
	t    testing.TB
	w    *Writer
	root *Node
	want map[string]entry
	dirs map[string]*Node
	data map[*Node][]byte
}

func newTree(t testing.TB, w *Writer) *testTree {
	root := &Node{Type: Directory, Perm: 0o755, MTime: 1_600_000_000}
	tree := &testTree{t: t, w: w, root: root, want: map[string]entry{}, dirs: map[string]*Node{"": root}, data: map[*Node][]byte{}}
	tree.want["."] = describeNode(root, nil)
	return tree
}

// add adds a node, whose directory is there already, with contents.
func (tree *testTree) add(path string, n Node, contents []byte) *Node {
	tree.t.Helper()
	dir, name := "", path
	if i := strings.LastIndexByte(path, '/'); i >= 0 {
		dir, name = path[:i], path[i+1:]
	}
	n.Name = name
	if n.Link == nil && n.Type == Regular {
		n.Data = tree.w.testFile(tree.t, contents)
	}
	node := &n
	parent := tree.dirs[dir]
	parent.Children = append(parent.Children, node)
	if n.Type == Directory && n.Link == nil {
		tree.dirs[path] = node
	}
	target := node
	for target.Link != nil {
		target = target.Link
	}
	if target == node {
		tree.data[node] = contents
	}
	tree.want[path] = describeNode(target, tree.data[target])
	return node
}

// describeNode returns what a listing says of a node with one name.
func describeNode(n *Node, contents []byte) entry {
	ino := Inode{Type: n.Type, Perm: n.Perm}
	e := entry{Mode: ino.Mode(), UID: n.UID, GID: n.GID, MTime: clampTime(n.MTime), Links: 1, Rdev: n.Rdev, Text: n.Target}
	switch n.Type {
	case Directory:
		e.Links = 0
	case Regular:
		e.Size, e.Sum = int64(len(contents)), sha256.Sum256(contents)
	case Symlink:
		e.Size = int64(len(n.Target))
	}
	var xattrs []string
	for _, a := range n.Xattrs {
		xattrs = append(xattrs, fmt.Sprintf("%s=%x", a.Name, sha256.Sum256(a.Value)))
	}
	slices.Sort(xattrs)
	e.Xattrs = strings.Join(xattrs, " ")
	return e
}

// links sets the number of names of some paths.
func (tree *testTree) links(n uint32, paths ...string) {
	for _, p := range paths {
		e := tree.want[p]
		e.Links = n
		tree.want[p] = e
	}
}

// oddTree has all kinds of entries. Every kind of inode is there in its basic
// and in its extended form.
// Attributes have up to long bytes.
func oddTree(t testing.TB, w *Writer, long int) *testTree {
	tree := newTree(t, w)
	bs := w.o.BlockSize
	owner := func(n Node) Node {
		n.UID, n.GID, n.MTime = 4_000_000_000, 65534, 1_234_567_890
		return n
	}
	special := []Xattr{ // Linux refuses user attributes on what is neither file nor directory
		{"trusted.overlay.opaque", []byte("y")},
		{"security.long", pattern(long)},
	}
	ordinary := append([]Xattr{
		{"user.long", pattern(long)},
		{"security.capability", []byte("\x01\x00\x00\x02\x00\x04\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00")},
		{"user.empty", nil},
	}, special[:1]...)
	for _, kind := range []string{"basic", "extended"} {
		var x, s []Xattr
		if kind == "extended" {
			x, s = ordinary, special
		}
		tree.add(kind, Node{Type: Directory, Perm: 0o1777, Xattrs: x}, nil)
		null, _ := Rdev(1, 3)
		far, _ := Rdev(4095, 0xfffff)
		tree.add(kind+"/null", Node{Type: CharDevice, Perm: 0o666, Rdev: null, Xattrs: s}, nil)
		tree.add(kind+"/disk", owner(Node{Type: BlockDevice, Perm: 0o660, Rdev: far, Xattrs: s}), nil)
		tree.add(kind+"/fifo", Node{Type: Fifo, Perm: 0o600, Xattrs: s}, nil)
		tree.add(kind+"/socket", Node{Type: Socket, Perm: 0o755, Xattrs: s}, nil)
		tree.add(kind+"/link", owner(Node{Type: Symlink, Perm: 0o777, Target: "../no where", Xattrs: s}), nil)
		tree.add(kind+"/empty", Node{Type: Regular, Perm: 0o4755, MTime: 1<<32 - 1, Xattrs: x}, nil)
		tree.add(kind+"/file", owner(Node{Type: Regular, Perm: 0o2644, Xattrs: x}), []byte("contents of "+kind))
	}
	tree.add("long link", Node{Type: Symlink, Perm: 0o777, Target: strings.Repeat("x/", 2047) + "x"}, nil)
	tree.add("before 1970", Node{Type: Fifo, MTime: -1}, nil)
	tree.add("after 2106", Node{Type: Fifo, MTime: 1 << 40}, nil)
	for _, name := range []string{strings.Repeat("n", 255), " blank", "new\nline", "caf\xe9", "-dash", "*", "\x01"} {
		tree.add(name, Node{Type: Regular, Perm: 0o444}, []byte(name))
	}
	tree.add("sizes", Node{Type: Directory, Perm: 0o700}, nil)
	for _, n := range []int{1, bs - 1, bs, bs + 1, 2*bs + 17, 5 * bs} {
		tree.add(fmt.Sprint("sizes/text-", n), Node{Type: Regular, Perm: 0o644}, pattern(n))
		tree.add(fmt.Sprint("sizes/noise-", n), Node{Type: Regular, Perm: 0o644}, noise(1, n))
		tree.add(fmt.Sprint("sizes/zeros-", n), Node{Type: Regular, Perm: 0o644}, make([]byte, n))
	}
	hole := append(append(pattern(bs), make([]byte, 3*bs)...), "end"...)
	tree.add("sparse", Node{Type: Regular, Perm: 0o644}, hole)
	tree.hardLinks(special)
	tree.copies(bs, long)
	return tree
}

func (tree *testTree) hardLinks(x []Xattr) {
	first := tree.add("basic/hard", Node{Type: Regular, Perm: 0o600}, pattern(1000))
	second := tree.add("hard", Node{Link: first}, nil)
	tree.add("a hard", Node{Link: second}, nil) // a link to a link, in front of its target
	tree.links(3, "basic/hard", "hard", "a hard")
	fifo := tree.add("fifo", Node{Type: Fifo, Perm: 0o622, Xattrs: x}, nil)
	tree.add("sizes/fifo", Node{Link: fifo}, nil)
	tree.links(2, "fifo", "sizes/fifo")
	gone := &Node{Type: Regular, Perm: 0o640, Data: tree.w.testFile(tree.t, []byte("no name of its own"))}
	tree.data[gone] = []byte("no name of its own")
	tree.add("left", Node{Link: gone}, nil)
	tree.add("over", Node{Link: gone}, nil)
	tree.links(2, "left", "over")
}

// copies adds files with equal contents.
func (tree *testTree) copies(bs, long int) {
	tree.add("copies", Node{Type: Directory, Perm: 0o755}, nil)
	for i := range 3 {
		tree.add(fmt.Sprint("copies/large", i), Node{Type: Regular}, noise(9, 3*bs+5))
		tree.add(fmt.Sprint("copies/small", i), Node{Type: Regular}, pattern(bs/2))
		tree.add(fmt.Sprint("copies/same start", i), Node{Type: Regular}, append(noise(9, 3*bs), byte(i)))
		tree.add(fmt.Sprint("copies/attribute", i), Node{Type: Regular, Xattrs: []Xattr{
			{"user.long", pattern(long)}, {fmt.Sprint("user.", i), pattern(100)}, {"user.x", pattern(100)},
		}}, nil)
	}
}

// Everything comes back, by every compressor and layout.
func TestWriter(t *testing.T) {
	for _, o := range allOptions() {
		t.Run(fmt.Sprintf("%v_%dK_%+v", o.Compression, o.BlockSize>>10, o), func(t *testing.T) {
			var tree *testTree
			img := write(t, o, func(w *Writer) *Node {
				tree = oddTree(t, w, 64<<10)
				return tree.root
			})
			r := openImage(t, img)
			diff(t, listImage(t, r), tree.want)
			if n := r.Super().Inodes; int(n) != len(tree.want)-4 { // five names are links to others', one of those has no name
				t.Errorf("%d inodes, %d names", n, len(tree.want))
			}
		})
	}
}

func allOptions() []WriterOptions {
	comp := func(s string) Compression {
		c, err := ParseCompression(s)
		if err != nil {
			panic(err)
		}
		return c
	}
	return []WriterOptions{
		{},
		{Compression: comp("gzip"), BlockSize: 4 << 10, Workers: 3},
		{Compression: comp("gzip:1"), BlockSize: 256 << 10},
		{Compression: comp("gzip:9"), NoFragments: true},
		{Compression: comp("zstd:1"), AlwaysFragments: true, BlockSize: 16 << 10},
		{Compression: comp("zstd:19"), BlockSize: 4 << 10, NoDuplicates: true},
		{Compression: comp("xz"), BlockSize: 64 << 10, MTime: 12345},
		{Compression: comp("xz:1"), BlockSize: 4 << 10, AlwaysFragments: true},
		{Compression: comp("lz4"), NoExport: true},
		{Compression: comp("lz4:12"), BlockSize: 8 << 10, NoFragments: true, NoDuplicates: true},
		{Compression: comp("none"), BlockSize: 32 << 10},
	}
}

// The mode bits of fs.FileMode and back.
func TestSetMode(t *testing.T) {
	for _, m := range []fs.FileMode{
		0o644, fs.ModeDir | fs.ModeSticky | 0o777, fs.ModeSymlink | 0o777, fs.ModeSetuid | fs.ModeSetgid | 0o755,
		fs.ModeDevice | 0o600, fs.ModeDevice | fs.ModeCharDevice | 0o600, fs.ModeNamedPipe, fs.ModeSocket,
	} {
		var n Node
		n.setMode(m)
		ino := Inode{Type: n.Type, Perm: n.Perm}
		if got := ino.Mode(); got != m {
			t.Errorf("setMode(%v) is %v", m, got)
		}
	}
}
