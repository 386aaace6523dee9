// Package lz4 compresses blocks to raw LZ4 blocks, from memory to memory.
//
// Source: github.com/lz4/lz4, doc/lz4_Block_format.md.
package lz4

import (
	"encoding/binary"

	"coracle/squash/lz77"
)

// Levels of compression.
const (
	MinLevel = 1  // fast
	MaxLevel = 12 // the shortest encoding, as far as matches are found; as "high compression" elsewhere
)

const (
	minMatch     = 4
	window       = 1 << 16 // matches reach back one byte less
	lastBytes    = 5       // literals at the end of every block
	lastMatch    = 12      // bytes at the end in which no match begins
	runMask      = 15      // of literals and match lengths in a token
	maxInput     = 1 << 24
	hashBits     = 13
	skipStrength = 6 // after 64 positions without a match, every second one is tried, and so on
)

// An Encoder compresses one block after the other. The zero value is not usable.
type Encoder struct {
	depth int // nodes of a search; 0: fast
	m     matcher
	tree  *lz77.Tree
	list  []lz77.Match
	best  []step
}

// New returns an Encoder. Levels outside of 1 to 12 are taken as the nearest.
func New(level int) *Encoder {
	e := &Encoder{m: matcher{base: 1}}
	if level > MinLevel {
		e.depth = 3 * min(level, MaxLevel)
		e.tree = lz77.NewTree(window, false)
	}
	return e
}

// Block compresses src into dst and returns the length, or 0 if the block would
// not be shorter than src or would not fit.
func (e *Encoder) Block(dst, src []byte) int {
	if len(src) > maxInput {
		return 0
	}
	w := writer{dst: dst[:max(0, min(len(dst), len(src)-1))]}
	if len(src) > lastMatch {
		if e.depth == 0 {
			e.fast(&w, src)
		} else {
			e.optimal(&w, src)
		}
	}
	w.sequence(src[w.done:], 0, 0)
	if w.full {
		return 0
	}
	return w.n
}

// A matcher finds the last occurrences of 5 bytes. Positions are kept with base
// added, so that those of earlier blocks are recognized and the table needs no
// clearing.
type matcher struct {
	base int32 // 1 and up
	head [1 << hashBits]int32
}

func (m *matcher) start() {
	if m.base > 1<<30 {
		clear(m.head[:])
		m.base = 1
	}
}

func (m *matcher) stop(n int) { m.base += int32(n) + window }

func load64(b []byte, i int) uint64 { return binary.LittleEndian.Uint64(b[i : i+8 : i+8]) }

// at returns the place of the position where the lower five bytes of v were last.
func (m *matcher) at(v uint64) *int32 {
	return &m.head[v<<24*0x9e3779b185ebca87>>(64-hashBits)]
}

// fast takes the first match that it finds.
func (e *Encoder) fast(w *writer, src []byte) {
	m := &e.m
	m.start()
	base := m.base
	end, stop, tries := len(src)-lastBytes, len(src)-lastMatch, 0
	for pos := 0; pos < stop; {
		v := load64(src, pos)
		h := m.at(v)
		next, at := *h, base+int32(pos)
		*h = at
		c := int(next - base)
		if next < base || at-next >= window || uint32(load64(src, c)) != uint32(v) {
			pos += 1 + tries>>skipStrength
			tries++
			continue
		}
		tries = 0
		for pos > w.done && c > 0 && src[pos-1] == src[c-1] {
			pos, c = pos-1, c-1
		}
		n := minMatch + lz77.MatchLen(src[c+minMatch:], src[pos+minMatch:end])
		w.sequence(src[w.done:pos], n, pos-c)
		if pos += n; w.full {
			break
		}
		if pos < stop {
			*m.at(load64(src, pos-2)) = base + int32(pos-2)
		}
	}
	m.stop(len(src))
}

// A step is the best way on from a position: a match, or one literal.
type step struct {
	cost   int32 // bytes from here to the end, literal lengths left out
	length int32 // of the match; 1: a literal
	dist   int32
}

// optimal finds the shortest encoding with the longest match of every position
// and all its beginnings: all distances cost the same.
func (e *Encoder) optimal(w *writer, src []byte) {
	end := len(src) - lastBytes
	if cap(e.best) < len(src)+1 {
		e.best = make([]step, len(src)+1)
	}
	best := e.best[:len(src)+1]
	for pos := range best {
		best[pos] = step{length: 1}
	}
	e.tree.Reset(src)
	for pos := 0; pos < len(src)-lastMatch; pos++ {
		e.list = e.tree.Find(e.list[:0], pos, min(longMatch, end-pos), e.depth)
		if len(e.list) == 0 {
			continue
		}
		m := e.list[len(e.list)-1]
		if m.Length == longMatch {
			m.Length += lz77.MatchLen(src[pos+longMatch-m.Dist:], src[pos+longMatch:end])
		}
		best[pos].length, best[pos].dist = int32(m.Length), int32(m.Dist)
		for stop := min(pos+m.Length-longMatch, len(src)-lastMatch); pos+1 < stop; { // the rest of a long match
			pos++
			m.Length--
			best[pos].length, best[pos].dist = int32(m.Length), int32(m.Dist)
			e.tree.Skip(pos, min(longMatch, end-pos), e.depth)
		}
	}
	cheapest(best)
	for pos := 0; pos < len(src); {
		s := best[pos]
		if s.length > 1 {
			w.sequence(src[w.done:pos], int(s.length), int(s.dist))
		}
		pos += int(s.length)
	}
}

const longMatch = 64 // bytes of a match above which it is taken as it is

// cheapest turns the longest match of every position into the best step.
func cheapest(best []step) {
	literals := int32(0) // that follow the position
	for pos := len(best) - 2; pos >= 0; pos-- {
		longest := best[pos].length
		s := step{cost: best[pos+1].cost + 1, length: 1}
		if literals++; literals >= runMask && (literals-runMask)%255 == 0 {
			s.cost++
		}
		n := int32(minMatch)
		if longest > longMatch {
			n = longest
		}
		for ; n <= longest; n++ {
			c := best[pos+int(n)].cost + 3
			if n >= minMatch+runMask {
				c += 1 + (n-minMatch-runMask)/255
			}
			if c < s.cost || c == s.cost && n > s.length {
				s = step{c, n, best[pos].dist}
			}
		}
		if s.length > 1 {
			literals = 0
		}
		best[pos] = s
	}
}

// A writer writes sequences.
type writer struct {
	dst  []byte
	n    int
	done int  // bytes of the input that are written
	full bool // dst was too short
}

// sequence writes literals and a match; a length of 0 is none, at the end.
func (w *writer) sequence(literals []byte, length, dist int) {
	need := 1 + len(literals)
	if len(literals) >= runMask {
		need += 1 + (len(literals)-runMask)/255
	}
	if length > 0 {
		need += 2
	}
	if length >= minMatch+runMask {
		need += 1 + (length-minMatch-runMask)/255
	}
	if w.full = w.full || need > len(w.dst)-w.n; w.full {
		return
	}
	token := &w.dst[w.n]
	w.n++
	*token = byte(min(len(literals), runMask)) << 4
	w.more(len(literals))
	if n := len(literals); n <= 16 && cap(literals) >= 16 && len(w.dst)-w.n >= 16 {
		copy(w.dst[w.n:w.n+16], literals[:16]) // of fixed length: faster
		w.n += n
	} else {
		w.n += copy(w.dst[w.n:], literals)
	}
	w.done += len(literals) + length
	if length == 0 {
		return
	}
	binary.LittleEndian.PutUint16(w.dst[w.n:], uint16(dist))
	w.n += 2
	*token |= byte(min(length-minMatch, runMask))
	w.more(length - minMatch)
}

// more writes what a length has above the token's part.
func (w *writer) more(n int) {
	if n < runMask {
		return
	}
	for n -= runMask; n >= 255; n -= 255 {
		w.dst[w.n] = 255
		w.n++
	}
	w.dst[w.n] = byte(n)
	w.n++
}
