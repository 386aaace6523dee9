package fuse

import (
	"errors"

	"golang.org/x/sys/unix"

	"coracle/squash"
)

// maxRead is the most that one READ asks for, in bytes; the kernel's own
// read-ahead stays at 128 KiB for unprivileged mounts.
const maxRead = 1 << 20

// bigReply is a reply, in bytes, that takes longer to copy than another worker takes to
// wake up. Where there are processors to spare, the leader does not copy such itself.
const bigReply = 64 << 10

var errShort = errors.New("fragment ends before a file's tail end")

// A pinnedPart is a piece of a reply that lies in the block cache.
type pinnedPart struct {
	slot *slot
	used int
}

// read answers READ without copying: header and pieces of cached blocks go out
// in one writev.
func (w *worker) read(h *inHeader, arg []byte) (int, unix.Errno) {
	in := view[readIn](arg)
	if in == nil {
		return 0, unix.EIO
	}
	if err := w.inode(h.Node); err != nil {
		return w.fail(h.Node, err)
	}
	if w.ino.Type != squash.Regular {
		return 0, unix.EINVAL
	}
	if in.Offset >= uint64(w.ino.Size) || in.Size == 0 {
		return 0, 0
	}
	off := int64(in.Offset)
	n := int(min(w.ino.Size-off, int64(in.Size), maxRead))
	unique := h.Unique
	w.plan = readPlan{node: h.Node, off: off, n: n, open: true}
	w.waited = false
	if w.s.spans(off, n) > maxParts-1 {
		w.planAhead()
		return w.readCopy(h.Node, off, n)
	}
	w.nparts, w.npins = 1, 0
	if err := w.gather(unique, off, n); err != nil {
		w.planAhead()
		if err == errLeft {
			w.hadToWait(h.Node)
			return 0, noReply
		}
		w.unpin()
		return w.fail(h.Node, err)
	}
	if w.waited {
		w.hadToWait(h.Node)
	}
	*view[outHeader](w.hdr) = outHeader{Len: uint32(outHeaderSize + n), Unique: unique}
	w.parts[0] = iovec(w.hdr)
	w.settle()
	if w.leader && w.s.spare && n >= bigReply && w.s.lone.alone.Load() < lonely {
		w.pass()
	}
	errno := w.s.writev(w.parts[:w.nparts])
	w.unpin()
	w.s.sent(unique, errno)
	w.planAhead()
	return 0, noReply
}

// hadToWait is told that what w.plan is about was not decoded when it was asked for.
func (w *worker) hadToWait(node uint64) {
	if w.plan.streak > 0 {
		w.s.files.deepen(node)
	}
}

// spans returns how many blocks n bytes from off touch.
func (s *server) spans(off int64, n int) int {
	return int((off+int64(n)-1)>>s.blockLog-off>>s.blockLog) + 1
}

// gather pins the blocks with n bytes of w.ino from off and lists their pieces
// as parts of the reply. If all are in one block that somebody decodes, it leaves the request to him: the error is errLeft.
func (w *worker) gather(unique uint64, off int64, n int) error {
	for whole := n; n > 0; {
		b, skip, k, err := w.locate(off, n)
		if err != nil {
			return err
		}
		var r late
		if k == whole {
			r = late{unique, w.plan.node, w.ino.Number, skip, k}
		}
		data, err := w.piece(b, skip, k, r)
		if err != nil {
			return err
		}
		w.parts[w.nparts] = iovec(data)
		w.nparts++
		off += int64(k)
		n -= k
	}
	return nil
}

// piece returns k bytes from skip of a block; the block stays pinned. They are all that r is about, if it has a length.
func (w *worker) piece(b squash.Block, skip, k int, r late) ([]byte, error) {
	if b.Sparse {
		return w.s.zeros[:k], nil
	}
	e, data, err := w.s.cache.getOrLeave(b, w.handOn, r)
	if err != nil {
		return nil, err
	}
	w.pinned[w.npins] = pinnedPart{e, k}
	w.npins++
	if skip+k > len(data) {
		return nil, errShort
	}
	return data[skip : skip+k], nil
}

func (w *worker) unpin() {
	for _, p := range w.pinned[:w.npins] {
		w.s.cache.put(p.slot, p.used)
	}
	w.npins = 0
}

// readCopy answers a read of many small blocks, one pinned at a time.
func (w *worker) readCopy(node uint64, off int64, n int) (int, unix.Errno) {
	w.room(n)
	for at := 0; at < n; {
		b, skip, k, err := w.locate(off+int64(at), n-at)
		if err != nil {
			return w.fail(node, err)
		}
		data, err := w.piece(b, skip, k, late{})
		if err == nil {
			copy(w.out[outHeaderSize+at:], data)
		}
		w.unpin()
		if err != nil {
			return w.fail(node, err)
		}
		at += k
	}
	return n, 0
}

// locate finds the block with byte off of w.ino: k of the wanted n bytes begin
// at skip in the decoded block.
func (w *worker) locate(off int64, n int) (b squash.Block, skip, k int, err error) {
	s := w.s
	i := off >> s.blockLog
	skip = int(off - i<<s.blockLog)
	k = min(n, s.blockSize-skip)
	if i < int64(s.img.Blocks(&w.ino)) {
		b, err = s.img.Block(&w.ino, int(i))
		return b, skip, k, err
	}
	b, at, err := s.img.Tail(&w.ino)
	return b, at + skip, k, err
}
