package inflate

// #cgo CFLAGS: -O3
// #cgo noescape coracle_inflate
// #cgo nocallback coracle_inflate
// #include "fast.h"
import "C"
import "unsafe"

const (
	// Room that one round of the loop without checks needs: input for four
	// refills of 8 bytes; output for eight literals, a match, and what copying
	// it in words of 8 writes too much.
	inRoom  = 4 * 8
	outRoom = 8 + 258 + 32
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

// fast decodes until the block, the input or the output comes to its end, in C.
func (d *Decoder) fast(dst []byte, o int, b *bitReader) (end int, done bool, err error) {
	s := C.struct_inflate_state{
		pos: C.int64_t(b.pos), in_end: C.int64_t(len(b.src) - inRoom),
		out: C.int64_t(o), out_end: C.int64_t(len(dst) - outRoom),
		buf: C.uint64_t(b.buf), n: C.uint64_t(b.n),
	}
	lit, dist := (*C.uint32_t)(&d.lit[0]), (*C.uint32_t)(&d.dist[0])
	in, out := (*C.uint8_t)(unsafe.SliceData(b.src)), (*C.uint8_t)(unsafe.SliceData(dst))
	var wide *C.uint64_t
	if d.pairs {
		wide = (*C.uint64_t)(&d.wide[0])
	}
	r := C.coracle_inflate(&s, wide, lit, dist, in, out)
	b.pos, b.buf, b.n = int(s.pos), uint64(s.buf), uint(s.n)
	if r == C.inflate_corrupt {
		err = ErrCorrupt
	}
	return int(s.out), r == C.inflate_done, err
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
