package squash

import (
	"encoding/binary"
	"sync/atomic"
)

// The position of a block follows from the sizes of all blocks before it. For
// long files the reader keeps marks, one every listStep blocks, of the files
// that were read last; they grow as far as a file is read.
const (
	listStep  = 256
	listSlots = 64 // files with marks, a power of two
)

// A listMark is the place of a block's size in the inode table, and the
// position of its data.
type listMark struct {
	size place
	data int64
}

// A listIndex holds marks of blocks listStep, 2*listStep… It never changes.
type listIndex struct {
	ref   Ref
	marks []listMark
}

type listCache [listSlots]atomic.Pointer[listIndex]

func (c *listCache) slot(ref Ref) *atomic.Pointer[listIndex] {
	return &c[uint64(ref)*0x9e3779b97f4a7c15>>(64-6)]
}

// seekList returns a cursor at the size of block i and the position of its data.
func (r *Reader) seekList(ino *Inode, i int) (metaCursor, int64, error) {
	at := listMark{ino.more, ino.start}
	if i >= listStep {
		var err error
		if at, err = r.mark(ino, i/listStep); err != nil {
			return metaCursor{}, 0, err
		}
		i %= listStep
	}
	c, err := r.metaAt(at.size.pos, at.size.off)
	if err != nil {
		return c, 0, err
	}
	sum, err := c.sumSizes(i)
	return c, at.data + sum, err
}

// mark returns the mark of block n*listStep, n > 0.
func (r *Reader) mark(ino *Inode, n int) (listMark, error) {
	slot := r.lists.slot(ino.Ref)
	var marks []listMark
	if x := slot.Load(); x != nil && x.ref == ino.Ref {
		marks = x.marks
	}
	if n <= len(marks) {
		return marks[n-1], nil
	}
	marks = append([]listMark(nil), marks...)
	at := listMark{ino.more, ino.start}
	if len(marks) > 0 {
		at = marks[len(marks)-1]
	}
	c, err := r.metaAt(at.size.pos, at.size.off)
	if err != nil {
		return at, err
	}
	for len(marks) < n {
		sum, err := c.sumSizes(listStep)
		if err != nil {
			return at, err
		}
		at.data += sum
		at.size.pos, at.size.off = c.place()
		marks = append(marks, at)
	}
	slot.Store(&listIndex{ino.Ref, marks})
	return at, nil
}

// sumSizes moves behind n block sizes and returns their sum.
func (c *metaCursor) sumSizes(n int) (sum int64, err error) {
	for n > 0 {
		list := c.blk.data[c.off:]
		list = list[:min(len(list)/4, n)*4]
		c.off += len(list)
		n -= len(list) / 4
		for ; len(list) >= 4; list = list[4:] {
			sum += int64(binary.LittleEndian.Uint32(list) & dataSizeMask)
		}
		if n > 0 { // this one straddles blocks
			var buf [4]byte
			b, err := c.take(4, buf[:])
			if err != nil {
				return 0, err
			}
			sum += int64(binary.LittleEndian.Uint32(b) & dataSizeMask)
			n--
		}
	}
	return sum, nil
}
