package image

import (
	"errors"
	"fmt"
	"io/fs"
	"slices"

	"coracle/bind"
	"coracle/image/ext"
)

// extTree shows an ext file system as a [bind.Tree].
type extTree struct{ r *ext.Reader }

// walk returns the inode at path. A component that is no directory, and so might be a
// symlink that the asker has to resolve, is a missing path.
func (t extTree) walk(path string) (ext.Inode, error) {
	ino, err := t.r.Walk(path)
	if errors.Is(err, ext.ErrNotDir) {
		err = fmt.Errorf("%q: %w", path, fs.ErrNotExist)
	}
	return ino, err
}

func (t extTree) Lstat(path string) (bind.Entry, error) {
	ino, err := t.walk(path)
	if err != nil {
		return bind.Entry{}, err
	}
	e := bind.Entry{Kind: bind.Other, Perm: uint32(ino.Perm)}
	switch ino.Type {
	case ext.Directory:
		e.Kind = bind.Directory
	case ext.Regular:
		e.Kind = bind.File
	case ext.Symlink:
		e.Kind = bind.Symlink
		e.Target, err = t.r.Readlink(&ino)
	}
	return e, err
}

func (t extTree) ReadDir(path string) ([]string, error) {
	ino, err := t.walk(path)
	if err != nil {
		return nil, err
	}
	names, err := t.r.Names(&ino)
	slices.Sort(names)
	return names, err
}

func (t extTree) ReadFile(path string, limit int64) ([]byte, error) {
	ino, err := t.walk(path)
	if err != nil {
		return nil, err
	}
	if ino.Type != ext.Regular {
		return nil, fmt.Errorf("%q: not a regular file", path)
	}
	if ino.Size > limit {
		return nil, &SizeError{Path: path, Size: ino.Size, Limit: limit}
	}
	b := make([]byte, ino.Size)
	if _, err := t.r.ReadAt(&ino, b, 0); err != nil {
		return nil, fmt.Errorf("%q: %w", path, err)
	}
	return b, nil
}

// below shows the directory at root of a tree as a tree.
type below struct {
	tree bind.Tree
	root string // "/upper"
}

func (t below) at(path string) string {
	if path == "/" {
		return t.root
	}
	return t.root + path
}

func (t below) Lstat(path string) (bind.Entry, error)      { return t.tree.Lstat(t.at(path)) }
func (t below) ReadDir(path string) ([]string, error)      { return t.tree.ReadDir(t.at(path)) }
func (t below) ReadFile(p string, n int64) ([]byte, error) { return t.tree.ReadFile(t.at(p), n) }
