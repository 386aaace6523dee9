package build

import (
	"coracle/image/layer"
	"coracle/squash"
)

// A grower turns the merged tree into the squashfs writer's.
type grower struct {
	data   func(*layer.Entry) squash.Data
	mtime  int64                         // of directories that no layer describes
	first  map[*layer.Entry]*squash.Node // of files with several names: the first
	inodes int
}

// grow returns the node for n and all below it. Names that share a file become links to
// the first of them. It takes the tree of n apart: with a million files, two trees at a
// time are too much memory.
func (g *grower) grow(n *layer.Node) *squash.Node {
	if n.Type != squash.Directory {
		if first := g.first[n.Entry]; n.Shared && first != nil {
			return &squash.Node{Name: n.Name, Link: first}
		}
	}
	g.inodes++
	out := &squash.Node{
		Name: n.Name, Type: n.Type, Perm: n.Perm, UID: n.UID, GID: n.GID, MTime: n.MTime, Rdev: n.Rdev,
	}
	for _, x := range n.Xattrs {
		out.Xattrs = append(out.Xattrs, squash.Xattr{Name: x.Name, Value: []byte(x.Value)})
	}
	switch n.Type {
	case squash.Directory:
		if n.Implied {
			out.MTime = g.mtime
		}
		out.Children = make([]*squash.Node, 0, len(n.Children))
		for _, child := range n.Sorted() {
			out.Children = append(out.Children, g.grow(child))
		}
		n.Children = nil
		return out
	case squash.Symlink:
		out.Target = n.Link
	case squash.Regular:
		if n.Size > 0 {
			out.Data = g.data(n.Entry)
		}
	}
	if n.Shared {
		g.first[n.Entry] = out
	}
	return out
}
