package layer

import (
	"fmt"
	"hash/maphash"
	"math"
	"slices"
	"strings"

	"coracle/squash"
)

// A Tree is what the layers of an image amount to. It is a [squash.Tree], but for the
// contents of files. Nothing in it is a pointer, so that a million files take 80 MB and
// the garbage collector passes by.
type Tree struct {
	nodes  arena[node]
	inodes arena[inode]
	dirs   arena[dir] // the root is the first
	texts  texts
	xattrs map[uint32][]Xattr // by inode

	seed  maphash.Seed
	index []uint32 // nodes by directory and name, counted from 1: an open hash table
}

// A node is a name in a directory, or was one. Its place is found again if the name is.
type node struct {
	name    uint32 // in texts
	dir     uint32 // the directory that it is in
	next    uint32 // in that directory, counted from 1; 0: it is the last one
	inode   uint32
	touched int32 // newest layer that has the name, or a name below it
	gone    bool
}

// An inode is what names name.
type inode struct {
	size       int64  // Regular: bytes. Directory: place in dirs. Symlink: place in texts. Devices: rdev
	mtime      uint32 // as squashfs has it
	uid, gid   uint32
	layer, seq int32
	perm       uint16
	typ        squash.Type
	implied    bool
}

// A dir is what a directory has beside its attributes.
type dir struct {
	inode  uint32
	first  uint32 // node, counted from 1; 0: there has been none
	pruned int32  // newest layer that hid what older ones have below
	sorted bool   // the list that begins at first
}

// maxNodes bounds the names of a tree; most images have less than a million.
const maxNodes = 1 << 28

func newTree() *Tree {
	t := &Tree{xattrs: make(map[uint32][]Xattr), seed: maphash.MakeSeed(), index: make([]uint32, 1<<8)}
	t.dirs.add(dir{pruned: -1})
	t.inodes.add(inode{typ: squash.Directory, perm: 0o755, implied: true, layer: -1})
	return t
}

// slot returns where in the index the name is, or where it would go.
func (t *Tree) slot(dir uint32, name string) *uint32 {
	mask := uint64(len(t.index) - 1)
	h := maphash.String(t.seed, name) ^ uint64(dir)*0x9e3779b97f4a7c15
	for i := h ^ h>>32; ; i++ {
		p := &t.index[i&mask]
		if *p == 0 {
			return p
		}
		if n := t.nodes.at(*p - 1); n.dir == dir && t.texts.at(n.name) == name {
			return p
		}
	}
}

// find returns the node of a name in a directory, or nil.
func (t *Tree) find(dir uint32, name string) *node {
	if p := t.slot(dir, name); *p != 0 {
		if n := t.nodes.at(*p - 1); !n.gone {
			return n
		}
	}
	return nil
}

// link gives a name in a directory an inode.
func (t *Tree) link(dir uint32, name string, inode uint32) (*node, error) {
	p := t.slot(dir, name)
	if *p != 0 {
		n := t.nodes.at(*p - 1)
		n.inode, n.gone = inode, false
		return n, nil
	}
	if t.nodes.n >= maxNodes {
		return nil, fmt.Errorf("%w: more than %d names", ErrTooMany, maxNodes)
	}
	place, err := t.texts.add(name)
	if err != nil {
		return nil, err
	}
	d := t.dirs.at(dir)
	*p = t.nodes.add(node{name: place, dir: dir, next: d.first, inode: inode}) + 1
	d.first, d.sorted = *p, false
	n := t.nodes.at(*p - 1)
	if int(t.nodes.n) > len(t.index)/4*3 {
		t.grow()
	}
	return n, nil
}

// grow doubles the index.
func (t *Tree) grow() {
	t.index = make([]uint32, 2*len(t.index))
	for i := range t.nodes.n {
		n := t.nodes.at(i)
		*t.slot(n.dir, t.texts.at(n.name)) = i + 1
	}
}

// set makes an inode of an entry. The inode of a directory belongs to d, if that is not 0.
func (t *Tree) set(i uint32, e *Entry) error {
	ino := t.inodes.at(i)
	place := ino.size
	*ino = inode{
		mtime: uint32(min(max(e.MTime, 0), math.MaxUint32)), uid: e.UID, gid: e.GID, layer: e.Layer, seq: e.Seq,
		perm: e.Perm, typ: e.Type, implied: e.Implied,
	}
	switch e.Type {
	case squash.Directory:
		ino.size = place
	case squash.Symlink:
		at, err := t.texts.add(e.Link)
		if err != nil {
			return err
		}
		ino.size = int64(at)
	case squash.Regular:
		ino.size = e.Size
	default:
		ino.size = int64(e.Rdev)
	}
	delete(t.xattrs, i)
	if len(e.Xattrs) > 0 {
		t.xattrs[i] = e.Xattrs
	}
	return nil
}

// inode adds the inode of an entry.
func (t *Tree) inode(e *Entry) (uint32, error) {
	i := t.inodes.add(inode{})
	if e.Type == squash.Directory {
		t.inodes.at(i).size = int64(t.dirs.add(dir{inode: i, pruned: -1}))
	}
	return i, t.set(i, e)
}

// each calls fn for the names of a directory.
func (t *Tree) each(dir uint32, fn func(n *node)) {
	for at := t.dirs.at(dir).first; at != 0; {
		n := t.nodes.at(at - 1)
		at = n.next
		if !n.gone {
			fn(n)
		}
	}
}

// isDir tells whether a node is a directory, and which.
func (t *Tree) isDir(n *node) (dir uint32, ok bool) {
	ino := t.inodes.at(n.inode)
	return uint32(ino.size), ino.typ == squash.Directory
}

// Occupied tells whether there is anything at path, or a parent of it that is not a
// directory. Symbolic links are not followed.
func (t *Tree) Occupied(path string) bool {
	at := uint32(0)
	for rest, more := path, true; more; {
		var name string
		name, rest, more = strings.Cut(rest, "/")
		n := t.find(at, name)
		if n == nil {
			return false
		}
		var ok bool
		if at, ok = t.isDir(n); !ok {
			return true
		}
	}
	return true
}

// Inodes returns how many inodes there are; those of hidden files count.
func (t *Tree) Inodes() int { return int(t.inodes.n) }

// Root returns the root directory's inode.
func (t *Tree) Root() uint32 { return 0 }

// Attrs returns what the layers say of an inode, but for Data.
func (t *Tree) Attrs(i uint32, a *squash.Attrs) {
	ino := t.inodes.at(i)
	*a = squash.Attrs{Type: ino.typ, Perm: ino.perm, UID: ino.uid, GID: ino.gid, MTime: int64(ino.mtime)}
	switch ino.typ {
	case squash.Symlink:
		a.Target = t.texts.at(uint32(ino.size))
	case squash.CharDevice, squash.BlockDevice:
		a.Rdev = uint32(ino.size)
	}
	for _, x := range t.xattrs[i] {
		a.Xattrs = append(a.Xattrs, squash.Xattr{Name: x.Name, Value: []byte(x.Value)})
	}
}

// Source tells which entry of which layer an inode is from, and the size of a file. An
// implied directory is from none: layer -1.
func (t *Tree) Source(i uint32) (layer, seq int, size int64) {
	ino := t.inodes.at(i)
	if ino.typ == squash.Regular {
		size = ino.size
	}
	return int(ino.layer), int(ino.seq), size
}

// Names appends the entries of a directory, names in byte order.
func (t *Tree) Names(i uint32, list []squash.Name) []squash.Name {
	place := uint32(t.inodes.at(i).size)
	if !t.dirs.at(place).sorted {
		t.sort(place)
	}
	t.each(place, func(n *node) {
		list = append(list, squash.Name{Text: t.texts.at(n.name), Inode: n.inode, Type: t.inodes.at(n.inode).typ})
	})
	return list
}

// sort puts the names of a directory in order.
func (t *Tree) sort(place uint32) {
	d := t.dirs.at(place)
	var order []uint32
	for at := d.first; at != 0; at = t.nodes.at(at - 1).next {
		order = append(order, at)
	}
	slices.SortFunc(order, func(a, b uint32) int {
		return strings.Compare(t.texts.at(t.nodes.at(a-1).name), t.texts.at(t.nodes.at(b-1).name))
	})
	d.first, d.sorted = 0, true
	for _, at := range slices.Backward(order) {
		t.nodes.at(at - 1).next = d.first
		d.first = at
	}
}

// Walk calls fn for every name in the tree, a directory before what is in it, names in
// byte order. The root's path is "".
func (t *Tree) Walk(fn func(path string, inode uint32, typ squash.Type)) {
	fn("", 0, squash.Directory)
	t.walk("", 0, fn)
}

func (t *Tree) walk(prefix string, dir uint32, fn func(string, uint32, squash.Type)) {
	for _, n := range t.Names(dir, nil) {
		path := prefix + n.Text
		fn(path, n.Inode, n.Type)
		if n.Type == squash.Directory {
			t.walk(path+"/", n.Inode, fn)
		}
	}
}
