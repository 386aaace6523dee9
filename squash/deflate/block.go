package deflate

import (
	"encoding/binary"
	"math"
)

const headerBits = 500 // about what the codes of a block take

// A logTable helps to estimate entropies: element n is n·log₂(n).
type logTable [1 << 12]float32

func (t *logTable) init() {
	for i := 1; i < len(t); i++ {
		t[i] = float32(float64(i) * math.Log2(float64(i)))
	}
}

func (t *logTable) at(n uint32) float32 {
	shift := float32(0)
	scale := float32(1)
	for m := n; ; m >>= 1 { // n = m<<k: n·log(n) = (m·log(m) + m·k)·2^k
		if int(m) < len(t) {
			return (t[m] + float32(m)*shift) * scale
		}
		shift++
		scale *= 2
	}
}

// cost returns about the bits that the symbols of one or two histograms take
// in one block, extra bits left out.
func (t *logTable) cost(a, b *histogram) float32 {
	return t.sum(a.lit[:], b.lit[:]) + t.sum(a.dist[:], b.dist[:])
}

func (t *logTable) sum(a, b []uint32) float32 {
	total := uint32(0)
	var parts float32
	for i, n := range a {
		n += b[i]
		total += n
		if n > 1 {
			parts += t.at(n)
		}
	}
	return t.at(total) - parts
}

// merge joins neighbouring chunks, those first that gain most, until no two
// should share a block.
func (e *Encoder) merge() {
	var none histogram
	for i := range e.chunks {
		c := &e.chunks[i]
		c.bits = e.logs.cost(&c.histogram, &none)
	}
	for i := range e.chunks {
		e.measure(i)
	}
	for len(e.chunks) > 1 {
		best := 0
		for i := range e.chunks {
			if e.chunks[i].gain > e.chunks[best].gain {
				best = i
			}
		}
		a := &e.chunks[best]
		if a.gain <= 0 {
			break
		}
		b := &e.chunks[best+1]
		a.bits += b.bits + headerBits - a.gain
		a.add(&b.histogram)
		a.src += b.src
		a.seqs += b.seqs
		e.chunks = append(e.chunks[:best+1], e.chunks[best+2:]...)
		e.measure(best)
		if best > 0 {
			e.measure(best - 1)
		}
	}
}

// measure sets the gain of a chunk.
func (e *Encoder) measure(i int) {
	if i+1 == len(e.chunks) {
		e.chunks[i].gain = -1
		return
	}
	a, b := &e.chunks[i], &e.chunks[i+1]
	a.gain = a.bits + b.bits + headerBits - e.logs.cost(&a.histogram, &b.histogram)
}

// A blockCode is the codes of one block, and what describes them.
type blockCode struct {
	lit, dist, pre huffman
	lens           []byte // the lengths of lit, then dist, run-length encoded: symbols of pre and extra bits by turns
	nlit, ndist    int    // lengths sent
	npre           int
	header         int // bits of the description
}

// preOrder is the order in which the lengths of pre are sent.
var preOrder = [19]uint8{16, 17, 18, 0, 8, 7, 9, 6, 10, 5, 11, 4, 12, 3, 13, 2, 14, 1, 15}

// preExtra returns the number of extra bits of a symbol of pre.
func preExtra(sym byte) uint {
	switch sym {
	case 16:
		return 2
	case 17:
		return 3
	case 18:
		return 7
	}
	return 0
}

// build makes the codes of a block.
func (c *blockCode) build(h *histogram) {
	c.lit.build(h.lit[:], 15)
	c.dist.build(h.dist[:], 15)
	c.nlit, c.ndist = literalSyms, distSyms
	for c.nlit > firstLength && c.lit.size[c.nlit-1] == 0 {
		c.nlit--
	}
	for c.ndist > 1 && c.dist.size[c.ndist-1] == 0 {
		c.ndist--
	}
	var all [literalSyms + distSyms]byte
	copy(all[:], c.lit.size[:c.nlit])
	copy(all[c.nlit:], c.dist.size[:c.ndist])
	c.runs(all[:c.nlit+c.ndist])
	var freq [19]uint32
	for i := 0; i < len(c.lens); i += 2 {
		freq[c.lens[i]]++
	}
	c.pre.build(freq[:], 7)
	c.npre = 19
	for c.npre > 4 && c.pre.size[preOrder[c.npre-1]] == 0 {
		c.npre--
	}
	c.header = 5 + 5 + 4 + 3*c.npre
	for i := 0; i < len(c.lens); i += 2 {
		c.header += int(c.pre.size[c.lens[i]]) + int(preExtra(c.lens[i]))
	}
}

// runs fills c.lens.
//
// Source: RFC 1951, 3.2.7.
func (c *blockCode) runs(all []byte) {
	c.lens = c.lens[:0]
	for i := 0; i < len(all); {
		n := 1
		for i+n < len(all) && all[i+n] == all[i] {
			n++
		}
		v := all[i]
		i += n
		if v != 0 {
			c.lens = append(c.lens, v, 0)
			n--
		}
		for n >= 3 {
			switch {
			case v != 0:
				k := min(n, 6)
				c.lens = append(c.lens, 16, byte(k-3))
				n -= k
			case n <= 10:
				c.lens = append(c.lens, 17, byte(n-3))
				n = 0
			default:
				k := min(n, 138)
				c.lens = append(c.lens, 18, byte(k-11))
				n -= k
			}
		}
		for ; n > 0; n-- {
			c.lens = append(c.lens, v, 0)
		}
	}
}

// size returns the bits of a block with these codes but for its 3 bits of type.
func (c *blockCode) bits(h *histogram) int {
	n := c.header
	for sym, k := range h.lit {
		n += int(k) * int(c.lit.size[sym])
		if sym >= firstLength {
			n += int(k) * int(lengthExtra[sym-firstLength])
		}
	}
	for sym, k := range h.dist {
		n += int(k) * (int(c.dist.size[sym]) + distExtra(sym))
	}
	return n
}

const maxStored = math.MaxUint16 // bytes of a stored block

// emit writes the chunks as blocks and returns the length, 0 if it is above
// limit. dst has 8 bytes more.
func (e *Encoder) emit(dst, src []byte, limit int) int {
	w := bitWriter{dst: dst}
	seqs, pos := e.seqs, 0
	for i := range e.chunks {
		c := &e.chunks[i]
		c.lit[endOfBlock] = 1
		e.codes.build(&c.histogram)
		last := uint64(0)
		if i == len(e.chunks)-1 {
			last = 1
		}
		size := 3 + e.codes.bits(&c.histogram)
		stored := (c.src + 5*(c.src/maxStored+1) + 1) * 8
		if w.n+(min(size, stored)+w.used()+7)/8 > limit {
			return 0
		}
		if stored < size {
			w.stored(src[pos:pos+c.src], last)
		} else {
			w.add(last|2<<1, 3)
			w.codes(&e.codes)
			w.sequences(seqs[:c.seqs], src[pos:pos+c.src], &e.codes)
		}
		seqs, pos = seqs[c.seqs:], pos+c.src
	}
	w.align()
	return w.n
}

// stored writes bytes as they are.
func (w *bitWriter) stored(src []byte, last uint64) {
	for {
		n := min(len(src), maxStored)
		final := uint64(0)
		if n == len(src) {
			final = last
		}
		w.add(final, 3)
		w.align()
		binary.LittleEndian.PutUint16(w.dst[w.n:], uint16(n))
		binary.LittleEndian.PutUint16(w.dst[w.n+2:], ^uint16(n))
		w.n += 4 + copy(w.dst[w.n+4:], src[:n])
		if src = src[n:]; len(src) == 0 {
			return
		}
	}
}
