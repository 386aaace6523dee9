package fuse

import (
	"golang.org/x/sys/unix"

	"coracle/squash"
)

// seekBlocks is how many blocks one LSEEK looks at. Where a hole or the data
// is farther away the answer is "data here", which is always allowed.
const seekBlocks = 1 << 14

// lseek answers SEEK_DATA and SEEK_HOLE: sparse blocks are the holes. The
// kernel does the other kinds of lseek(2) itself.
func (w *worker) lseek(node uint64, arg []byte) (int, unix.Errno) {
	in := view[lseekIn](arg)
	if in == nil {
		return 0, unix.EIO
	}
	if err := w.inode(node); err != nil {
		return w.fail(node, err)
	}
	if w.ino.Type != squash.Regular || in.Whence != unix.SEEK_DATA && in.Whence != unix.SEEK_HOLE {
		return 0, unix.EINVAL
	}
	if in.Offset >= uint64(w.ino.Size) {
		return 0, unix.ENXIO
	}
	at, err := w.seek(int64(in.Offset), in.Whence == unix.SEEK_HOLE)
	if err != nil {
		return w.fail(node, err)
	}
	if at >= w.ino.Size && in.Whence == unix.SEEK_DATA {
		return 0, unix.ENXIO
	}
	out, n := body[lseekOut](w)
	out.Offset = uint64(min(at, w.ino.Size))
	return n, 0
}

// seek returns where the first hole, or data, of w.ino is, from off on.
func (w *worker) seek(off int64, hole bool) (int64, error) {
	start := off
	blocks := int64(w.s.img.Blocks(&w.ino))
	for i := off >> w.s.blockLog; i < blocks; i++ {
		if i-start>>w.s.blockLog >= seekBlocks {
			break
		}
		b, err := w.s.img.Block(&w.ino, int(i))
		if err != nil {
			return 0, err
		}
		if b.Sparse == hole {
			return off, nil
		}
		off = (i + 1) << w.s.blockLog
	}
	if off>>w.s.blockLog < blocks { // not looked at
		if hole {
			return w.ino.Size, nil
		}
		return start, nil
	}
	if hole {
		return w.ino.Size, nil
	}
	return off, nil // the tail end is data, or this is the end
}
