package deflate

import (
	"math/bits"
	"slices"
)

// A huffman is a canonical prefix code of up to 320 symbols.
type huffman struct {
	bits []uint16 // the codes, first bit lowest
	size []uint8  // their lengths; 0: the symbol does not occur
	heap []uint64 // for build
}

// build makes the code of the least total length for symbols that occur freq
// times, with lengths up to most. At least two symbols get a code: some
// decoders refuse incomplete ones.
//
// Source: A. Moffat, J. Katajainen, In-Place Calculation of Minimum-Redundancy
// Codes (1995), for the lengths; RFC 1951, 3.2.2, for the codes.
func (h *huffman) build(freq []uint32, most int) {
	h.size = append(h.size[:0], make([]uint8, len(freq))...)
	h.bits = append(h.bits[:0], make([]uint16, len(freq))...)
	h.heap = h.heap[:0]
	for sym, n := range freq {
		if n > 0 {
			h.heap = append(h.heap, uint64(n)<<9|uint64(sym))
		}
	}
	for sym := 0; len(h.heap) < 2; sym++ {
		if freq[sym] == 0 {
			h.heap = append(h.heap, 1<<9|uint64(sym))
		}
	}
	slices.Sort(h.heap)
	var syms [320]uint16
	for i, v := range h.heap {
		syms[i] = uint16(v & 511)
		h.heap[i] = v >> 9
	}
	depths(h.heap)
	var count [33]int // symbols by length
	for _, d := range h.heap {
		count[min(d, 32)]++
	}
	limit(&count, most)
	i := len(h.heap)
	for n := 1; n <= most; n++ { // the rarest symbols come first: they get the longest codes
		for range count[n] {
			i--
			h.size[syms[i]] = uint8(n)
		}
	}
	h.assign(&count, most)
}

// depths replaces weights, in rising order and two at least, by the depths of
// their leaves in a Huffman tree.
func depths(w []uint64) {
	n := len(w)
	leaf, root := 0, 0
	for next := range n - 1 { // w[root:next] are weights of inner nodes; those before root point to their parents
		var sum uint64
		for range 2 {
			if leaf >= n || root < next && w[root] < w[leaf] {
				sum += w[root]
				w[root] = uint64(next)
				root++
			} else {
				sum += w[leaf]
				leaf++
			}
		}
		w[next] = sum
	}
	w[n-2] = 0
	for i := n - 3; i >= 0; i-- {
		w[i] = w[w[i]] + 1
	}
	inner, at := n-2, n-1 // from the root down: w[:inner+1] are depths of inner nodes
	avail, depth := 1, uint64(0)
	for avail > 0 {
		used := 0
		for inner >= 0 && w[inner] == depth {
			used++
			inner--
		}
		for ; avail > used; avail-- {
			w[at] = depth
			at--
		}
		avail = 2 * used
		depth++
	}
}

// limit shortens the codes that are longer than most, at the expense of others.
func limit(count *[33]int, most int) {
	excess := 0 // of the Kraft sum, in units of 1<<-most
	for n := most + 1; n < len(count); n++ {
		count[most] += count[n]
		count[n] = 0
	}
	for n := 1; n <= most; n++ {
		excess += count[n] << (most - n)
	}
	for excess -= 1 << most; excess > 0; excess-- {
		n := most - 1
		for count[n] == 0 {
			n--
		}
		count[n]-- // becomes an inner node, with itself and one of the longest codes below
		count[n+1] += 2
		count[most]--
	}
}

// assign numbers the codes.
func (h *huffman) assign(count *[33]int, most int) {
	var next [17]uint16
	code := uint16(0)
	for n := 1; n <= most; n++ {
		code = (code + uint16(count[n-1])) << 1
		next[n] = code
	}
	for sym, n := range h.size {
		if n > 0 {
			h.bits[sym] = bits.Reverse16(next[n]) >> (16 - n)
			next[n]++
		}
	}
}
