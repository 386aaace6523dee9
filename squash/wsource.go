package squash

import (
	"math"
	"strings"
)

// A Tree is the tree of an image as [Writer.FinishTree] reads it, twice, from
// wherever it is kept. Inodes go by numbers of the tree's own, so that the
// writer needs 16 bytes of memory for each.
type Tree interface {
	Inodes() int                          // all inodes are below; some may be in no directory
	Root() uint32                         // the root directory
	Attrs(inode uint32, a *Attrs)         // sets all of a
	Names(dir uint32, list []Name) []Name // appends the entries of a directory, names in byte order
}

// A Name is an entry of a directory. Names with equal inodes are hard links.
type Name struct {
	Text  string // 1 to 255 bytes without '/' and NUL, not "." or ".."
	Inode uint32
	Type  Type // of the inode
}

// Attrs is what an image says of an inode. The fields are those of [Node].
type Attrs struct {
	Type     Type
	Perm     uint16
	UID, GID uint32
	MTime    int64
	Xattrs   []Xattr
	Target   string
	Rdev     uint32
	Data     Data
}

// A census is what the tables need to know of a tree before it is written.
type census struct {
	tree    Tree
	inodes  uint32            // counted so far
	numbers []uint32          // of the tree's inodes; 0 before they have one
	links   []uint32          // their names; of directories: subdirectories and themselves
	lists   map[uint32]uint32 // indexes of the attributes of those that have any
	ids     idSet
	xattrs  xattrWriter
	names   []Name // the entries of the directories that are being looked at
	attrs   Attrs  // of the inode that is being looked at: one for all, as it escapes
}

// count checks a tree and numbers its inodes in the order in which they are
// written: the entries of a directory one after the other, those of its
// subdirectories before them.
func (c *census) count(tree Tree) error {
	n := tree.Inodes()
	if n >= math.MaxUint32-1 {
		return unfit("%d inodes", n)
	}
	c.tree, c.numbers, c.links, c.lists = tree, make([]uint32, n), make([]uint32, n), make(map[uint32]uint32)
	if err := c.children(tree.Root()); err != nil {
		return err
	}
	return c.inode(tree.Root(), "/")
}

func (c *census) children(dir uint32) error {
	from := len(c.names)
	c.names = c.tree.Names(dir, c.names)
	to := len(c.names)
	c.links[dir] = 2
	for i := from; i < to; i++ {
		n := c.names[i]
		if i > from && n.Text <= c.names[i-1].Text {
			return unfit("the entry %q behind %q", n.Text, c.names[i-1].Text)
		}
		if err := checkName(n.Text); err != nil {
			return err
		}
		if n.Type == Directory {
			c.links[dir]++
			if c.links[n.Inode] != 0 {
				return unfit("directory %q in two places", n.Text)
			}
			if err := c.children(n.Inode); err != nil {
				return err
			}
		}
	}
	for _, n := range c.names[from:to] {
		if n.Type != Directory {
			if c.links[n.Inode]++; c.links[n.Inode] > 1 {
				continue
			}
		}
		if err := c.inode(n.Inode, n.Text); err != nil {
			return err
		}
	}
	c.names = c.names[:from]
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

// inode counts one inode in, which has a name.
func (c *census) inode(inode uint32, name string) error {
	a := &c.attrs
	c.tree.Attrs(inode, a)
	if a.Type < Directory || a.Type > Socket {
		return unfit("%q with type %d", name, a.Type)
	}
	if a.Type == Symlink && (a.Target == "" || len(a.Target) > maxTarget || strings.IndexByte(a.Target, 0) >= 0) {
		return unfit("symbolic link %q with a text of %d bytes", name, len(a.Target))
	}
	c.inodes++
	c.numbers[inode] = c.inodes
	if err := c.ids.add(a.UID); err != nil {
		return err
	}
	if err := c.ids.add(a.GID); err != nil {
		return err
	}
	list, err := c.xattrs.add(a.Xattrs)
	if list != noXattr {
		c.lists[inode] = list
	}
	return err
}

// list returns the index of an inode's attributes, or noXattr.
func (c *census) list(inode uint32) uint32 {
	if list, ok := c.lists[inode]; ok {
		return list
	}
	return noXattr
}

// clampTime returns a time as the format has it.
func clampTime(t int64) uint32 { return uint32(min(max(t, 0), math.MaxUint32)) }
