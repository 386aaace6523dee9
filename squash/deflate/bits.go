package deflate

import "encoding/binary"

// A bitWriter writes bits, the first one lowest. It may touch 8 bytes behind
// what it has written.
type bitWriter struct {
	dst  []byte
	n    int    // whole bytes written
	buf  uint64 // bits not written yet, fewer than 8 after flush
	nbuf uint
}

// used returns the number of bits not written yet.
func (w *bitWriter) used() int { return int(w.nbuf) }

// flush writes whole bytes. Up to 56 bits may be put into buf in between.
func (w *bitWriter) flush() {
	binary.LittleEndian.PutUint64(w.dst[w.n:], w.buf)
	k := w.nbuf >> 3
	w.n += int(k)
	w.buf >>= k << 3
	w.nbuf &= 7
}

func (w *bitWriter) put(v uint64, n uint) {
	w.buf |= v << (w.nbuf & 63)
	w.nbuf += n
}

func (w *bitWriter) add(v uint64, n uint) {
	w.put(v, n)
	w.flush()
}

// align fills the last byte.
func (w *bitWriter) align() {
	w.nbuf = (w.nbuf + 7) &^ 7
	w.flush()
}

// codes writes the description of a block's codes.
func (w *bitWriter) codes(c *blockCode) {
	w.add(uint64(c.nlit-firstLength)|uint64(c.ndist-1)<<5|uint64(c.npre-4)<<10, 14)
	for _, sym := range preOrder[:c.npre] {
		w.add(uint64(c.pre.size[sym]), 3)
	}
	for i := 0; i < len(c.lens); i += 2 {
		sym := c.lens[i]
		w.put(uint64(c.pre.bits[sym]), uint(c.pre.size[sym]))
		w.add(uint64(c.lens[i+1]), preExtra(sym))
	}
}

// A symbol is a code with its extra bits: the bits, and their number on top.
type symbol uint32

// sequences writes the contents of a block.
func (w *bitWriter) sequences(seqs []sequence, src []byte, c *blockCode) {
	var lits [256]symbol
	for i := range lits {
		lits[i] = symbol(c.lit.bits[i]) | symbol(c.lit.size[i])<<24
	}
	var lens [256]symbol
	for i := range lens {
		sym := lengthSym[i]
		size := uint(c.lit.size[firstLength+int(sym)])
		lens[i] = symbol(c.lit.bits[firstLength+int(sym)]) | symbol(i-int(lengthBase[sym]))<<size |
			symbol(size+uint(lengthExtra[sym]))<<24
	}
	for _, s := range seqs {
		run := src[:s.literals]
		src = src[s.literals:]
		for len(run) >= 3 {
			a, b, c := lits[run[0]], lits[run[1]], lits[run[2]]
			w.put(uint64(a&0xffffff), uint(a>>24))
			w.put(uint64(b&0xffffff), uint(b>>24))
			w.put(uint64(c&0xffffff), uint(c>>24))
			w.flush()
			run = run[3:]
		}
		for _, b := range run {
			w.put(uint64(lits[b]&0xffffff), uint(lits[b]>>24))
		}
		w.flush()
		if s.length == 0 {
			continue
		}
		src = src[s.length:]
		l := lens[s.length-minMatch]
		w.put(uint64(l&0xffffff), uint(l>>24))
		sym := distSym(int(s.dist))
		w.put(uint64(c.dist.bits[sym]), uint(c.dist.size[sym]))
		w.put(uint64(int(s.dist)-distBase(sym)), uint(distExtra(sym)))
		w.flush()
	}
	w.add(uint64(c.lit.bits[endOfBlock]), uint(c.lit.size[endOfBlock]))
}
