package build

import (
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"runtime"

	"coracle/image"
	"coracle/image/layer"
	"coracle/image/sif"
	"coracle/squash"
)

// Repack writes the tree of an image file or of a directory as a SIF file to dst, which
// is empty: with another compression, or as a SIF file at last. The objects of a SIF file
// are kept, but for signatures, which would no longer be true. Files of a directory
// belong to root afterwards, unless it is root who reads them, or what [Unpack] has recorded says otherwise.
func Repack(ctx context.Context, img *image.Image, dst io.WriterAt, o *Options) (Result, error) {
	if o == nil {
		o = &Options{}
	}
	when := int64(0)
	var rec hostRecord
	if img.Format == image.Directory {
		var err error
		if rec, err = readRecord(img.Real); err != nil {
			return Result{}, err
		}
		when = rec.created
	}
	switch {
	case o.Time != nil:
		when = *o.Time
	case img.SIF != nil:
		when = img.SIF.Header.Created
	}
	file := sif.NewWriter(dst, &sif.WriterOptions{Time: when})
	if err := keepObjects(img, file); err != nil {
		return Result{}, err
	}
	so := o.Squash
	so.Workers, so.MTime = o.workers(), when
	w, err := squash.NewWriter(&offsetWriter{dst, file.Partition()}, &so)
	if err != nil {
		return Result{}, err
	}
	defer w.Close()
	p := &repacker{ctx: ctx, o: o, w: w}
	root, err := p.root(img, rec)
	if err != nil {
		return Result{}, err
	}
	size, err := w.Finish(root)
	if err != nil {
		return Result{}, fmt.Errorf("squashfs: %w", err)
	}
	arch := img.Arch
	if arch == "" {
		arch = runtime.GOARCH
	}
	size, err = file.Finish(namePartition, arch, size)
	return Result{Size: size, Inodes: p.inodes, Read: p.read}, err
}

// maxObject is the longest object of a SIF file that is kept, in bytes.
const maxObject = 64 << 20

// keepObjects copies the small objects of a SIF file. For other images it takes the
// definition file out of the tree.
func keepObjects(img *image.Image, w *sif.Writer) error {
	if img.SIF == nil {
		text, err := img.Tree.ReadFile("/"+dirMeta+"/Singularity", maxObject)
		if errors.Is(err, fs.ErrNotExist) {
			return nil
		}
		if err != nil {
			return err
		}
		return w.Add(sif.TypeDeffile, "", text)
	}
	for i := range img.SIF.Descriptors {
		d := &img.SIF.Descriptors[i]
		switch d.Type {
		case sif.TypeDeffile, sif.TypeEnvVar, sif.TypeLabels, sif.TypeGenericJSON, sif.TypeGeneric:
		default:
			continue
		}
		b, err := img.SIF.Bytes(d, maxObject)
		if err != nil {
			return err
		}
		if err := w.Add(d.Type, d.Name, b); err != nil {
			return err
		}
	}
	return nil
}

// A repacker builds the writer's tree of another one.
type repacker struct {
	ctx    context.Context
	o      *Options
	w      *squash.Writer
	inodes int
	read   int64
}

func (p *repacker) root(img *image.Image, rec hostRecord) (*squash.Node, error) {
	if img.Ext != nil {
		return nil, image.ErrExt
	}
	if img.Squash == nil {
		h := newHostWalk(p, img.Real, rec)
		return h.node("", "", 0)
	}
	s := squashWalk{p: p, r: img.Squash, seen: make(map[uint32]*squash.Node), dirs: make(map[squash.Ref]bool)}
	ino, err := img.Squash.Inode(img.Squash.Super().Root)
	if err != nil {
		return nil, err
	}
	return s.node("", &ino, 0)
}

// maxDepth bounds how deep a tree may be, in directories: a hostile image can have loops.
const maxDepth = 2048

// What a tree cannot be.
var (
	errDepth = fmt.Errorf("directories more than %d deep", maxDepth)
	errLoop  = fmt.Errorf("a directory has two names: %w", squash.ErrCorrupt)
)

// store writes the contents of a file.
func (p *repacker) store(r io.Reader, size int64) (squash.Data, error) {
	if err := p.ctx.Err(); err != nil {
		return squash.Data{}, context.Cause(p.ctx)
	}
	limit := p.o.MaxSize
	if limit == 0 {
		limit = layer.DefaultSize
	}
	if size > limit-p.read {
		return squash.Data{}, fmt.Errorf("%w of %d bytes", layer.ErrTooLarge, limit)
	}
	d, err := p.w.File(r, size)
	p.read += size
	if p.o.Progress != nil {
		p.o.Progress(p.read)
	}
	return d, err
}

// A squashWalk reads a squashfs image.
type squashWalk struct {
	p    *repacker
	r    *squash.Reader
	seen map[uint32]*squash.Node // files with several names, by inode number
	dirs map[squash.Ref]bool     // that have been read: each has one name
}

func (s *squashWalk) node(name string, ino *squash.Inode, depth int) (*squash.Node, error) {
	if depth > maxDepth {
		return nil, errDepth
	}
	if ino.Type != squash.Directory && ino.Links > 1 {
		if first := s.seen[ino.Number]; first != nil {
			return &squash.Node{Name: name, Link: first}, nil
		}
	}
	s.p.inodes++
	n := &squash.Node{Name: name, Type: ino.Type, Perm: ino.Perm, UID: ino.UID, GID: ino.GID, MTime: int64(ino.MTime), Rdev: ino.Rdev}
	err := s.r.Xattrs(ino, func(name string, value []byte) bool {
		n.Xattrs = append(n.Xattrs, squash.Xattr{Name: name, Value: append([]byte(nil), value...)})
		return true
	})
	if err != nil {
		return nil, err
	}
	switch ino.Type {
	case squash.Symlink:
		n.Target, err = s.r.Readlink(ino)
	case squash.Regular:
		n.Data, err = s.p.store(io.NewSectionReader(&inodeReader{s.r, ino}, 0, ino.Size), ino.Size)
	case squash.Directory:
		n.Children, err = s.children(ino, depth)
	}
	if err != nil {
		return nil, fmt.Errorf("%q: %w", name, err)
	}
	if ino.Type != squash.Directory && ino.Links > 1 {
		s.seen[ino.Number] = n
	}
	return n, nil
}

func (s *squashWalk) children(dir *squash.Inode, depth int) ([]*squash.Node, error) {
	if s.dirs[dir.Ref] {
		return nil, errLoop
	}
	s.dirs[dir.Ref] = true
	type entry struct {
		name string
		ref  squash.Ref
	}
	var entries []entry
	err := s.r.ReadDir(dir, 0, func(d squash.Dirent, _ squash.Cursor) bool {
		entries = append(entries, entry{string([]byte(d.Name)), d.Ref}) // the name is a view of a cached block
		return true
	})
	if err != nil {
		return nil, err
	}
	var out []*squash.Node
	for _, e := range entries {
		ino, err := s.r.Inode(e.ref)
		if err != nil {
			return nil, err
		}
		n, err := s.node(e.name, &ino, depth+1)
		if err != nil {
			return nil, err
		}
		out = append(out, n)
	}
	return out, nil
}

type inodeReader struct {
	r   *squash.Reader
	ino *squash.Inode
}

func (i *inodeReader) ReadAt(p []byte, off int64) (int, error) {
	n, err := i.r.ReadAt(i.ino, p, off)
	if err == nil && n < len(p) {
		err = io.EOF
	}
	return n, err
}
