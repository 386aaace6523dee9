// Package lz77 finds earlier occurrences of the bytes of a block, for encoders
// that weigh many against each other.
package lz77

import (
	"encoding/binary"
	"math/bits"
)

// A Match is an earlier occurrence of the bytes at a position.
type Match struct {
	Length int // bytes
	Dist   int // bytes back, 1 and up
}

const (
	hash2Bits = 10
	hash3Bits = 14
	hash4Bits = 16

	// TailSize is how many bytes a position must have from there to the end of
	// the block.
	TailSize = 4
)

// A Tree is a matcher with a binary tree of all positions for each hash of four
// bytes, sorted by what follows, the latest at the top: a search passes the
// longest matches on its way down, and leaves its own position as the root.
//
// Source: the idea is that of the LZMA SDK's match finder bt4.
type Tree struct {
	window int // bytes that matches reach back, and one
	src    []byte
	base   int32 // added to positions in heads, so that those of earlier blocks are recognized
	head2  []int32
	head3  []int32
	head4  []int32
	sons   []int32 // by position: the roots of what is smaller, and of what is larger; -1: none
}

// NewTree returns a Tree for matches of four bytes or more, less than window
// bytes back. With short, it also finds the last occurrences of two and three
// bytes.
func NewTree(window int, short bool) *Tree {
	t := &Tree{window: window, base: 1, head4: make([]int32, 1<<hash4Bits)}
	if short {
		t.head2 = make([]int32, 1<<hash2Bits)
		t.head3 = make([]int32, 1<<hash3Bits)
	}
	return t
}

// Reset begins a new block, of at most 16 MiB.
func (t *Tree) Reset(src []byte) {
	t.base += int32(len(t.src))
	t.src = src
	if n := 2 * len(src); len(t.sons) < n {
		t.sons = make([]int32, n)
	}
	if t.base > 1<<30 {
		clear(t.head2)
		clear(t.head3)
		clear(t.head4)
		t.base = 1
	}
}

func (t *Tree) load(pos int) uint32 {
	return binary.LittleEndian.Uint32(t.src[pos : pos+4 : pos+4])
}

const mix = 0x9e3779b1

// swap puts pos into a head and returns what was there, or -1.
func (t *Tree) swap(head *int32, pos int) int {
	c := int(*head - t.base)
	*head = t.base + int32(pos)
	if c < 0 || pos-c >= t.window {
		return -1
	}
	return c
}

// Find makes a position known and appends matches to list, each longer than
// the one before and as near as possible, none longer than most bytes. It looks
// at up to depth nodes. Positions must come in order, none left out.
func (t *Tree) Find(list []Match, pos, most, depth int) []Match {
	v := t.load(pos)
	c := t.swap(&t.head4[v*mix>>(32-hash4Bits)], pos)
	best := 3
	if t.head2 != nil {
		list, best = t.short(list, pos, most, v)
	}
	return t.descend(list, pos, c, most, best, depth)
}

// short looks for the last occurrences of two and three bytes.
func (t *Tree) short(list []Match, pos, most int, v uint32) ([]Match, int) {
	best := 1
	c2 := t.swap(&t.head2[v<<16*mix>>(32-hash2Bits)], pos)
	c3 := t.swap(&t.head3[v<<8*mix>>(32-hash3Bits)], pos)
	if c2 >= 0 && (t.load(c2)^v)<<16 == 0 {
		best = MatchLen(t.src[c2:], t.src[pos:pos+most])
		list = append(list, Match{best, pos - c2})
	}
	if c3 >= 0 && c3 != c2 && (t.load(c3)^v)<<8 == 0 {
		if n := MatchLen(t.src[c3:], t.src[pos:pos+most]); n > best {
			best = n
			list = append(list, Match{n, pos - c3})
		}
	}
	return list, best
}

// Skip makes a position known, as Find does.
func (t *Tree) Skip(pos, most, depth int) {
	v := t.load(pos)
	if t.head2 != nil {
		t.swap(&t.head2[v<<16*mix>>(32-hash2Bits)], pos)
		t.swap(&t.head3[v<<8*mix>>(32-hash3Bits)], pos)
	}
	c := t.swap(&t.head4[v*mix>>(32-hash4Bits)], pos)
	t.descend(nil, pos, c, most, most, depth)
}

// descend makes pos the root of the tree whose root is c and appends matches of
// more than best bytes.
func (t *Tree) descend(list []Match, pos, c, most, best, depth int) []Match {
	src, sons := t.src, t.sons
	here := src[pos : pos+most]
	smaller, larger := 2*pos, 2*pos+1 // sons to be set
	nsmall, nlarge := 0, 0            // bytes that all on that side have in common with pos
	for ; c >= 0 && pos-c < t.window && depth > 0; depth-- {
		n := min(nsmall, nlarge)
		there := src[c : c+most]
		n += MatchLen(there[n:], here[n:])
		if n > best {
			best = n
			list = append(list, Match{n, pos - c})
		}
		if n == most { // pos takes the place of c
			sons[smaller], sons[larger] = sons[2*c], sons[2*c+1]
			return list
		}
		if there[n] < here[n] {
			sons[smaller] = int32(c)
			smaller, nsmall = 2*c+1, n
			c = int(sons[smaller])
		} else {
			sons[larger] = int32(c)
			larger, nlarge = 2*c, n
			c = int(sons[larger])
		}
	}
	sons[smaller], sons[larger] = -1, -1
	return list
}

// MatchLen returns how many bytes a and b begin with in common. a is not
// shorter than b.
func MatchLen(a, b []byte) int {
	n := 0
	for len(b)-n >= 8 {
		x := binary.LittleEndian.Uint64(a[n:]) ^ binary.LittleEndian.Uint64(b[n:])
		if x != 0 {
			return n + bits.TrailingZeros64(x)>>3
		}
		n += 8
	}
	for n < len(b) && a[n] == b[n] {
		n++
	}
	return n
}
