package build

import (
	"context"
	"errors"
	"fmt"
	"io"
	"math"
	"os"
	"path/filepath"

	"coracle/image"
	"coracle/squash"

	"golang.org/x/sys/unix"
)

// A treeReader is what a sandbox is made of: an image file ([squash.Reader]) or another sandbox ([hostSource]).
type treeReader interface {
	Root() squash.Ref
	Inode(ref squash.Ref) (squash.Inode, error)
	ReadDir(dir *squash.Inode, at squash.Cursor, fn func(d squash.Dirent, next squash.Cursor) bool) error
	ReadAt(ino *squash.Inode, p []byte, off int64) (int, error)
	Readlink(ino *squash.Inode) (string, error)
	Xattrs(ino *squash.Inode, fn func(name string, value []byte) bool) error
}

// from sets what is unpacked.
func (u *unpacker) from(img *image.Image) error {
	if img.Squash != nil {
		u.r = img.Squash
		if img.SIF != nil {
			u.created = fmt.Sprint(img.SIF.Header.Created)
		}
		return nil
	}
	rec, err := readRecord(img.Real)
	if err != nil {
		return err
	}
	if rec.created != 0 {
		u.created = fmt.Sprint(rec.created)
	}
	u.r, err = newHostSource(u.ctx, img.Real, rec)
	return err
}

// errChanged says that somebody writes to what is copied.
var errChanged = errors.New("changed while it was read")

// A hostSource shows a directory of the host as the image that [Repack] would make of it: with what is recorded, without mount
// points that launches have made. A squash.Ref is a place in nodes. Methods may be called from several goroutines.
type hostSource struct {
	nodes []hostNode
	refs  map[*squash.Node]squash.Ref
}

type hostNode struct {
	*squash.Node
	path  string // on the host
	names uint32
}

// newHostSource looks at all names below top; contents are read when they are asked for.
func newHostSource(ctx context.Context, top string, rec hostRecord) (*hostSource, error) {
	root, err := newHostWalk(&repacker{ctx: ctx}, top, rec).node("", "", 0)
	if err != nil {
		return nil, err
	}
	s := &hostSource{refs: map[*squash.Node]squash.Ref{}}
	if root == nil { // marked as a mount point, and empty
		root = &squash.Node{Type: squash.Directory, Perm: 0o755}
	}
	s.add(root, top)
	return s, nil
}

func (s *hostSource) add(n *squash.Node, path string) {
	if n.Link != nil { // the walk sees a file before further names of it
		s.nodes[s.refs[n.Link]].names++
		return
	}
	s.refs[n] = squash.Ref(len(s.nodes))
	s.nodes = append(s.nodes, hostNode{n, path, 1})
	for _, c := range n.Children {
		s.add(c, filepath.Join(path, c.Name))
	}
}

func (s *hostSource) Root() squash.Ref { return 0 }

func (s *hostSource) Inode(ref squash.Ref) (squash.Inode, error) {
	n := &s.nodes[ref]
	ino := squash.Inode{
		Ref: ref, Number: uint32(ref) + 1, Links: n.names, Type: n.Type, Perm: n.Perm, UID: n.UID, GID: n.GID, Rdev: n.Rdev,
		MTime: uint32(min(max(n.MTime, 0), math.MaxUint32)),
	}
	if n.Type != squash.Regular {
		return ino, nil
	}
	var st unix.Stat_t
	if err := unix.Lstat(n.path, &st); err != nil {
		return ino, &os.PathError{Op: "lstat", Path: n.path, Err: err}
	}
	if hostType(st.Mode) != squash.Regular {
		return ino, fmt.Errorf("%s %w", n.path, errChanged)
	}
	ino.Size = st.Size
	return ino, nil
}

func (s *hostSource) ReadDir(dir *squash.Inode, at squash.Cursor, fn func(d squash.Dirent, next squash.Cursor) bool) error {
	children := s.nodes[dir.Ref].Children
	for i := int(at); i < len(children); i++ {
		n := children[i]
		if n.Link != nil {
			n = n.Link
		}
		ref := s.refs[n]
		if !fn(squash.Dirent{Name: children[i].Name, Ref: ref, Type: n.Type, Number: uint32(ref) + 1}, squash.Cursor(i+1)) {
			break
		}
	}
	return nil
}

func (s *hostSource) ReadAt(ino *squash.Inode, p []byte, off int64) (int, error) {
	path := s.nodes[ino.Ref].path
	f, err := os.OpenFile(path, os.O_RDONLY|unix.O_NOFOLLOW|unix.O_NONBLOCK, 0)
	if err != nil {
		return 0, err
	}
	defer f.Close()
	n, err := f.ReadAt(p, off)
	if errors.Is(err, io.EOF) && n < len(p) {
		err = fmt.Errorf("%s %w", path, errChanged)
	}
	return n, err
}

func (s *hostSource) Readlink(ino *squash.Inode) (string, error) { return s.nodes[ino.Ref].Target, nil }

func (s *hostSource) Xattrs(ino *squash.Inode, fn func(name string, value []byte) bool) error {
	for _, x := range s.nodes[ino.Ref].Xattrs {
		if !fn(x.Name, x.Value) {
			break
		}
	}
	return nil
}
