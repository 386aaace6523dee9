package squash

import (
	"encoding/binary"
	"fmt"
	"math/bits"
	"sync/atomic"
)

// A metaBlock is a decoded metadata block. It never changes.
type metaBlock struct {
	pos  int64 // of its header, in the image
	next int64 // of the following block's header
	hot  atomic.Bool
	data []byte // 1 to MetaSize bytes
}

// A metaCache keeps decoded metadata blocks. A hit takes no lock and writes
// nothing: sets of four atomic pointers, replaced by second chance. Blocks that
// are in use while they are replaced live on until the last user drops them.
type metaCache struct {
	sets  []metaSet
	shift uint // 64 - log2(len(sets))
}

type metaSet struct {
	way  [4]atomic.Pointer[metaBlock]
	hand atomic.Uint32
}

// init makes room for about n blocks, at least 16.
func (c *metaCache) init(n int) {
	log := max(2, bits.Len(uint(max(n, 1)))-1-2)
	c.sets = make([]metaSet, 1<<log)
	c.shift = uint(64 - log)
}

func (c *metaCache) set(pos int64) *metaSet {
	return &c.sets[uint64(pos)*0x9e3779b97f4a7c15>>c.shift]
}

func (c *metaCache) get(pos int64) *metaBlock {
	s := c.set(pos)
	for i := range s.way {
		if b := s.way[i].Load(); b != nil && b.pos == pos {
			if !b.hot.Load() {
				b.hot.Store(true)
			}
			return b
		}
	}
	return nil
}

func (c *metaCache) put(b *metaBlock) {
	s := c.set(b.pos)
	for range s.way {
		w := &s.way[s.hand.Add(1)%uint32(len(s.way))]
		old := w.Load()
		if old == nil || old.pos == b.pos || !old.hot.Load() {
			w.Store(b)
			return
		}
		old.hot.Store(false)
	}
	s.way[s.hand.Add(1)%uint32(len(s.way))].Store(b)
}

// metaHeader decodes the 2-byte little-endian header of a metadata block.
//
// The low 15 bits are the stored size in bytes, 1 to 8192; bit 15 set means
// that the block is stored uncompressed. The error wraps [ErrCorrupt].
//
// Source: format.adoc, "Packing Metadata".
func metaHeader(b []byte) (size int, stored bool, err error) {
	h := binary.LittleEndian.Uint16(b)
	size, stored = int(h&^metaStored), h&metaStored != 0
	if size == 0 || size > MetaSize {
		return 0, false, corrupt("metadata block of %d bytes", size)
	}
	return size, stored, nil
}

// meta returns the decoded metadata block whose header is at pos.
func (r *Reader) meta(pos int64) (*metaBlock, error) {
	if b := r.cache.get(pos); b != nil {
		return b, nil
	}
	b, err := r.decodeMeta(pos)
	if err != nil {
		return nil, fmt.Errorf("metadata block at %d: %w", pos, err)
	}
	r.cache.put(b)
	return b, nil
}

// A metaBuffer is room for a metadata block on its way.
type metaBuffer struct {
	raw     [metaHeaderSize + MetaSize]byte
	decoded [MetaSize + Slack]byte
}

func (r *Reader) decodeMeta(pos int64) (*metaBlock, error) {
	if pos < SuperSize || pos > r.end-metaHeaderSize-1 {
		return nil, corrupt("outside of the image (%d bytes)", r.end)
	}
	// One read for header and contents: its length is not known beforehand.
	buf, ok := r.metas.take()
	if !ok {
		buf = new(metaBuffer)
	}
	defer r.metas.give(buf)
	raw := buf.raw[:min(int64(len(buf.raw)), r.end-pos)]
	if err := r.readAt(raw, pos); err != nil {
		return nil, err
	}
	size, stored, err := metaHeader(raw)
	if err != nil {
		return nil, err
	}
	b := &metaBlock{pos: pos, next: pos + int64(metaHeaderSize+size)}
	if b.next > r.end {
		return nil, corrupt("%d bytes reach behind the image's end", size)
	}
	decoded := raw[metaHeaderSize:][:size]
	if !stored {
		n, err := r.codec.decode(buf.decoded[:], decoded)
		if err != nil {
			return nil, err
		}
		if n == 0 || n > MetaSize {
			return nil, corrupt("decoded to %d bytes", n)
		}
		decoded = buf.decoded[:n]
	}
	b.data = append(make([]byte, 0, len(decoded)), decoded...) // no longer than needed: it is kept
	return b, nil
}

// A metaCursor walks the decoded bytes of successive metadata blocks.
type metaCursor struct {
	r   *Reader
	blk *metaBlock
	off int // next byte in blk.data, 0 to len(blk.data)
}

// metaAt returns a cursor at offset off of the block whose header is at pos.
func (r *Reader) metaAt(pos int64, off int) (metaCursor, error) {
	blk, err := r.meta(pos)
	if err != nil {
		return metaCursor{}, err
	}
	if off > len(blk.data) {
		return metaCursor{}, corrupt("offset %d in a metadata block of %d bytes", off, len(blk.data))
	}
	return metaCursor{r, blk, off}, nil
}

// advance moves to the start of the following block.
func (c *metaCursor) advance() error {
	blk, err := c.r.meta(c.blk.next)
	if err != nil {
		return err
	}
	c.blk, c.off = blk, 0
	return nil
}

// take returns the next n bytes: a view of the block, or, where they straddle
// blocks, a copy in buf, which holds at least n bytes or is nil: then memory is
// taken for it. The bytes must not be changed.
func (c *metaCursor) take(n int, buf []byte) ([]byte, error) {
	if b := c.blk.data[c.off:]; len(b) >= n {
		c.off += n
		return b[:n:n], nil
	}
	if buf == nil {
		buf = make([]byte, n)
	}
	for got := 0; got < n; {
		m := copy(buf[got:n], c.blk.data[c.off:])
		got += m
		c.off += m
		if got < n {
			if err := c.advance(); err != nil {
				return nil, err
			}
		}
	}
	return buf[:n], nil
}

// skip moves n bytes ahead.
func (c *metaCursor) skip(n int) error {
	for {
		left := len(c.blk.data) - c.off
		if n <= left {
			c.off += n
			return nil
		}
		n -= left
		if err := c.advance(); err != nil {
			return err
		}
	}
}

// place returns where the next byte is: the position of its block's header and
// its offset there. It decodes nothing.
func (c *metaCursor) place() (pos int64, off int) {
	if c.off == len(c.blk.data) {
		return c.blk.next, 0
	}
	return c.blk.pos, c.off
}
