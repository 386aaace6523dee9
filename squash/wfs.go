package squash

import (
	"fmt"
	"io/fs"
	"path"
)

// FillNode completes a node that was made from a file of an fs.FS with what
// that interface does not tell: owner, device numbers, attributes. Type, Perm,
// MTime and Target are there already. The key stands for the inode if it may
// have other names (a device and inode number); nil: it has none.
type FillNode func(name string, info fs.FileInfo, n *Node) (key any, err error)

// Tree writes the contents of all files of a file system, in the order of
// their names, and returns the tree for [Writer.Finish]. fill may be nil.
// Symbolic links need an fs.ReadLinkFS. Names must be UTF-8: package io/fs
// takes no others.
func (w *Writer) Tree(fsys fs.FS, fill FillNode) (*Node, error) {
	t := treeReader{w: w, fsys: fsys, fill: fill, seen: make(map[any]*Node)}
	info, err := fs.Stat(fsys, ".")
	if err != nil {
		return nil, err
	}
	root, err := t.node(".", info)
	if err != nil {
		return nil, err
	}
	return root, nil
}

type treeReader struct {
	w    *Writer
	fsys fs.FS
	fill FillNode
	seen map[any]*Node // by inode
}

func (t *treeReader) node(name string, info fs.FileInfo) (*Node, error) {
	n := &Node{Name: path.Base(name), MTime: info.ModTime().Unix()}
	n.setMode(info.Mode())
	if n.Type == Symlink {
		var err error
		if n.Target, err = fs.ReadLink(t.fsys, name); err != nil {
			return nil, err
		}
	}
	if t.fill != nil {
		key, err := t.fill(name, info, n)
		if err != nil {
			return nil, err
		}
		if key != nil && n.Type != Directory {
			if first := t.seen[key]; first != nil {
				return &Node{Name: n.Name, Link: first}, nil
			}
			t.seen[key] = n
		}
	}
	switch n.Type {
	case Directory:
		return n, t.children(name, n)
	case Regular:
		return n, t.contents(name, info.Size(), n)
	}
	return n, nil
}

func (t *treeReader) children(name string, n *Node) error {
	list, err := fs.ReadDir(t.fsys, name)
	if err != nil {
		return err
	}
	n.Children = make([]*Node, 0, len(list))
	for _, e := range list {
		info, err := e.Info()
		if err != nil {
			return err
		}
		child, err := t.node(path.Join(name, e.Name()), info)
		if err != nil {
			return err
		}
		n.Children = append(n.Children, child)
	}
	return nil
}

func (t *treeReader) contents(name string, size int64, n *Node) error {
	if size == 0 {
		return nil
	}
	f, err := t.fsys.Open(name)
	if err != nil {
		return err
	}
	defer f.Close()
	if n.Data, err = t.w.File(f, size); err != nil {
		return fmt.Errorf("%q: %w", name, err)
	}
	return nil
}

// setMode takes type and permissions from an fs.FileMode.
func (n *Node) setMode(m fs.FileMode) {
	n.Perm = uint16(m.Perm())
	for _, b := range []struct {
		mode fs.FileMode
		perm uint16
	}{{fs.ModeSetuid, 0o4000}, {fs.ModeSetgid, 0o2000}, {fs.ModeSticky, 0o1000}} {
		if m&b.mode != 0 {
			n.Perm |= b.perm
		}
	}
	for t := Directory; t <= Socket; t++ {
		if t.Mode() == m.Type() {
			n.Type = t
		}
	}
}
