package squash

import "encoding/binary"

// lzoCodec decodes LZO1X blocks.
type lzoCodec struct{}

func (lzoCodec) decode(dst, src []byte) (int, error) {
	d := lzoDecoder{dst: dst, src: src}
	if !d.run() {
		return 0, corrupt("lzo: at byte %d of %d", d.i, len(src))
	}
	return d.o, nil
}

// An lzoDecoder decodes one block. Its methods return false where the block is
// corrupt or longer than dst.
//
// An instruction copies a match and then up to three literals; which short
// forms there are depends on how many literals the instruction before copied.
//
// Source: Linux Documentation/staging/lzo.rst.
type lzoDecoder struct {
	dst, src []byte
	o, i     int // next bytes of dst and src
}

// lzoRun stands for "a run of literals" where else the number of literals
// behind the last match is kept.
const lzoRun = 4

func (d *lzoDecoder) run() bool {
	state := 0
	if len(d.src) == 0 {
		return false
	}
	if c := int(d.src[0]); c > 17 { // literals before the first instruction
		d.i++
		if !d.literals(c - 17) {
			return false
		}
		state = min(c-17, lzoRun)
	}
	for d.i < len(d.src) {
		c := int(d.src[d.i])
		d.i++
		if c < 16 && state == 0 {
			n, ok := d.length(c, 15)
			if !ok || !d.literals(n+3) {
				return false
			}
			state = lzoRun
			continue
		}
		length, distance, lits, ok := d.match(c, state)
		if !ok {
			return false
		}
		if distance == 0 { // end of stream
			return length == 3 && d.i == len(d.src)
		}
		if distance > d.o || length > len(d.dst)-d.o {
			return false
		}
		copyMatch(d.dst, d.o, distance, length)
		d.o += length
		if !d.literals(lits) {
			return false
		}
		state = lits
	}
	return false
}

// match decodes the match of instruction c: its length and distance, and how
// many literals follow. Distance 0 is the end of the stream.
func (d *lzoDecoder) match(c, state int) (length, distance, lits int, ok bool) {
	switch {
	case c >= 64:
		length = c>>5 + 1
		distance, ok = d.short(c>>2&7, 3)
		return length, distance + 1, c & 3, ok
	case c >= 32:
		length, ok = d.length(c&31, 31)
	case c >= 16:
		length, ok = d.length(c&7, 7)
	default:
		distance, ok = d.short(c>>2, 2)
		if state == lzoRun {
			return 3, distance + 2049, c & 3, ok
		}
		return 2, distance + 1, c & 3, ok
	}
	if !ok || len(d.src)-d.i < 2 {
		return 0, 0, 0, false
	}
	v := int(binary.LittleEndian.Uint16(d.src[d.i:]))
	d.i += 2
	distance = v >> 2
	if c >= 32 {
		distance++
	} else if distance += c & 8 << 11; distance != 0 {
		distance += 16384
	}
	return length + 2, distance, v & 3, true
}

// short reads the byte with the high bits of a short distance.
func (d *lzoDecoder) short(low, bits int) (int, bool) {
	if d.i >= len(d.src) {
		return 0, false
	}
	h := int(d.src[d.i])
	d.i++
	return h<<bits + low, true
}

// length returns n, or where it is 0, limit plus what the next bytes say: 255
// for each zero byte, and the first other one.
func (d *lzoDecoder) length(n, limit int) (int, bool) {
	if n != 0 {
		return n, true
	}
	for d.i < len(d.src) {
		c := int(d.src[d.i])
		d.i++
		if c != 0 {
			return limit + n + c, true
		}
		n += 255
	}
	return 0, false
}

// literals copies n bytes from src.
func (d *lzoDecoder) literals(n int) bool {
	if n > len(d.src)-d.i || n > len(d.dst)-d.o {
		return false
	}
	copy(d.dst[d.o:], d.src[d.i:d.i+n])
	d.i += n
	d.o += n
	return true
}
