package inflate

import "math/bits"

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

// A table entry. Its low 8 bits always are the number of bits to drop.
//
//	literal    bit 31; 16-23
//	length     16-24 base, 8-11 bits of the code itself, the rest are extra bits
//	distance   16-30 base, 8-11 like length
//	second     bits 15 and 14; 16-27 index of the second level, 8-11 its bits
//	end        bit 15
//	invalid    bits 15 and 13
const (
	literal  = 1 << 31
	special  = 1 << 15
	second   = 1 << 14
	invalid  = 1 << 13
	codeBits = 8  // shift
	base     = 16 // shift
)

var (
	lengthBase  = [...]uint16{3, 4, 5, 6, 7, 8, 9, 10, 11, 13, 15, 17, 19, 23, 27, 31, 35, 43, 51, 59, 67, 83, 99, 115, 131, 163, 195, 227, 258}
	lengthExtra = [...]uint8{0, 0, 0, 0, 0, 0, 0, 0, 1, 1, 1, 1, 2, 2, 2, 2, 3, 3, 3, 3, 4, 4, 4, 4, 5, 5, 5, 5, 0}
	distBase    = [...]uint16{1, 2, 3, 4, 5, 7, 9, 13, 17, 25, 33, 49, 65, 97, 129, 193, 257, 385, 513, 769, 1025, 1537, 2049, 3073, 4097, 6145, 8193, 12289, 16385, 24577}
	distExtra   = [...]uint8{0, 0, 0, 0, 1, 1, 2, 2, 3, 3, 4, 4, 5, 5, 6, 6, 7, 7, 8, 8, 9, 9, 10, 10, 11, 11, 12, 12, 13, 13}
	metaOrder   = [...]uint8{16, 17, 18, 0, 8, 7, 9, 6, 10, 5, 11, 4, 12, 3, 13, 2, 14, 1, 15}
)

// litEntry returns the entry of a literal or length code without its length.
//
// Source: RFC 1951, section 3.2.5.
func litEntry(sym uint) uint32 {
	switch {
	case sym < endOfBlock:
		return literal | uint32(sym)<<base
	case sym == endOfBlock:
		return special
	case sym-257 < uint(len(lengthBase)):
		return uint32(lengthBase[sym-257])<<base | uint32(lengthExtra[sym-257])
	}
	return special | invalid
}

// distEntry is litEntry for distances.
func distEntry(sym uint) uint32 {
	if sym < uint(len(distBase)) {
		return uint32(distBase[sym])<<base | uint32(distExtra[sym])
	}
	return special | invalid
}

// metaEntry is litEntry for code lengths.
func metaEntry(sym uint) uint32 { return uint32(sym) << base }

// build fills a decoding table from code lengths. first is the number of bits
// that index the first level. The code must be complete, or have one symbol of
// one bit or none: then its unused codes are invalid.
//
// Source: RFC 1951, section 3.2.2.
func build(table []uint32, first uint, lens []uint8, order []uint16, entry func(uint) uint32) error {
	var count [maxBits + 1]uint16
	for _, l := range lens {
		count[l]++
	}
	used := len(lens) - int(count[0])
	space := 0 // of 1<<maxBits
	var next [maxBits + 2]uint16
	for l := 1; l <= maxBits; l++ {
		space += int(count[l]) << (maxBits - l)
		next[l+1] = next[l] + count[l]
	}
	if space != 1<<maxBits {
		if used > 1 || count[1] != uint16(used) {
			return ErrCorrupt
		}
		for i := range table[:1<<first] {
			table[i] = special | invalid | 1
		}
	}
	for sym, l := range lens {
		if l != 0 {
			order[next[l]] = uint16(sym)
			next[l]++
		}
	}
	fill(table, first, &count, order[:used], entry)
	return nil
}

// fill writes the entries of symbols, sorted by length and value.
func fill(table []uint32, first uint, count *[maxBits + 1]uint16, order []uint16, entry func(uint) uint32) {
	length := uint(1)
	code := uint(0)                  // the symbol's code, its bits reversed
	end := uint(1) << first          // of the entries in use
	sub, subBits := uint(0), uint(0) // the second-level table in use: its start and bits
	prefix := ^uint(0)               // the first-level bits that lead to it
	for _, sym := range order {
		for count[length] == 0 {
			length++
		}
		e := entry(uint(sym))
		if length <= first {
			e |= uint32(length) << codeBits
			e += uint32(length)
			for i := code; i < 1<<first; i += 1 << length {
				table[i] = e
			}
		} else {
			if p := code & (1<<first - 1); p != prefix {
				prefix, sub, subBits = p, end, secondBits(count, length, first)
				end += 1 << subBits
				table[p] = uint32(sub)<<base | special | second | uint32(subBits)<<codeBits | uint32(first)
			}
			rest := length - first
			e |= uint32(rest) << codeBits
			e += uint32(rest)
			for i := code >> first; i < 1<<subBits; i += 1 << rest {
				table[sub+i] = e
			}
		}
		count[length]--
		// The next code: add one at the high end of the reversed bits.
		top := bits.Len(^code&(1<<length-1)) - 1
		if top < 0 {
			return
		}
		code = code&(1<<top-1) | 1<<top
	}
}

// secondBits returns the bits of a second-level table that begins with a code
// of the given length: enough for all codes with the same first-level bits.
func secondBits(count *[maxBits + 1]uint16, length, first uint) uint {
	n := length - first
	for space := int(count[length]); space < 1<<n && n < maxBits-first; {
		n++
		space = space<<1 + int(count[first+n])
	}
	return n
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
	_ = build(d.lit[:], litBits, lens, d.order[:], litEntry) // these codes are complete
	lens = d.lens[:maxDistCodes]
	for i := range lens {
		lens[i] = 5
	}
	_ = build(d.dist[:], distBits, lens, d.order[:], distEntry)
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
	if err := build(table, metaBits, meta[:], d.order[:], metaEntry); err != nil {
		return err
	}
	lens := d.lens[:nlit+ndist]
	if err := readLengths(lens, table, b); err != nil {
		return err
	}
	if lens[endOfBlock] == 0 {
		return ErrCorrupt
	}
	if err := build(d.dist[:], distBits, lens[nlit:], d.order[:], distEntry); err != nil {
		return err
	}
	if err := build(d.lit[:], litBits, lens[:nlit], d.order[:], litEntry); err != nil {
		return err
	}
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
