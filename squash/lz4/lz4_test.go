package lz4

import (
	"bytes"
	"math/rand/v2"
	"testing"

	"github.com/pierrec/lz4/v4"
)

// check compresses src and compares what comes back. It returns the length.
func check(t testing.TB, e *Encoder, src []byte) int {
	t.Helper()
	dst := bytes.Repeat([]byte{0xee}, len(src)+16)
	n := e.Block(dst, src)
	if n >= len(src) && n > 0 {
		t.Fatalf("%d bytes from %d", n, len(src))
	}
	if n > 0 {
		got := make([]byte, len(src))
		if m, err := lz4.UncompressBlock(dst[:n], got); err != nil || !bytes.Equal(got[:m], src) {
			t.Fatalf("%d bytes differ after a round trip: %d, %v", len(src), m, err)
		}
	}
	return n
}

func noise(n int) []byte {
	b := make([]byte, n)
	rand.NewChaCha8([32]byte{}).Read(b)
	return b
}

// echoes returns bytes that repeat at all lengths and distances.
func echoes(n int) []byte {
	r := rand.New(rand.NewPCG(1, 2))
	b := noise(20)
	for len(b) < n {
		if r.IntN(3) == 0 {
			b = append(b, noise(r.IntN(30))...)
		}
		at, k := r.IntN(len(b)), 1<<r.IntN(10)
		for i := range r.IntN(k) + 1 {
			b = append(b, b[at+i])
		}
	}
	return b[:n]
}

func TestRoundTrip(t *testing.T) {
	for _, tt := range []struct {
		name string
		src  []byte
		most int // bytes; 0: does not compress
	}{
		{name: "nothing"},
		{name: "too short for a match", src: []byte("aaaaaaaaaaaa")},
		{name: "shortest", src: make([]byte, 14), most: 10},
		{name: "zeros", src: make([]byte, 1<<20), most: 4200},
		{name: "noise", src: noise(128 << 10)},
		{name: "echoes", src: echoes(200 << 10), most: 120 << 10},
		{name: "behind the window's end", src: append(noise(window), noise(window)...)},
	} {
		var first int
		for _, level := range []int{MinLevel, 2, 6, MaxLevel} {
			e := New(level)
			for range 2 { // the second time with the first one's tables
				n := check(t, e, tt.src)
				if n > tt.most || (n == 0) != (tt.most == 0) {
					t.Errorf("level %d, %s: %d bytes to %d, want up to %d", level, tt.name, len(tt.src), n, tt.most)
				}
				if level == MinLevel {
					first = n
				}
				if n > first {
					t.Errorf("level %d, %s: %d bytes, more than %d of level 1", level, tt.name, n, first)
				}
			}
		}
	}
}

// A match reaches as far back as the format allows.
func TestWindow(t *testing.T) {
	src := append(noise(window-1), noise(window-1)...)
	if n := check(t, New(MaxLevel), src); n == 0 || n > window+600 {
		t.Errorf("%d bytes twice: %d", window-1, n)
	}
}

// A destination that is too short for the result is no place for it.
func TestRoom(t *testing.T) {
	src := echoes(3000)
	for _, level := range []int{MinLevel, MaxLevel} {
		e := New(level)
		full := check(t, e, src)
		for n := range full + 1 {
			if got := e.Block(make([]byte, n), src); got != 0 && n < full || n == full && got != full {
				t.Fatalf("Block into %d bytes: %d, want %d", n, got, full)
			}
		}
	}
}

func FuzzBlock(f *testing.F) {
	f.Add(byte(1), []byte("hello hello hello hello"))
	f.Add(byte(12), echoes(500))
	f.Add(byte(2), append(noise(100), make([]byte, 300)...))
	encoders := map[byte]*Encoder{}
	f.Fuzz(func(t *testing.T, level byte, src []byte) {
		if encoders[level] == nil {
			encoders[level] = New(int(level))
		}
		check(t, encoders[level], src)
	})
}
