package xz

import "encoding/binary"

// Sizes of LZMA's probability tables.
//
// Source: "LZMA specification" of the LZMA SDK.
const (
	probInit  = 1 << 10
	probBits  = 11
	moveBits  = 5
	topValue  = 1 << 24
	states    = 12
	posStates = 16
	lenStates = 4
	distSlots = 64
	fullDists = 128
	alignBits = 4
	maxLCLP   = 4 // literal context and position bits together
	litProbs  = 0x300
	minMatch  = 2
	endMarker = 0xffffffff // distance - 1
)

// A lenCoder holds the probabilities of lengths.
type lenCoder struct {
	choice, choice2 uint16
	low, mid        [posStates][8]uint16
	high            [256]uint16
}

// probs are all probabilities of a decoder. Each is 16 bits.
type probs struct {
	isMatch    [states][posStates]uint16
	isRep      [states]uint16
	isRepG0    [states]uint16
	isRepG1    [states]uint16
	isRepG2    [states]uint16
	isRep0Long [states][posStates]uint16
	slot       [lenStates][distSlots]uint16
	special    [fullDists]uint16
	align      [1 << alignBits]uint16
	match, rep lenCoder
	literal    [litProbs << maxLCLP]uint16
}

// lzma is the state of an LZMA decoder whose output is its dictionary.
type lzma struct {
	rc        rangeDecoder
	p         probs
	state     int
	rep       [4]uint32 // the last distances, minus 1
	lc, lp    uint
	posMask   int
	dst       []byte
	o         int // next byte of dst
	dictStart int // where the dictionary begins in dst
}

// setProps takes the properties byte.
func (d *lzma) setProps(b byte) error {
	if b >= 9*5*5 {
		return ErrCorrupt
	}
	d.lc = uint(b % 9)
	d.lp = uint(b / 9 % 5)
	d.posMask = 1<<(b/45) - 1
	if d.lc+d.lp > maxLCLP {
		return ErrUnsupported
	}
	return nil
}

// reset starts afresh with probabilities and distances.
func (d *lzma) reset() {
	d.state = 0
	d.rep = [4]uint32{}
	p := &d.p
	for i := range states {
		fillProbs(p.isMatch[i][:])
		fillProbs(p.isRep0Long[i][:])
	}
	for _, t := range [][]uint16{p.isRep[:], p.isRepG0[:], p.isRepG1[:], p.isRepG2[:], p.special[:], p.align[:]} {
		fillProbs(t)
	}
	for i := range p.slot {
		fillProbs(p.slot[i][:])
	}
	p.match.reset()
	p.rep.reset()
	fillProbs(p.literal[:litProbs<<(d.lc+d.lp)])
}

func (l *lenCoder) reset() {
	l.choice, l.choice2 = probInit, probInit
	for i := range posStates {
		fillProbs(l.low[i][:])
		fillProbs(l.mid[i][:])
	}
	fillProbs(l.high[:])
}

func fillProbs(t []uint16) {
	for i := range t {
		t[i] = probInit
	}
}

// LZMA decodes an LZMA file (".lzma", "LZMA alone"): 13 bytes of header and
// one stream. It returns the number of bytes written to dst.
func (d *Decoder) LZMA(dst, src []byte) (int, error) {
	if len(src) < 13 {
		return 0, ErrCorrupt
	}
	z := &d.lz
	if err := z.setProps(src[0]); err != nil {
		return 0, err
	}
	size := binary.LittleEndian.Uint64(src[5:])
	known := size != 1<<64-1
	if known && size > uint64(len(dst)) {
		return 0, ErrSpace
	}
	if known {
		dst = dst[:size]
	}
	z.dst, z.o, z.dictStart = dst, 0, 0
	defer func() { z.dst, z.rc.src = nil, nil }()
	z.reset()
	if !z.rc.start(src[13:]) {
		return 0, ErrCorrupt
	}
	end, err := z.run(len(dst))
	switch {
	case err != nil:
		return 0, err
	case z.rc.ended(), known && z.o != len(dst):
		return 0, ErrCorrupt
	case !known && !end:
		return 0, ErrSpace
	}
	return z.o, nil
}

// run decodes up to position end of dst. It returns true where it met the end
// marker.
func (d *lzma) run(end int) (bool, error) {
	rc, p := &d.rc, &d.p
	for d.o < end {
		if rc.ended() {
			return false, ErrCorrupt
		}
		posState := d.o & d.posMask
		if rc.bit(&p.isMatch[d.state][posState]) == 0 {
			d.oneLiteral()
			continue
		}
		var length int
		if rc.bit(&p.isRep[d.state]) == 0 {
			d.rep[3], d.rep[2], d.rep[1] = d.rep[2], d.rep[1], d.rep[0]
			length = rc.length(&p.match, posState)
			d.rep[0] = d.distance(length)
			if d.rep[0] == endMarker {
				return true, nil
			}
			d.state = afterState(d.state, 7)
		} else if d.repeat(posState) {
			length = 1
			d.state = afterState(d.state, 9)
		} else {
			length = rc.length(&p.rep, posState)
			d.state = afterState(d.state, 8)
		}
		if err := d.copyMatch(length, end); err != nil {
			return false, err
		}
	}
	if rc.normalize(); rc.ended() {
		return false, ErrCorrupt
	}
	return false, nil
}

// afterState returns the state after a match: next, or 3 more than that if no
// literal came before.
func afterState(state, next int) int {
	if state < 7 {
		return next
	}
	if next == 9 {
		return 11
	}
	return next + 3
}

// repeat decodes which of the last distances a match has, and moves it to the
// front. It returns true for a single byte at the last distance.
func (d *lzma) repeat(posState int) bool {
	rc, p := &d.rc, &d.p
	if rc.bit(&p.isRepG0[d.state]) == 0 {
		return rc.bit(&p.isRep0Long[d.state][posState]) == 0
	}
	i := 1
	if rc.bit(&p.isRepG1[d.state]) != 0 {
		i = 2 + int(rc.bit(&p.isRepG2[d.state]))
	}
	r := d.rep[i]
	copy(d.rep[1:i+1], d.rep[:i])
	d.rep[0] = r
	return false
}

// copyMatch copies a match at distance rep[0]. One that would pass end is
// corrupt.
func (d *lzma) copyMatch(length, end int) error {
	distance := int(d.rep[0]) + 1
	if distance > d.o-d.dictStart {
		return ErrCorrupt
	}
	if length > end-d.o {
		return ErrCorrupt
	}
	from := d.o - distance
	if distance >= length {
		d.o += copy(d.dst[d.o:d.o+length], d.dst[from:])
		return nil
	}
	for stop := d.o + length; d.o < stop; { // a pattern: double it until it is long enough
		d.o += copy(d.dst[d.o:stop], d.dst[from:d.o])
	}
	return nil
}

// oneLiteral decodes a literal.
func (d *lzma) oneLiteral() {
	var prev uint
	if d.o > d.dictStart {
		prev = uint(d.dst[d.o-1])
	}
	context := (uint(d.o)&(1<<d.lp-1))<<d.lc + prev>>(8-d.lc)
	t := d.p.literal[litProbs*context:][:litProbs]
	sym := uint32(1)
	if d.state >= 7 {
		if at := d.o - int(d.rep[0]) - 1; at >= d.dictStart {
			sym = d.rc.matched(t, uint32(d.dst[at]))
		}
	}
	d.dst[d.o] = byte(d.rc.tree(t, sym, 8))
	d.o++
	switch {
	case d.state < 4:
		d.state = 0
	case d.state < 10:
		d.state -= 3
	default:
		d.state -= 6
	}
}

// distance decodes a match's distance, minus 1.
func (d *lzma) distance(length int) uint32 {
	rc, p := &d.rc, &d.p
	slot := rc.tree(p.slot[min(length-minMatch, lenStates-1)][:], 1, 6) & (distSlots - 1)
	if slot < 4 {
		return slot
	}
	n := uint(slot>>1 - 1)
	v := (2 | slot&1) << n
	if slot < 14 {
		return v + rc.reverse(p.special[v-slot:], n)
	}
	v += rc.direct(n-alignBits) << alignBits
	return v + rc.reverse(p.align[:], alignBits)
}
