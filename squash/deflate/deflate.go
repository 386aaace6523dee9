// Package deflate compresses blocks to zlib streams in one step, from memory
// to memory.
//
// The whole input is parsed before anything is written, so that the borders of
// DEFLATE's blocks can be chosen afterwards, where the statistics change. At
// the same level the result is a little smaller than zlib's, in a third of the
// time.
//
// Source: RFC 1950, RFC 1951.
package deflate

import (
	"encoding/binary"
	"hash/adler32"
)

// Levels of compression.
const (
	MinLevel = 1
	MaxLevel = 9
)

// MaxInput is the length of the longest input in bytes.
const MaxInput = 1 << 24

// A setting is what a level means.
type setting struct {
	depth int // candidates of a search
	nice  int // bytes of a match that ends a search
	lazy  int // positions after a match to look for a better one: 0 to 2
	step  int // inside of a match, every step-th position is made known
}

var settings = [MaxLevel + 1]setting{
	1: {1, 8, 0, 5},
	2: {4, 12, 0, 2},
	3: {12, 16, 0, 1},
	4: {16, 32, 0, 1},
	5: {12, 32, 1, 1},
	6: {16, 32, 1, 1},
	7: {100, 128, 1, 1},
	8: {300, maxMatch, 2, 1},
	9: {800, maxMatch, 2, 1},
}

// An Encoder compresses one input after the other. It takes half a megabyte,
// and 16 bytes for each byte of a chunk of input. The zero value is not usable.
type Encoder struct {
	setting
	m      matcher
	seqs   []sequence
	chunks []chunk
	logs   logTable
	codes  blockCode
}

// New returns an Encoder. Levels outside of 1 to 9 are taken as the nearest.
func New(level int) *Encoder {
	e := &Encoder{setting: settings[min(max(level, MinLevel), MaxLevel)]}
	e.m.base = 1
	e.logs.init()
	return e
}

// zlibHead announces DEFLATE with a window of 32 KiB and no dictionary.
var zlibHead = [2]byte{0x78, 0x9c}

const zlibSize = 2 + 4 // bytes around the DEFLATE stream

// Zlib compresses src into dst and returns the length, or 0 if the stream
// would not be shorter than src or would not fit. Up to 8 bytes of dst behind
// the stream may change; if dst is not longer than the stream by as many, it
// does not fit.
func (e *Encoder) Zlib(dst, src []byte) int {
	limit := min(len(dst)-8, len(src)-1) - zlibSize
	if limit <= 0 || len(src) > MaxInput {
		return 0
	}
	e.parse(src)
	e.merge()
	n := copy(dst, zlibHead[:])
	n += e.emit(dst[n:], src, limit)
	if n == len(zlibHead) {
		return 0
	}
	binary.BigEndian.PutUint32(dst[n:], adler32.Checksum(src))
	return n + 4
}
