package deflate

import "math/bits"

const (
	window   = 1 << 15 // bytes; matches reach as far back
	minMatch = 3
	maxMatch = 258

	hash3Bits = 14
	hash4Bits = 15
	tailSize  = 8 // bytes at the end of an input in which no match begins
)

// A matcher finds earlier occurrences: the last one of every 3 bytes, and
// chains of all of every 4 bytes. Positions are kept with base added, so that
// those of earlier inputs are recognized and the tables need no clearing.
type matcher struct {
	base  int32 // 1 and up
	head3 [1 << hash3Bits]int32
	head4 [1 << hash4Bits]int32
	prev  [window]int32
}

// start makes room for an input of n bytes.
func (m *matcher) start(n int) {
	if m.base > 1<<30 {
		*m = matcher{base: 1}
	}
}

// stop forgets the input of n bytes.
func (m *matcher) stop(n int) { m.base += int32(n) + window }

func hash3(v uint32) uint32 { return (v << 8) * 0x9e3779b1 >> (32 - hash3Bits) }
func hash4(v uint32) uint32 { return v * 0x9e3779b1 >> (32 - hash4Bits) }

// insert makes every step-th position from pos up to end known. end is at most
// len(src)-tailSize.
func (m *matcher) insert(src []byte, pos, end, step int) {
	for ; pos < end; pos += step {
		v := load32(src, pos)
		at := m.base + int32(pos)
		m.head3[hash3(v)] = at
		h := &m.head4[hash4(v)]
		m.prev[pos&(window-1)] = *h
		*h = at
	}
}

// longest makes position pos known and returns the longest earlier match of
// more than best bytes, best being at least minMatch-1, or 0.
func (m *matcher) longest(src []byte, pos, best, depth, nice int) (length, dist int) {
	v := load32(src, pos)
	at := m.base + int32(pos)
	limit := max(at-window, m.base) // the first position in reach
	h3 := &m.head3[hash3(v)]
	near := *h3
	*h3 = at
	h4 := &m.head4[hash4(v)]
	next := *h4
	m.prev[pos&(window-1)] = next
	*h4 = at

	most := min(maxMatch, len(src)-pos)
	if best < minMatch && near >= limit {
		c := int(near - m.base)
		if (load32(src, c)^v)<<8 == 0 {
			best = minMatch
			length, dist = minMatch, pos-c
		}
	}
	best = max(best, minMatch) // the chains know of four bytes
	if best >= most {
		return length, dist
	}
	nice = min(nice, most)
	end := load32(src, pos+best-3) // the bytes that a longer match ends with
	for ; next >= limit && depth > 0; depth-- {
		c := int(next - m.base)
		next = m.prev[c&(window-1)]
		if load32(src, c+best-3) != end || load32(src, c) != v {
			continue
		}
		n := 4 + common(src, c+4, pos+4, most-4)
		if n <= best {
			continue
		}
		best, length, dist = n, n, pos-c
		if n >= nice {
			break
		}
		end = load32(src, pos+best-3)
	}
	return length, dist
}

// common returns how many bytes of b from i and from j on are equal, i being
// below j: most at most, and 8 bytes can be read at j+most-8 if most is 8 at least.
func common(b []byte, i, j, most int) int {
	n := 0
	for ; most-n >= 8; n += 8 {
		if x := load64(b, i+n) ^ load64(b, j+n); x != 0 {
			return n + bits.TrailingZeros64(x)>>3
		}
	}
	for n < most && b[i+n] == b[j+n] {
		n++
	}
	return n
}
