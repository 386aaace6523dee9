package squash

import (
	"bytes"
	"encoding/binary"
	"fmt"
	"math"
)

// An idSet gives user and group ids their places in the id table.
type idSet struct {
	index map[uint32]uint16
	table []byte
}

func (s *idSet) add(id uint32) error {
	if _, ok := s.index[id]; ok {
		return nil
	}
	if s.index == nil {
		s.index = make(map[uint32]uint16)
	}
	if len(s.index) == math.MaxUint16 {
		return unfit("more than %d different user and group ids", math.MaxUint16)
	}
	s.index[id] = uint16(len(s.index))
	s.table = binary.LittleEndian.AppendUint32(s.table, id)
	return nil
}

// Finish writes the tree and ends the image, and returns its length, a
// multiple of 4 KiB. It sorts the Children of the nodes. The error wraps
// [ErrFormat] if the tree is not possible in an image, or what a write
// returned.
func (w *Writer) Finish(root *Node) (size int64, err error) {
	if w.err != nil {
		return 0, w.err
	}
	tree, err := newNodeTree(root)
	if err != nil {
		w.tree = true
		return 0, w.fail(err)
	}
	return w.FinishTree(tree)
}

// FinishTree is Finish for a tree that is kept in another form.
func (w *Writer) FinishTree(tree Tree) (size int64, err error) {
	if w.err != nil {
		return 0, w.err
	}
	if w.tree {
		return 0, w.fail(errClosed)
	}
	w.tree = true
	w.flushFragment()
	w.pipe.mark(w.section.close)
	w.pipe.finish()
	w.tails, w.pipe.large = nil, nil
	if err = w.pipe.err(); err == nil {
		size, err = w.finish(tree)
	}
	if err != nil {
		return 0, w.fail(err)
	}
	return size, nil
}

func (w *Writer) finish(tree Tree) (int64, error) {
	enc := w.codec.new(w.o.BlockSize)
	c := &census{}
	c.xattrs.init(enc, w.hash)
	if err := c.count(tree); err != nil {
		return 0, err
	}
	w.made = c.inodes
	o := &output{dst: w.pipe.dst, pos: w.pipe.pos}
	s := w.super(c)
	err := w.trees(o, enc, c, s)
	if err != nil {
		return 0, err
	}
	if s.IDTable, err = position(o.lookup(enc, c.ids.table)); err != nil {
		return 0, err
	}
	if s.XattrTable, err = c.xattrs.table(o); err != nil {
		return 0, err
	}
	s.BytesUsed = uint64(o.at())
	if n := o.at() % padding; n > 0 {
		if _, err := o.Write(make([]byte, padding-n)); err != nil {
			return 0, err
		}
	}
	if err := o.flush(); err != nil {
		return 0, err
	}
	b := s.encode()
	if _, err := o.dst.WriteAt(b[:], 0); err != nil {
		return 0, fmt.Errorf("write superblock: %w", err)
	}
	return o.at(), nil
}

// trees writes the tables from the inodes to the export table.
func (w *Writer) trees(o *output, enc encoder, c *census, s *Super) error {
	t := &treeWriter{census: c, w: w, inodes: newMetaWriter(o, enc), exports: make([]byte, 8*int(c.inodes))}
	t.dirs = newMetaWriter(&t.dirTable, enc)
	root := c.tree.Root()
	s.InodeTable = uint64(o.at())
	l, err := t.walk(root)
	if err != nil {
		return err
	}
	c.tree.Attrs(root, &t.attrs)
	if err := t.directory(root, c.inodes+1, l); err != nil {
		return err
	}
	s.Root = t.ref(root)
	if err := t.inodes.flush(); err != nil {
		return err
	}
	if err := t.dirs.flush(); err != nil {
		return err
	}
	s.DirTable = uint64(o.at())
	if _, err := o.Write(t.dirTable.Bytes()); err != nil {
		return err
	}
	var fragments []byte
	for _, f := range w.pipe.fragments {
		fragments = binary.LittleEndian.AppendUint64(fragments, uint64(f.pos))
		fragments = binary.LittleEndian.AppendUint64(fragments, uint64(f.size))
	}
	if s.FragmentTable, err = position(o.lookup(enc, fragments)); err != nil {
		return err
	}
	s.ExportTable = noTable
	if !w.o.NoExport {
		s.ExportTable, err = position(o.lookup(enc, t.exports))
	}
	return err
}

func position(pos int64, err error) (uint64, error) { return uint64(pos), err }

// super returns the superblock, but for positions.
func (w *Writer) super(c *census) *Super {
	s := &Super{
		Inodes:     c.inodes,
		MTime:      clampTime(w.o.MTime),
		BlockSize:  uint32(w.o.BlockSize),
		Fragments:  uint32(len(w.pipe.fragments)),
		Compressor: w.codec.compressor,
		IDs:        uint16(len(c.ids.index)),
		Major:      4,
	}
	for 1<<s.BlockLog < w.o.BlockSize {
		s.BlockLog++
	}
	for _, f := range []struct {
		flag Flags
		set  bool
	}{
		{FlagInodesStored | FlagDataStored | FlagFragmentsStored | FlagXattrsStored | FlagIDsStored, w.codec.stored},
		{FlagNoFragments, w.o.NoFragments},
		{FlagAlwaysFragments, w.o.AlwaysFragments},
		{FlagDuplicates, !w.o.NoDuplicates},
		{FlagExportable, !w.o.NoExport},
		{FlagOptions, w.codec.options != nil},
	} {
		if f.set {
			s.Flags |= f.flag
		}
	}
	return s
}

// encode is the reverse of decode.
func (s *Super) encode() (b [SuperSize]byte) {
	var w bytes.Buffer
	le := binary.LittleEndian
	for _, v := range []any{
		uint32(Magic), s.Inodes, s.MTime, s.BlockSize, s.Fragments,
		uint16(s.Compressor), s.BlockLog, uint16(s.Flags), s.IDs, s.Major, s.Minor,
		uint64(s.Root), s.BytesUsed,
		s.IDTable, s.XattrTable, s.InodeTable, s.DirTable, s.FragmentTable, s.ExportTable,
	} {
		binary.Write(&w, le, v)
	}
	copy(b[:], w.Bytes())
	return b
}
