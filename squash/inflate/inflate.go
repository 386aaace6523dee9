// Package inflate decompresses DEFLATE data (RFC 1951) in one step, from
// memory to memory.
//
// Blocks of a squashfs image come whole and their decoded size is bounded, so
// nothing of a stream decoder's windows and copies is needed: matches are
// copied inside the output. The package is written for speed: a 64-bit bit
// buffer, two-level decoding tables, and a loop without checks as long as input
// and output are far from their ends. That loop, the tables and the checksum are
// C, which decodes half as fast again as what the Go compiler makes of them.
package inflate

import (
	"encoding/binary"
	"errors"
)

// The errors of this package.
var (
	ErrCorrupt = errors.New("corrupt deflate stream")     // no valid stream, or it ends early
	ErrSpace   = errors.New("deflate stream is too long") // it decodes to more than the output holds
	ErrSum     = errors.New("wrong checksum")             // of a stream's contents
)

// A Decoder decodes one stream at a time. The zero value is ready. It holds
// tables of some 28 KiB and nothing else: keep it to save their allocation.
type Decoder struct {
	lit   [litTableSize]uint32
	wide  [1 << litBits]uint64 // of lit, where pairs is set: see fast.h
	pairs bool
	dist  [distTableSize]uint32
	lens  [maxLitCodes + maxDistCodes]uint8 // code lengths of a dynamic block
	fixed bool                              // lit and dist are the tables of fixed blocks
}

// bitReader takes bits from src, the low ones first.
type bitReader struct {
	src  []byte
	pos  int    // next byte of src for buf
	buf  uint64 // bits that were taken from src
	n    uint   // number of valid bits in buf
	past uint   // zero bits in buf that src does not have
}

// refill brings at least 56 bits into buf, zeros where src has ended.
func (b *bitReader) refill() {
	if len(b.src)-b.pos >= 8 {
		b.buf |= binary.LittleEndian.Uint64(b.src[b.pos:]) << (b.n & 63)
		b.pos += int(63-b.n) >> 3
		b.n |= 56
		return
	}
	for b.n < 56 {
		if b.pos < len(b.src) {
			b.buf |= uint64(b.src[b.pos]) << (b.n & 63)
			b.pos++
		} else {
			b.past += 8
		}
		b.n += 8
	}
}

// take returns the next n bits, 0 to 16; buf has them.
func (b *bitReader) take(n uint) uint {
	v := uint(b.buf) & (1<<n - 1)
	b.buf >>= n & 63
	b.n -= n
	return v
}

// ended tells whether more bits were taken than src has.
func (b *bitReader) ended() bool { return b.past > b.n }

// align drops bits up to a byte boundary and moves pos behind the last byte
// that was used.
func (b *bitReader) align() error {
	if b.ended() {
		return ErrCorrupt
	}
	b.pos -= int(b.n-b.past) / 8
	b.buf, b.n, b.past = 0, 0, 0
	return nil
}

// Zlib decodes a zlib stream (RFC 1950), checks its checksum and returns the
// number of bytes written to dst. Bytes of dst behind them may change. What
// follows the stream in src is ignored.
func (d *Decoder) Zlib(dst, src []byte) (int, error) {
	if len(src) < 6 || src[0]&15 != 8 || src[0]>>4 > 7 || src[1]&0x20 != 0 ||
		(uint(src[0])<<8|uint(src[1]))%31 != 0 {
		return 0, ErrCorrupt
	}
	n, used, err := d.Raw(dst, src[2:])
	if err != nil {
		return 0, err
	}
	sum := src[2+used:]
	if len(sum) < 4 {
		return 0, ErrCorrupt
	}
	if binary.BigEndian.Uint32(sum) != adler32(dst[:n]) {
		return 0, ErrSum
	}
	return n, nil
}

// Raw decodes a DEFLATE stream and returns the number of bytes written to dst
// and read from src. Bytes of dst behind n may change.
func (d *Decoder) Raw(dst, src []byte) (n, used int, err error) {
	b := bitReader{src: src}
	for last := false; !last; {
		b.refill()
		last = b.take(1) == 1
		switch b.take(2) {
		case 0:
			n, err = stored(dst, n, &b)
		case 1:
			d.fixedTables()
			n, err = d.block(dst, n, &b)
		case 2:
			if err = d.dynamicTables(&b); err == nil {
				n, err = d.block(dst, n, &b)
			}
		default:
			err = ErrCorrupt
		}
		if err != nil {
			return 0, 0, err
		}
	}
	err = b.align()
	return n, b.pos, err
}

// stored copies a block that is not compressed to dst[n:].
//
// Source: RFC 1951, section 3.2.4.
func stored(dst []byte, n int, b *bitReader) (int, error) {
	if err := b.align(); err != nil {
		return n, err
	}
	if len(b.src)-b.pos < 4 {
		return n, ErrCorrupt
	}
	size := int(binary.LittleEndian.Uint16(b.src[b.pos:]))
	if size != int(^binary.LittleEndian.Uint16(b.src[b.pos+2:])) {
		return n, ErrCorrupt
	}
	b.pos += 4
	if size > len(b.src)-b.pos {
		return n, ErrCorrupt
	}
	if size > len(dst)-n {
		return n, ErrSpace
	}
	copy(dst[n:], b.src[b.pos:b.pos+size])
	b.pos += size
	return n + size, nil
}
