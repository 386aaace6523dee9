package build

import (
	"bytes"
	"testing"
)

// A sum does not depend on the pieces that bytes come in, but on all of them.
func TestSum(t *testing.T) {
	secret := [16]byte{1}
	seen := map[[16]byte]int{}
	for _, n := range []int{0, 1, sumChunk - 1, sumChunk, sumChunk + 1, 3*sumChunk + 5} {
		b := bytes.Repeat([]byte{7}, n)
		want := newSum(secret)
		want.Write(b)
		whole := want.sum()
		if before, ok := seen[whole]; ok {
			t.Errorf("%d and %d bytes have the same sum", before, n)
		}
		seen[whole] = n
		for _, piece := range []int{1000, sumChunk / 2, sumChunk, 2*sumChunk + 1} {
			s := newSum(secret)
			for rest := b; len(rest) > 0; {
				k := min(piece, len(rest))
				s.Write(rest[:k])
				rest = rest[k:]
			}
			if got := s.sum(); got != whole {
				t.Errorf("%d bytes in pieces of %d: another sum", n, piece)
			}
		}
		for _, at := range []int{0, n / 2, n - 1} {
			if n == 0 {
				break
			}
			b[at] ^= 0x80
			s := newSum(secret)
			s.Write(b)
			if s.sum() == whole {
				t.Errorf("%d bytes: the sum is the same when byte %d is another", n, at)
			}
			b[at] ^= 0x80
		}
	}
	if _, ok := seen[newSum([16]byte{2}).sum()]; ok {
		t.Error("another secret gives the same sum")
	}
}
