package squash

import (
	"bytes"
	"testing"

	"github.com/pierrec/lz4/v4"
)

// FuzzLZ4 holds the decoder against a library: it decodes what that one
// encodes, and what both decode is the same.
func FuzzLZ4(f *testing.F) {
	f.Add([]byte("\x11ab\x02\x00"))
	f.Add(pattern(3000))
	f.Add(bytes.Repeat([]byte("abc"), 500))
	f.Fuzz(func(t *testing.T, p []byte) {
		z := make([]byte, lz4.CompressBlockBound(len(p)))
		n, err := lz4.CompressBlock(p, z, nil)
		check(t, err)
		if n > 0 {
			got := make([]byte, len(p))
			if n, ok := lz4Block(got, z[:n]); !ok || n != len(p) || !bytes.Equal(got, p) {
				t.Fatalf("lz4Block of %d encoded bytes = %d, %v", len(p), n, ok)
			}
			if len(p) > 0 {
				if _, ok := lz4Block(got[1:], z[:n]); ok {
					t.Fatal("lz4Block one byte short: no error")
				}
			}
		}
		got, want := make([]byte, 5000), make([]byte, 5000)
		n, ok := lz4Block(got, p)
		m, err := lz4.UncompressBlock(p, want)
		if ok && err == nil && (n != m || !bytes.Equal(got[:n], want[:n])) {
			t.Fatalf("lz4Block(%x) = %x; want %x", p, got[:n], want[:m])
		}
	})
}

// An lzoWriter writes LZO1X instructions and the bytes that they stand for.
type lzoWriter struct {
	code, plain []byte
	last        int // position of the byte in code that says how many literals follow a match
}

// literals writes n literals: with the last match if there are few, or as a
// run, which cannot follow another one.
func (w *lzoWriter) literals(n int) {
	lits := pattern(n)
	switch {
	case n == 0:
		return
	case n < 4 && w.last > 0:
		w.code[w.last] |= byte(n)
	case n < 4 || n <= 238 && len(w.code) == 0:
		w.code = append(w.code, byte(n+17))
	case n <= 18:
		w.code = append(w.code, byte(n-3))
	default:
		w.code = append(w.code, 0)
		w.rest(n - 18)
	}
	w.code = append(w.code, lits...)
	w.plain = append(w.plain, lits...)
}

// rest writes what a length exceeds its field by.
func (w *lzoWriter) rest(n int) {
	for ; n > 255; n -= 255 {
		w.code = append(w.code, 0)
	}
	w.code = append(w.code, byte(n))
}

// match writes a match in the shortest form for it, or with long in the one
// with 16 bits of distance.
func (w *lzoWriter) match(length, distance int, long bool) {
	switch d := distance - 1; {
	case !long && length <= 8 && length >= 3 && distance <= 2048:
		if length <= 4 {
			w.code = append(w.code, byte(0x40|(length-3)<<5|d&7<<2), byte(d>>3))
		} else {
			w.code = append(w.code, byte(0x80|(length-5)<<5|d&7<<2), byte(d>>3))
		}
		w.last = len(w.code) - 2
	case distance <= 16384:
		w.long(0x20, length-2, 31)
		w.code = append(w.code, byte(d<<2), byte(d>>6))
		w.last = len(w.code) - 2
	default:
		d := distance - 16384
		w.long(0x10|d>>14<<3, length-2, 7)
		w.code = append(w.code, byte(d<<2), byte(d>>6))
		w.last = len(w.code) - 2
	}
	for range length {
		w.plain = append(w.plain, w.plain[len(w.plain)-distance])
	}
}

// long writes an instruction whose length field has limit as its highest value.
func (w *lzoWriter) long(op, n, limit int) {
	if n <= limit {
		w.code = append(w.code, byte(op|n))
		return
	}
	w.code = append(w.code, byte(op))
	w.rest(n - limit)
}

// FuzzLZO decodes streams that are built from the fuzzer's bytes, 4 for a run
// of literals and a match, and the bytes themselves.
func FuzzLZO(f *testing.F) {
	f.Add([]byte{5, 0, 3, 0, 200, 40, 9, 1, 2, 0, 255, 7, 0, 0, 0, 0})
	f.Add(pattern(4000))
	f.Add([]byte{0x15, 'a', 'b', 'c', 'd', 0x4c, 0, 0x11, 0, 0})
	f.Fuzz(func(t *testing.T, p []byte) {
		_, _ = lzoCodec{}.decode(make([]byte, 5000), p) // no panic
		var w lzoWriter
		w.literals(4 + len(p)%40)
		for ; len(p) >= 4 && len(w.plain) < 1<<20; p = p[4:] {
			distance := min(1+int(p[0])<<8+int(p[1]), len(w.plain), 49151)
			length := 3 + int(p[2])
			if p[2] > 200 {
				length *= 7
			}
			if distance == 16384 && p[3]&1 == 0 {
				distance--
			}
			w.match(length, distance, p[3]&1 != 0)
			w.literals(int(p[3]) >> 1 * int(p[3]&2+1))
		}
		w.code = append(w.code, 0x11, 0, 0)
		got := make([]byte, len(w.plain))
		n, err := lzoCodec{}.decode(got, w.code)
		if err != nil || !bytes.Equal(got[:n], w.plain) {
			t.Fatalf("decode of %d bytes = %d, %v", len(w.plain), n, err)
		}
		if _, err := (lzoCodec{}).decode(got[1:], w.code); err == nil {
			t.Fatal("decode one byte short: no error")
		}
	})
}
