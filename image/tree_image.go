package image

import (
	"errors"
	"fmt"
	"io/fs"
	"slices"
	"strings"

	"coracle/bind"
	"coracle/image/ext"
	"coracle/squash"
)

// A reader looks into a file system whose inodes are of type I.
type reader[I any] interface {
	Walk(path string) (I, error)
	Readlink(ino *I) (string, error)
	ReadAt(ino *I, p []byte, off int64) (int, error)
}

// An imageTree shows such a file system as a [bind.Tree].
type imageTree[I any] struct {
	reader[I]
	notDir error // what Walk says of a component that is no directory
	kind   func(ino *I) bind.Kind
	perm   func(ino *I) uint32
	size   func(ino *I) int64
	names  func(ino *I) ([]string, error) // of a directory
}

// SquashTree shows a squashfs image as a [bind.Tree].
func SquashTree(r *squash.Reader) bind.Tree {
	return imageTree[squash.Inode]{
		reader: r, notDir: squash.ErrNotDir,
		kind: func(ino *squash.Inode) bind.Kind {
			return kindOf(ino.Type, squash.Directory, squash.Regular, squash.Symlink)
		},
		perm: func(ino *squash.Inode) uint32 { return uint32(ino.Perm) },
		size: func(ino *squash.Inode) int64 { return ino.Size },
		names: func(ino *squash.Inode) (names []string, err error) {
			err = r.ReadDir(ino, 0, func(d squash.Dirent, _ squash.Cursor) bool {
				names = append(names, strings.Clone(d.Name)) // the name is a view of a cached block
				return true
			})
			return names, err
		},
	}
}

// extTree shows an ext file system as a [bind.Tree].
func extTree(r *ext.Reader) bind.Tree {
	return imageTree[ext.Inode]{
		reader: r, notDir: ext.ErrNotDir,
		kind: func(ino *ext.Inode) bind.Kind { return kindOf(ino.Type, ext.Directory, ext.Regular, ext.Symlink) },
		perm: func(ino *ext.Inode) uint32 { return uint32(ino.Perm) },
		size: func(ino *ext.Inode) int64 { return ino.Size },
		names: func(ino *ext.Inode) ([]string, error) {
			names, err := r.Names(ino)
			slices.Sort(names)
			return names, err
		},
	}
}

// kindOf returns the kind of a type, of which three have kinds of their own.
func kindOf[T comparable](t, directory, regular, symlink T) bind.Kind {
	switch t {
	case directory:
		return bind.Directory
	case regular:
		return bind.File
	case symlink:
		return bind.Symlink
	}
	return bind.Other
}

// walk returns the inode at path. A component that is no directory, and so might be a
// symlink that the asker has to resolve, is a missing path.
func (t imageTree[I]) walk(path string) (I, error) {
	ino, err := t.Walk(path)
	if errors.Is(err, t.notDir) {
		err = fmt.Errorf("%q: %w", path, fs.ErrNotExist)
	}
	return ino, err
}

// Lstat implements [bind.Tree].
func (t imageTree[I]) Lstat(path string) (bind.Entry, error) {
	ino, err := t.walk(path)
	if err != nil {
		return bind.Entry{}, err
	}
	e := bind.Entry{Kind: t.kind(&ino), Perm: t.perm(&ino)}
	if e.Kind == bind.Symlink {
		e.Target, err = t.Readlink(&ino)
	}
	return e, err
}

// ReadDir implements [bind.Tree].
func (t imageTree[I]) ReadDir(path string) ([]string, error) {
	ino, err := t.walk(path)
	if err != nil {
		return nil, err
	}
	return t.names(&ino)
}

// ReadFile implements [bind.Tree].
func (t imageTree[I]) ReadFile(path string, limit int64) ([]byte, error) {
	ino, err := t.walk(path)
	if err != nil {
		return nil, err
	}
	if t.kind(&ino) != bind.File {
		return nil, fmt.Errorf("%q: not a regular file", path)
	}
	if t.size(&ino) > limit {
		return nil, &SizeError{Path: path, Size: t.size(&ino), Limit: limit}
	}
	b := make([]byte, t.size(&ino))
	if _, err := t.ReadAt(&ino, b, 0); err != nil {
		return nil, fmt.Errorf("%q: %w", path, err)
	}
	return b, nil
}
