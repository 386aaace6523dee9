package inflate

import "encoding/binary"

const (
	// Room that the loop without checks needs: input for three refills, output
	// for three pairs of literals, a match, and what copying it in words of 8
	// writes too much.
	inRoom  = 3 * 8
	outRoom = 3*2 + 258 + 16
)

// block decodes the symbols of a block to dst[o:] and returns its end.
func (d *Decoder) block(dst []byte, o int, b *bitReader) (int, error) {
	for {
		var done bool
		var err error
		if len(b.src)-b.pos >= inRoom && len(dst)-o >= outRoom {
			if o, done, err = d.fast(dst, o, b); done || err != nil {
				return o, err
			}
		}
		if o, done, err = d.careful(dst, o, b); done || err != nil {
			return o, err
		}
	}
}

// fast decodes until the block, the input or the output comes to its end.
func (d *Decoder) fast(dst []byte, o int, b *bitReader) (int, bool, error) {
	src, pos, buf, n := b.src, b.pos, b.buf, b.n
	lit, dist := &d.lit, &d.dist
	inEnd, outEnd := len(src)-inRoom, len(dst)-outRoom
	done := false
	for pos <= inEnd && o <= outEnd {
		buf |= binary.LittleEndian.Uint64(src[pos:]) << (n & 63)
		pos += int(63-n) >> 3
		n |= 56
		e := lit[buf&(1<<litBits-1)]
		if e&literal != 0 { // up to three entries of up to 11 bits
			buf >>= e & 63
			n -= uint(e & 0xff)
			binary.LittleEndian.PutUint16(dst[o:], uint16(e>>firstLit))
			o += int(e >> 24 & 3)
			e = lit[buf&(1<<litBits-1)]
			if e&literal != 0 {
				buf >>= e & 63
				n -= uint(e & 0xff)
				binary.LittleEndian.PutUint16(dst[o:], uint16(e>>firstLit))
				o += int(e >> 24 & 3)
				e = lit[buf&(1<<litBits-1)]
				if e&literal != 0 {
					buf >>= e & 63
					n -= uint(e & 0xff)
					binary.LittleEndian.PutUint16(dst[o:], uint16(e>>firstLit))
					o += int(e >> 24 & 3)
					continue
				}
			}
		}
		if e&special != 0 {
			if e&second != 0 {
				buf >>= e & 63
				n -= uint(e & 0xff)
				e = lit[uint64(e>>base)+buf&(1<<(e>>codeBits&15)-1)]
				if e&literal != 0 {
					buf >>= e & 63
					n -= uint(e & 0xff)
					dst[o] = byte(e >> firstLit)
					o++
					continue
				}
			}
			if e&special != 0 {
				if e&invalid != 0 {
					return o, false, ErrCorrupt
				}
				buf >>= e & 63
				n -= uint(e & 0xff)
				done = true
				break
			}
		}
		length := int(e>>base) + int(buf&(1<<(e&63)-1)>>(e>>codeBits&15))
		buf >>= e & 63
		n -= uint(e & 0xff)

		buf |= binary.LittleEndian.Uint64(src[pos:]) << (n & 63)
		pos += int(63-n) >> 3
		n |= 56
		e = dist[buf&(1<<distBits-1)]
		if e&special != 0 {
			if e&second != 0 {
				buf >>= e & 63
				n -= uint(e & 0xff)
				e = dist[uint64(e>>base)+buf&(1<<(e>>codeBits&15)-1)]
			}
			if e&special != 0 {
				return o, false, ErrCorrupt
			}
		}
		distance := int(e>>base) + int(buf&(1<<(e&63)-1)>>(e>>codeBits&15))
		buf >>= e & 63
		n -= uint(e & 0xff)
		if distance > o {
			return o, false, ErrCorrupt
		}
		copyMatch(dst, o, distance, length)
		o += length
	}
	b.pos, b.buf, b.n = pos, buf&(1<<n-1), n
	return o, done, nil
}

// copyMatch copies length bytes, 3 to 258, from distance bytes before dst[o].
// It may write 15 bytes more.
func copyMatch(dst []byte, o, distance, length int) {
	from := o - distance
	end := o + length
	if distance >= 8 {
		for {
			binary.LittleEndian.PutUint64(dst[o:], binary.LittleEndian.Uint64(dst[from:]))
			o += 8
			from += 8
			if o >= end {
				return
			}
		}
	}
	if distance == 1 {
		v := uint64(dst[from]) * 0x0101010101010101
		for ; o < end; o += 8 {
			binary.LittleEndian.PutUint64(dst[o:], v)
		}
		return
	}
	for ; o < end; o++ {
		dst[o] = dst[from]
		from++
	}
}

// careful decodes a few symbols near the ends, with all checks.
func (d *Decoder) careful(dst []byte, o int, b *bitReader) (int, bool, error) {
	for range 16 {
		b.refill()
		e := d.lit[b.buf&(1<<litBits-1)]
		if e&second != 0 && e&(literal|special) == special {
			b.take(uint(e & 0xff))
			e = d.lit[uint64(e>>base)+b.buf&(1<<(e>>codeBits&15)-1)]
		}
		switch {
		case e&literal != 0:
			b.take(uint(e & 0xff))
			for range e >> 24 & 3 {
				if b.ended() {
					return o, false, ErrCorrupt
				}
				if o >= len(dst) {
					return o, false, ErrSpace
				}
				dst[o] = byte(e >> firstLit)
				e >>= 8
				o++
			}
			continue
		case e&special != 0:
			b.take(uint(e & 0xff))
			if e&invalid != 0 || b.ended() {
				return o, false, ErrCorrupt
			}
			return o, true, nil
		}
		length := b.value(e)
		b.refill()
		e = d.dist[b.buf&(1<<distBits-1)]
		if e&second != 0 && e&special != 0 {
			b.take(uint(e & 0xff))
			e = d.dist[uint64(e>>base)+b.buf&(1<<(e>>codeBits&15)-1)]
		}
		if e&special != 0 {
			return o, false, ErrCorrupt
		}
		distance := b.value(e)
		if b.ended() || distance > o {
			return o, false, ErrCorrupt
		}
		if length > len(dst)-o {
			return o, false, ErrSpace
		}
		for range length {
			dst[o] = dst[o-distance]
			o++
		}
	}
	return o, false, nil
}

// value takes the bits of an entry and returns its base plus its extra bits.
func (b *bitReader) value(e uint32) int {
	code := uint(e >> codeBits & 15)
	b.take(code)
	return int(e>>base) + int(b.take(uint(e&0xff)-code))
}
