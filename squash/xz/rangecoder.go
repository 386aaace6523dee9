package xz

import (
	"encoding/binary"
	"math/bits"
)

// A rangeDecoder takes bits from src. Behind the end it takes zeros.
type rangeDecoder struct {
	src  []byte
	pos  int
	rng  uint32
	code uint32
}

func (r *rangeDecoder) start(src []byte) bool {
	if len(src) < 5 || src[0] != 0 {
		return false
	}
	*r = rangeDecoder{src: src, pos: 5, rng: 1<<32 - 1, code: binary.BigEndian.Uint32(src[1:])}
	return true
}

// ended tells whether more bytes were taken than src has.
func (r *rangeDecoder) ended() bool { return r.pos > len(r.src) }

func (r *rangeDecoder) normalize() {
	if r.rng < topValue {
		r.rng <<= 8
		r.code <<= 8
		if r.pos < len(r.src) {
			r.code |= uint32(r.src[r.pos])
		}
		r.pos++
	}
}

// bit decodes one bit.
func (r *rangeDecoder) bit(p *uint16) uint32 {
	r.normalize()
	v := uint32(*p)
	bound := r.rng >> probBits * v
	if r.code < bound {
		r.rng = bound
		*p = uint16(v + (1<<probBits-v)>>moveBits)
		return 0
	}
	r.rng -= bound
	r.code -= bound
	*p = uint16(v - v>>moveBits)
	return 1
}

// tree decodes bits, high ones first, until sym, which begins with a 1, has n
// bits behind that.
func (r *rangeDecoder) tree(t []uint16, sym uint32, n uint) uint32 {
	src, pos, rng, code := r.src, r.pos, r.rng, r.code
	for left := n + 1 - uint(bits.Len32(sym)); left > 0; left-- {
		if rng < topValue {
			rng <<= 8
			code <<= 8
			if pos < len(src) {
				code |= uint32(src[pos])
			}
			pos++
		}
		v := uint32(t[sym])
		bound := rng >> probBits * v
		if code < bound {
			rng = bound
			t[sym] = uint16(v + (1<<probBits-v)>>moveBits)
			sym <<= 1
		} else {
			rng -= bound
			code -= bound
			t[sym] = uint16(v - v>>moveBits)
			sym = sym<<1 | 1
		}
	}
	r.pos, r.rng, r.code = pos, rng, code
	return sym
}

// matched decodes the bits of a literal as long as they are those of the byte
// at the last distance. It returns the symbol so far.
func (r *rangeDecoder) matched(t []uint16, match uint32) uint32 {
	sym := uint32(1)
	for sym < 0x100 {
		b := match >> 7 & 1
		match <<= 1
		got := r.bit(&t[0x100+b<<8+sym])
		sym = sym<<1 | got
		if got != b {
			break
		}
	}
	return sym
}

// reverse decodes n bits, low ones first, with probabilities from t[1] on.
func (r *rangeDecoder) reverse(t []uint16, n uint) (v uint32) {
	m := uint32(1)
	for i := range n {
		b := r.bit(&t[m])
		m = m<<1 | b
		v |= b << i
	}
	return v
}

// direct decodes n bits without probabilities.
func (r *rangeDecoder) direct(n uint) (v uint32) {
	for range n {
		r.normalize()
		r.rng >>= 1
		b := uint32(0)
		if r.code >= r.rng {
			r.code -= r.rng
			b = 1
		}
		v = v<<1 | b
	}
	return v
}

// length decodes a match's length.
func (r *rangeDecoder) length(l *lenCoder, posState int) int {
	if r.bit(&l.choice) == 0 {
		return minMatch + int(r.tree(l.low[posState][:], 1, 3)-8)
	}
	if r.bit(&l.choice2) == 0 {
		return minMatch + 8 + int(r.tree(l.mid[posState][:], 1, 3)-8)
	}
	return minMatch + 16 + int(r.tree(l.high[:], 1, 8)-256)
}
