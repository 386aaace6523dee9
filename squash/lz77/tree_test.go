package lz77

import (
	"bytes"
	"math/rand/v2"
	"testing"
)

// block returns bytes of a few letters with repetitions.
func block(seed uint64, n int) []byte {
	r := rand.New(rand.NewPCG(seed, 1))
	var b []byte
	for len(b) < n {
		if len(b) > 10 && r.IntN(5) == 0 {
			at, k := r.IntN(len(b)), 1+r.IntN(60)
			for i := range k {
				b = append(b, b[at+i])
			}
		}
		b = append(b, byte('a'+r.IntN(6)))
	}
	return b[:n]
}

// nearest returns the nearest earlier occurrence of n bytes at pos, or 0.
func nearest(src []byte, pos, n, window int) int {
	for dist := 1; dist <= pos && dist < window; dist++ {
		if bytes.Equal(src[pos-dist:pos-dist+n], src[pos:pos+n]) {
			return dist
		}
	}
	return 0
}

// With depth enough, the tree finds the longest match, and all that it finds
// are true, longer each time, and the nearest of their length.
func TestFind(t *testing.T) {
	for _, tt := range []struct {
		window int
		short  bool
		skip   int // every skip-th position is not asked for
	}{
		{window: 1 << 20, short: true},
		{window: 1 << 20},
		{window: 100, short: true},
		{window: 64, skip: 3},
	} {
		tree := NewTree(tt.window, tt.short)
		for seed := range uint64(3) { // blocks after the first meet used tables
			src := block(seed, 1500)
			tree.Reset(src)
			for pos := 0; pos+TailSize <= len(src); pos++ {
				most := min(40, len(src)-pos)
				if tt.skip > 0 && pos%tt.skip == 0 {
					tree.Skip(pos, most, 1000)
					continue
				}
				list := tree.Find(nil, pos, most, 1000)
				last := 0
				for _, m := range list {
					if want := nearest(src, pos, m.Length, tt.window); m.Length <= last || m.Length > most || m.Dist != want {
						t.Fatalf("%+v: Find at %d: %v, want distance %d for %d bytes", tt, pos, list, want, m.Length)
					}
					last = m.Length
				}
				if n := max(last+1, 4); n <= most && nearest(src, pos, n, tt.window) != 0 {
					t.Fatalf("%+v: Find at %d: %v, but %d bytes are at distance %d", tt, pos, list, n, nearest(src, pos, n, tt.window))
				}
			}
		}
	}
}
