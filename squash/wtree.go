package squash

import (
	"math"
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

	number uint32 // of the inode, 0 before it has one
	links  uint32 // names; Directory: of subdirectories and itself
	xattr  uint32 // index of its attributes, or noXattr
	ref    Ref    // of the inode, once it is written
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

// A census is what the tables need to know of a tree before it is written.
type census struct {
	inodes uint32
	ids    idSet
	xattrs xattrWriter
}

// count checks a tree, sorts its directories, and numbers its inodes in the
// order in which they are written: the entries of a directory one after the
// other, those of its subdirectories before them.
func (c *census) count(root *Node) error {
	if root == nil || root.Type != Directory || root.Link != nil {
		return unfit("a tree whose root is no directory")
	}
	if root.links != 0 {
		return unfit("a tree that has been written before")
	}
	if err := c.children(root); err != nil {
		return err
	}
	return c.inode(root)
}

func (c *census) children(dir *Node) error {
	slices.SortFunc(dir.Children, func(a, b *Node) int { return strings.Compare(a.Name, b.Name) })
	dir.links = 2
	for i, n := range dir.Children {
		if i > 0 && n.Name == dir.Children[i-1].Name {
			return unfit("two entries with the name %q", n.Name)
		}
		if err := checkName(n.Name); err != nil {
			return err
		}
		if n.Link == nil && n.Type == Directory {
			dir.links++
			if n.links != 0 {
				return unfit("directory %q in two places", n.Name)
			}
			if err := c.children(n); err != nil {
				return err
			}
		}
	}
	for _, n := range dir.Children {
		ino, err := n.inode()
		if err != nil {
			return err
		}
		if ino.Type == Directory {
			if ino != n {
				return unfit("%q is a link to a directory", n.Name)
			}
		} else if ino.links++; ino.links > 1 {
			continue
		}
		if err := c.inode(ino); err != nil {
			return err
		}
	}
	return nil
}

func checkName(s string) error {
	switch {
	case s == "" || s == "." || s == "..", strings.ContainsAny(s, "/\x00"):
		return unfit("the name %q", s)
	case len(s) > maxWriteName:
		return unfit("a name of %d bytes: %.40q…", len(s), s)
	}
	return nil
}

// inode counts one inode in.
func (c *census) inode(n *Node) error {
	if n.Type < Directory || n.Type > Socket {
		return unfit("%q with type %d", n.Name, n.Type)
	}
	if n.Type == Symlink && (n.Target == "" || len(n.Target) > maxTarget || strings.IndexByte(n.Target, 0) >= 0) {
		return unfit("symbolic link %q with a text of %d bytes", n.Name, len(n.Target))
	}
	if c.inodes == math.MaxUint32-1 {
		return unfit("more than %d inodes", c.inodes)
	}
	c.inodes++
	n.number = c.inodes
	if err := c.ids.add(n.UID); err != nil {
		return err
	}
	if err := c.ids.add(n.GID); err != nil {
		return err
	}
	var err error
	n.xattr, err = c.xattrs.add(n.Xattrs)
	return err
}

// clampTime returns a time as the format has it.
func clampTime(t int64) uint32 { return uint32(min(max(t, 0), math.MaxUint32)) }
