package squash

import (
	"slices"
	"strings"
)

// A Node is a name in the tree of an image, with the inode behind it. Nodes
// that share an inode (hard links) are written as Links to one of them. A tree
// can be written once: Finish keeps what it needs in the nodes.
type Node struct {
	Name string // 1 to 255 bytes without '/' and NUL, not "." or ".."; the root's does not matter

	// Link is nil, or the node whose inode this name is another name of: any
	// but a directory, in the tree or not, with or without a Link of its own.
	// All fields below are Link's then.
	Link *Node

	Type     Type
	Perm     uint16 // permission bits and setuid, setgid, sticky: mode & 07777
	UID, GID uint32
	MTime    int64   // seconds since 1970; clamped to 32 bits without sign: 1970 to 2106
	Xattrs   []Xattr // in any order
	Target   string  // Symlink: its text, 1 to 4095 bytes
	Rdev     uint32  // devices: see Rdev
	Data     Data    // Regular: its contents
	Children []*Node // Directory: its entries, in any order; Finish sorts them

	id uint32 // in the nodeTree, counted from 1; 0 before it has one
}

// An Xattr is an extended attribute.
type Xattr struct {
	Name  string // complete, as "user.note"
	Value []byte // up to 64 KiB
}

const (
	maxWriteName = 255  // bytes of a name that Linux can look up
	maxTarget    = 4095 // bytes of a symbolic link's text that Linux can follow
)

// Rdev returns device numbers as Linux encodes them for user space. ok is
// false if they are too large: 12 bits for major, 20 for minor.
func Rdev(major, minor uint32) (rdev uint32, ok bool) {
	return major<<8 | minor&0xff | minor&0xfff00<<12, major < 1<<12 && minor < 1<<20
}

// inode returns the node whose fields describe the inode of n.
func (n *Node) inode() (*Node, error) {
	seen := 0
	for n.Link != nil {
		n = n.Link
		if seen++; seen > 1<<16 {
			return nil, unfit("link to itself")
		}
	}
	return n, nil
}

// A nodeTree is the [Tree] of nodes.
type nodeTree struct {
	nodes []*Node // those with inodes of their own, by id
}

// newNodeTree gives the nodes of a tree their ids, and sorts its directories.
func newNodeTree(root *Node) (*nodeTree, error) {
	if root == nil || root.Type != Directory || root.Link != nil {
		return nil, unfit("a tree whose root is no directory")
	}
	if root.id != 0 {
		return nil, unfit("a tree that has been written before")
	}
	t := &nodeTree{}
	return t, t.add(root)
}

// has tells whether the node has an id of this tree.
func (t *nodeTree) has(n *Node) bool {
	return n.id != 0 && int(n.id) <= len(t.nodes) && t.nodes[n.id-1] == n
}

// add gives a directory and all below it their ids.
func (t *nodeTree) add(dir *Node) error {
	t.number(dir)
	slices.SortFunc(dir.Children, func(a, b *Node) int { return strings.Compare(a.Name, b.Name) })
	for _, n := range dir.Children {
		ino, err := n.inode()
		if err != nil {
			return err
		}
		switch {
		case ino.Type != Directory:
			if !t.has(ino) {
				t.number(ino)
			}
			continue
		case ino != n:
			return unfit("%q is a link to a directory", n.Name)
		case t.has(ino):
			return unfit("directory %q in two places", n.Name)
		}
		if err := t.add(n); err != nil {
			return err
		}
	}
	return nil
}

func (t *nodeTree) number(n *Node) {
	t.nodes = append(t.nodes, n)
	n.id = uint32(len(t.nodes))
}

func (t *nodeTree) Inodes() int  { return len(t.nodes) }
func (t *nodeTree) Root() uint32 { return 0 }

func (t *nodeTree) Attrs(inode uint32, a *Attrs) {
	n := t.nodes[inode]
	*a = Attrs{
		Type: n.Type, Perm: n.Perm, UID: n.UID, GID: n.GID, MTime: n.MTime,
		Xattrs: n.Xattrs, Target: n.Target, Rdev: n.Rdev, Data: n.Data,
	}
}

func (t *nodeTree) Names(dir uint32, list []Name) []Name {
	for _, n := range t.nodes[dir].Children {
		if ino, err := n.inode(); err == nil {
			list = append(list, Name{Text: n.Name, Inode: ino.id - 1, Type: ino.Type})
		}
	}
	return list
}
