package inflate

const (
	// Room that one round of the loop without checks needs: input for four
	// refills of 8 bytes; output for five literals, a match, and what copying
	// it in words of 8 writes too much.
	inRoom  = 4 * 8
	outRoom = 5 + 258 + 16
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
//
// All state is in local variables and each entry is looked up as early as
// possible: the time goes into the chain from one code's length to the next
// code, and into branches that cannot be foreseen.
func (d *Decoder) fast(dst []byte, o int, b *bitReader) (end int, done bool, err error) {
	src, pos, buf, n := b.src, b.pos, b.buf, b.n // of n, the low 8 bits are valid
	inEnd, outEnd := len(src)-inRoom, len(dst)-outRoom
	pos, buf, n = refill(src, pos, buf, n)
	e := d.lit[buf&(1<<litBits-1)]
	for pos <= inEnd && o <= outEnd {
		if e&literal != 0 { // up to three entries of up to 11 bits
			buf, n = buf>>(e&63), n-uint(e)
			store8(dst, o, byte(e>>base))
			o++
			e = d.lit[buf&(1<<litBits-1)]
			if e&literal != 0 {
				buf, n = buf>>(e&63), n-uint(e)
				store8(dst, o, byte(e>>base))
				o++
				e = d.lit[buf&(1<<litBits-1)]
				if e&literal != 0 {
					buf, n = buf>>(e&63), n-uint(e)
					store8(dst, o, byte(e>>base))
					o++
					pos, buf, n = refill(src, pos, buf, n)
					e = d.lit[buf&(1<<litBits-1)]
					continue
				}
			}
		}
		if e&special != 0 {
			buf, n = buf>>(e&63), n-uint(e)
			if e&invalid != 0 {
				return o, false, ErrCorrupt
			}
			if e&second == 0 {
				done = true
				break
			}
			e = d.lit[uint64(e>>base)+buf&(1<<(e>>codeBits&15)-1)]
			pos, buf, n = refill(src, pos, buf, n)
			if e&literal != 0 { // round again: nothing but the loop's head looks at the ends
				buf, n = buf>>(e&63), n-uint(e)
				store8(dst, o, byte(e>>base))
				o++
				e = d.lit[buf&(1<<litBits-1)]
				continue
			}
			if e&special != 0 {
				buf, n = buf>>(e&63), n-uint(e)
				if e&invalid != 0 {
					return o, false, ErrCorrupt
				}
				done = true
				break
			}
		}
		length := int(e>>base) + int(buf&(1<<(e&63)-1)>>(e>>codeBits&15))
		buf, n = buf>>(e&63), n-uint(e)

		pos, buf, n = refill(src, pos, buf, n)
		e = d.dist[buf&(1<<distBits-1)]
		if e&special != 0 && e&second != 0 {
			buf, n = buf>>(e&63), n-uint(e)
			e = d.dist[uint64(e>>base)+buf&(1<<(e>>codeBits&15)-1)]
		}
		distance := int(e>>base) + int(buf&(1<<(e&63)-1)>>(e>>codeBits&15))
		buf, n = buf>>(e&63), n-uint(e)
		if distance > o || e&special != 0 {
			return o, false, ErrCorrupt
		}
		pos, buf, n = refill(src, pos, buf, n)
		e = d.lit[buf&(1<<litBits-1)]
		if distance >= 8 {
			copyFar(dst, o, distance, length)
		} else {
			copyNear(dst, o, distance, length)
		}
		o += length
	}
	n &= 0xff
	b.pos, b.buf, b.n = pos, buf&(1<<n-1), n
	return o, done, nil
}

// refill brings at least 56 bits into buf, of which n were valid.
func refill(src []byte, pos int, buf uint64, n uint) (int, uint64, uint) {
	return pos + 7 - int(n>>3&7), buf | load64(src, pos)<<(n&63), n | 56
}

// copyFar copies length bytes, 3 to 258, from distance bytes before dst[o], at
// least 8. It may write 15 bytes more.
func copyFar(dst []byte, o, distance, length int) {
	for i := o; i < o+length; i += 8 {
		store64(dst, i, load64(dst, i-distance))
	}
}

// copyNear copies length bytes, 3 to 258, from distance bytes before dst[o],
// 1 to 7: a pattern of that length. It may write 15 bytes more.
func copyNear(dst []byte, o, distance, length int) {
	from := o - distance
	end := o + length
	if distance == 1 {
		v := uint64(dst[from]) * 0x0101010101010101
		for ; o < end; o += 8 {
			store64(dst, o, v)
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
		if e&(literal|special|second) == special|second {
			b.take(uint(e & 0xff))
			e = d.lit[uint64(e>>base)+b.buf&(1<<(e>>codeBits&15)-1)]
		}
		switch {
		case e&literal != 0:
			b.take(uint(e & 0xff))
			if b.ended() {
				return o, false, ErrCorrupt
			}
			if o >= len(dst) {
				return o, false, ErrSpace
			}
			dst[o] = byte(e >> base)
			o++
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
		if e&special != 0 && e&second != 0 {
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
