package inflate

// #cgo noescape coracle_build
// #cgo nocallback coracle_build
// #cgo noescape coracle_widen
// #cgo nocallback coracle_widen
// #include "fast.h"
import "C"

const (
	maxBits      = 15  // of a code
	maxLitCodes  = 288 // literals, end of block and lengths
	maxDistCodes = 32
	endOfBlock   = 256

	// Bits that index the first level of the tables, and the most entries that
	// both levels can have for codes of up to 15 bits (zlib's "enough").
	litBits       = 11
	litTableSize  = 2342
	distBits      = 8
	distTableSize = 402
	metaBits      = 7 // of the code for code lengths; it has one level
)

// A table entry: see fast.h.
const (
	literal  = 1 << 31
	special  = 1 << 15
	second   = 1 << 14
	invalid  = 1 << 13
	codeBits = 8  // shift
	base     = 16 // shift
)

var metaOrder = [...]uint8{16, 17, 18, 0, 8, 7, 9, 6, 10, 5, 11, 4, 12, 3, 13, 2, 14, 1, 15}

// build fills a decoding table from code lengths. first is the number of bits that index the first level. The code must be complete, or have
// one symbol of one bit or none: then its unused codes are invalid.
func build(table []uint32, first uint, lens []uint8, kind C.enum_code_kind) error {
	if C.coracle_build((*C.uint32_t)(&table[0]), C.uint32_t(first), (*C.uint8_t)(&lens[0]), C.uint32_t(len(lens)), kind) != 0 {
		return ErrCorrupt
	}
	return nil
}

// worthPairs is how many bytes of input are worth entries of several symbols: they take as long to make as some hundred symbols to decode.
var worthPairs = 3 << 10

// widen makes the wide table of the literals and lengths, whose codes have the given lengths, if that is worth while for left bytes of input.
func (d *Decoder) widen(lens []uint8, left int) {
	d.pairs = left >= worthPairs &&
		C.coracle_widen((*C.uint64_t)(&d.wide[0]), (*C.uint32_t)(&d.lit[0]), (*C.uint8_t)(&lens[0]), C.uint32_t(len(lens))) != 0
}

// fixedTables makes the tables of fixed blocks.
//
// Source: RFC 1951, section 3.2.6.
func (d *Decoder) fixedTables() {
	if d.fixed {
		return
	}
	lens := d.lens[:maxLitCodes]
	for i := range lens {
		switch {
		case i < 144:
			lens[i] = 8
		case i < 256:
			lens[i] = 9
		case i < 280:
			lens[i] = 7
		default:
			lens[i] = 8
		}
	}
	_ = build(d.lit[:], litBits, lens, C.code_literals) // these codes are complete
	d.pairs = false
	lens = d.lens[:maxDistCodes]
	for i := range lens {
		lens[i] = 5
	}
	_ = build(d.dist[:], distBits, lens, C.code_distances)
	d.fixed = true
}

// dynamicTables reads the codes of a dynamic block.
//
// Source: RFC 1951, section 3.2.7.
func (d *Decoder) dynamicTables(b *bitReader) error {
	d.fixed = false
	nlit := b.take(5) + 257
	ndist := b.take(5) + 1
	nmeta := b.take(4) + 4
	if nlit > maxLitCodes-2 || ndist > maxDistCodes-2 {
		return ErrCorrupt
	}
	var meta [len(metaOrder)]uint8
	for i := range nmeta {
		if i == 8 {
			b.refill()
		}
		meta[metaOrder[i]] = uint8(b.take(3))
	}
	b.refill()
	table := d.lit[:1<<metaBits]
	if err := build(table, metaBits, meta[:], C.code_lengths); err != nil {
		return err
	}
	lens := d.lens[:nlit+ndist]
	if err := readLengths(lens, table, b); err != nil {
		return err
	}
	if lens[endOfBlock] == 0 {
		return ErrCorrupt
	}
	if err := build(d.dist[:], distBits, lens[nlit:], C.code_distances); err != nil {
		return err
	}
	if err := build(d.lit[:], litBits, lens[:nlit], C.code_literals); err != nil {
		return err
	}
	d.widen(lens[:nlit], len(b.src)-b.pos)
	return nil
}

// readLengths reads code lengths, which are themselves run-length and Huffman
// coded.
func readLengths(lens []uint8, table []uint32, b *bitReader) error {
	for i := 0; i < len(lens); {
		b.refill()
		e := table[b.buf&(1<<metaBits-1)]
		b.take(uint(e & 0xff))
		if e&special != 0 || b.ended() {
			return ErrCorrupt
		}
		sym := e >> base
		if sym < 16 {
			lens[i] = uint8(sym)
			i++
			continue
		}
		var n uint
		var l uint8
		switch sym {
		case 16:
			n = 3 + b.take(2)
			if i == 0 {
				return ErrCorrupt
			}
			l = lens[i-1]
		case 17:
			n = 3 + b.take(3)
		default:
			n = 11 + b.take(7)
		}
		if n > uint(len(lens)-i) {
			return ErrCorrupt
		}
		for end := i + int(n); i < end; i++ {
			lens[i] = l
		}
	}
	return nil
}
