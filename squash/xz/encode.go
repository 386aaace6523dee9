package xz

import (
	"encoding/binary"
	"hash/crc32"
	"math/bits"

	"coracle/squash/lz77"
)

// Levels of compression.
const (
	MinLevel = 1
	MaxLevel = 9
)

// A setting is what a level means.
type setting struct {
	nice  int // bytes of a match that is taken without looking further
	depth int // nodes of a search
}

var settings = [MaxLevel + 1]setting{
	1: {16, 8},
	2: {20, 12},
	3: {24, 16},
	4: {32, 24},
	5: {48, 32},
	6: {64, 48},
	7: {96, 64},
	8: {128, 96},
	9: {maxLen, 512},
}

// An Encoder compresses one block after the other to xz streams of LZMA2 with
// the checksum CRC32, which is the one that Linux checks. The zero value is not
// usable.
//
// Source: the idea of the search for the cheapest path is that of the LZMA SDK.
type Encoder struct {
	setting
	dict  int // bytes of the dictionary
	tree  *lz77.Tree
	rc    rangeEncoder
	p     probs
	costs prices
	src   []byte
	pos   int // next byte to be encoded
	found int // positions below are known to the tree
	state int
	rep   [4]uint32 // the last distances, less 1

	list []lz77.Match // at position found-1
	path
}

// NewEncoder returns an Encoder for blocks of up to dict bytes, a power of two
// from 4 KiB. Levels outside of 1 to 9 are taken as the nearest.
func NewEncoder(level, dict int) *Encoder {
	e := &Encoder{
		setting: settings[min(max(level, MinLevel), MaxLevel)],
		dict:    dict,
		tree:    lz77.NewTree(dict+1, true),
	}
	e.costs.bits.init()
	return e
}

// XZ compresses src into dst and returns the length, or 0 if the stream would
// not be shorter than src or would not fit.
//
// Source: "The .xz File Format", version 1.1.0.
func (e *Encoder) XZ(dst, src []byte) int {
	if len(src) > e.dict || len(src) == 0 {
		return 0
	}
	le := binary.LittleEndian
	limit := min(len(dst), len(src)-1)
	b := append(dst[:0:limit], magic...)
	b = append(b, 0, checkCRC32)
	b = le.AppendUint32(b, crc32.ChecksumIEEE(b[len(magic):]))
	head := [8]byte{2, 0, filterLZMA2, 1, e.dictSize()} // 12 bytes with its checksum, no sizes
	b = append(b, head[:]...)
	b = le.AppendUint32(b, crc32.ChecksumIEEE(head[:]))
	var ok bool
	if b, ok = e.lzma2(b, src, limit); !ok {
		return 0
	}
	unpadded := len(b) - streamHeader + 4 // with the check
	b = pad(b)
	b = le.AppendUint32(b, crc32.ChecksumIEEE(src))
	at := len(b)
	b = append(b, 0, 1)
	b = binary.AppendUvarint(b, uint64(unpadded))
	b = binary.AppendUvarint(b, uint64(len(src)))
	b = pad(b)
	b = le.AppendUint32(b, crc32.ChecksumIEEE(b[at:]))
	var foot [6]byte
	le.PutUint32(foot[:], uint32((len(b)-at)/4-1))
	foot[5] = checkCRC32
	b = le.AppendUint32(b, crc32.ChecksumIEEE(foot[:]))
	b = append(b, foot[:]...)
	b = append(b, "YZ"...)
	if len(b) > limit || &b[0] != &dst[0] {
		return 0
	}
	return len(b)
}

func pad(b []byte) []byte {
	for len(b)%4 != 0 {
		b = append(b, 0)
	}
	return b
}

// dictSize encodes the size of the dictionary.
func (e *Encoder) dictSize() byte {
	return byte(2 * (bits.Len(uint(e.dict-1)) - 12))
}

const (
	chunkMax    = 1 << 16 // bytes of an LZMA2 chunk
	chunkSpare  = 8 << 10 // bytes that one path may take, with much to spare
	chunkHeader = 6
	properties  = (posBits*5+0)*9 + litBits
)

// lzma2 appends src in LZMA2 chunks. It gives up where b would grow above limit.
//
// Source: linux/lib/xz/xz_dec_lzma2.c.
func (e *Encoder) lzma2(b, src []byte, limit int) ([]byte, bool) {
	e.reset(src)
	for e.pos < len(src) {
		at, from := len(b), e.pos
		control := byte(0x80)
		b = append(b, 0, 0, 0, 0, 0)
		if at == streamHeader+12 {
			control = 0xe0 // dictionary, properties and state are new
			b = append(b, properties)
		}
		begin := len(b)
		e.rc.out = b
		e.rc.start()
		for e.pos < len(src) && len(e.rc.out)+e.rc.pending()-begin < chunkMax-chunkSpare {
			e.encodePath()
			if len(e.rc.out) > limit {
				return nil, false
			}
		}
		e.rc.stop()
		b = e.rc.out
		n := e.pos - from - 1
		b[at] = control | byte(n>>16)
		binary.BigEndian.PutUint16(b[at+1:], uint16(n))
		binary.BigEndian.PutUint16(b[at+3:], uint16(len(b)-begin-1))
	}
	return append(b, 0), len(b) < limit
}

// reset begins a block.
func (e *Encoder) reset(src []byte) {
	d := lzma{lc: litBits}
	d.p = e.p
	d.reset()
	e.p = d.p
	e.src, e.pos, e.found, e.state, e.rep = src, 0, 0, 0, [4]uint32{}
	e.costs.lenUses, e.costs.distUses = 0, 0
	e.tree.Reset(src)
}

// An op is a literal (length 1, back literal), a single byte at the last
// distance (length 1, back 0), or a match.
type op struct {
	length int
	back   uint32 // 0 to 3: at one of the last distances; literal; or distance + 3
}

const (
	literal = 1<<32 - 1
	reps    = 4
)

// encodePath chooses and encodes some operations, for at least a byte.
func (e *Encoder) encodePath() {
	e.costs.renew(&e.p)
	for _, o := range e.choose() {
		e.encode(o)
	}
}

// encode encodes one operation.
func (e *Encoder) encode(o op) {
	p, rc, posState := &e.p, &e.rc, e.pos&posMask
	if o.back == literal {
		rc.bit(&p.isMatch[e.state][posState], 0)
		t := e.literals(e.pos)
		if e.state < 7 {
			rc.tree(t, uint32(e.src[e.pos]), 8)
		} else {
			rc.matched(t, uint32(e.src[e.pos]), uint32(e.src[e.pos-int(e.rep[0])-1]))
		}
		e.state = afterLiteral(e.state)
		e.pos++
		return
	}
	rc.bit(&p.isMatch[e.state][posState], 1)
	if o.back >= reps {
		rc.bit(&p.isRep[e.state], 0)
		rc.length(&p.match, o.length, posState)
		e.distance(o.back-reps, o.length)
		e.costs.lenUses--
		e.costs.distUses--
	} else {
		rc.bit(&p.isRep[e.state], 1)
		e.repeat(o, posState)
	}
	e.state = stateAfter(e.state, o)
	e.rep = repsAfter(e.rep, o.back)
	e.pos += o.length
}

// repeat encodes a match at one of the last distances.
func (e *Encoder) repeat(o op, posState int) {
	p, rc := &e.p, &e.rc
	if o.back == 0 {
		rc.bit(&p.isRepG0[e.state], 0)
		if o.length == 1 {
			rc.bit(&p.isRep0Long[e.state][posState], 0)
			return
		}
		rc.bit(&p.isRep0Long[e.state][posState], 1)
	} else {
		rc.bit(&p.isRepG0[e.state], 1)
		rc.bit(&p.isRepG1[e.state], min(o.back-1, 1))
		if o.back > 1 {
			rc.bit(&p.isRepG2[e.state], o.back-2)
		}
	}
	rc.length(&p.rep, o.length, posState)
	e.costs.lenUses--
}

// distance encodes a distance, less 1.
func (e *Encoder) distance(d uint32, length int) {
	p, rc := &e.p, &e.rc
	slot := distSlot(d)
	rc.tree(p.slot[min(length-minMatch, lenStates-1)][:], slot, 6)
	if slot < 4 {
		return
	}
	n := uint(slot>>1 - 1)
	base := (2 | slot&1) << n
	if slot < 14 {
		rc.reverse(p.special[base-slot:], d-base, n)
		return
	}
	rc.direct((d-base)>>alignBits, n-alignBits)
	rc.reverse(p.align[:], d&(1<<alignBits-1), alignBits)
}

// distSlot returns the slot of a distance, less 1: its two highest bits and how
// many follow.
func distSlot(d uint32) uint32 {
	if d < 4 {
		return d
	}
	log := uint32(bits.Len32(d) - 1)
	return 2*log + d>>(log-1)&1
}

// literals returns the probabilities of a literal at pos.
func (e *Encoder) literals(pos int) []uint16 {
	context := 0
	if pos > 0 {
		context = int(e.src[pos-1]) >> (8 - litBits)
	}
	return e.p.literal[litProbs*context:][:litProbs]
}

func afterLiteral(state int) int {
	switch {
	case state < 4:
		return 0
	case state < 10:
		return state - 3
	}
	return state - 6
}

// stateAfter returns the state after an operation.
func stateAfter(state int, o op) int {
	switch {
	case o.back == literal:
		return afterLiteral(state)
	case o.back >= reps:
		return afterState(state, 7)
	case o.length == 1:
		return afterState(state, 9)
	}
	return afterState(state, 8)
}

// repsAfter returns the last distances after an operation.
func repsAfter(r [4]uint32, back uint32) [4]uint32 {
	switch {
	case back == literal || back == 0:
	case back == 1:
		r[0], r[1] = r[1], r[0]
	case back == 2:
		r[0], r[1], r[2] = r[2], r[0], r[1]
	case back == 3:
		r[0], r[1], r[2], r[3] = r[3], r[0], r[1], r[2]
	default:
		r[0], r[1], r[2], r[3] = back-reps, r[0], r[1], r[2]
	}
	return r
}
