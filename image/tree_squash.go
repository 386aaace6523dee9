package image

import (
	"errors"
	"fmt"
	"io/fs"
	"strings"

	"coracle/bind"
	"coracle/squash"
)

// SquashTree shows a squashfs image as a [bind.Tree].
func SquashTree(r *squash.Reader) bind.Tree { return squashTree{r} }

type squashTree struct{ r *squash.Reader }

// walk returns the inode at path. A component that is no directory, and so might be a
// symlink that the asker has to resolve, is a missing path.
func (t squashTree) walk(path string) (squash.Inode, error) {
	ino, err := t.r.Walk(path)
	if errors.Is(err, squash.ErrNotDir) {
		err = fmt.Errorf("%q: %w", path, fs.ErrNotExist)
	}
	return ino, err
}

func (t squashTree) Lstat(path string) (bind.Entry, error) {
	ino, err := t.walk(path)
	if err != nil {
		return bind.Entry{}, err
	}
	e := bind.Entry{Kind: bind.Other, Perm: uint32(ino.Perm)}
	switch ino.Type {
	case squash.Directory:
		e.Kind = bind.Directory
	case squash.Regular:
		e.Kind = bind.File
	case squash.Symlink:
		e.Kind = bind.Symlink
		e.Target, err = t.r.Readlink(&ino)
	}
	return e, err
}

func (t squashTree) ReadDir(path string) ([]string, error) {
	ino, err := t.walk(path)
	if err != nil {
		return nil, err
	}
	var names []string
	err = t.r.ReadDir(&ino, 0, func(d squash.Dirent, _ squash.Cursor) bool {
		names = append(names, strings.Clone(d.Name)) // the name is a view of a cached block
		return true
	})
	return names, err
}

func (t squashTree) ReadFile(path string, limit int64) ([]byte, error) {
	ino, err := t.walk(path)
	if err != nil {
		return nil, err
	}
	if ino.Type != squash.Regular {
		return nil, fmt.Errorf("%q: %w", path, squash.ErrNotRegular)
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
