package deflate

import (
	"bytes"
	"compress/zlib"
	"io"
	"math/rand/v2"
	"os"
	"strings"
	"testing"
)

// inflate decompresses with the standard library.
func inflate(t testing.TB, b []byte) []byte {
	t.Helper()
	z, err := zlib.NewReader(bytes.NewReader(b))
	if err != nil {
		t.Fatalf("zlib head: %v", err)
	}
	out, err := io.ReadAll(z)
	if err != nil {
		t.Fatalf("inflate: %v after %d bytes", err, len(out))
	}
	return out
}

// check compresses src and compares what comes back. It returns the length.
func check(t testing.TB, e *Encoder, src []byte) int {
	t.Helper()
	dst := make([]byte, len(src)+16)
	n := e.Zlib(dst, src)
	if n >= len(src) && n > 0 {
		t.Fatalf("%d bytes from %d", n, len(src))
	}
	if n > 0 && !bytes.Equal(inflate(t, dst[:n]), src) {
		t.Fatalf("%d bytes differ after a round trip", len(src))
	}
	return n
}

func words(seed uint64, n int) []byte {
	r := rand.New(rand.NewPCG(seed, 0))
	var b []byte
	for len(b) < n {
		b = append(b, strings.Repeat(string(rune('a'+r.IntN(26))), 1+r.IntN(5))...)
		if r.IntN(4) == 0 && len(b) > 300 {
			at := r.IntN(len(b) - 280)
			b = append(b, b[at:at+3+r.IntN(270)]...)
		}
	}
	return b[:n]
}

func noise(n int) []byte {
	b := make([]byte, n)
	rand.NewChaCha8([32]byte{}).Read(b)
	return b
}

// fibonacci returns bytes whose frequencies make the longest Huffman codes.
func fibonacci() []byte {
	var b []byte
	x, y := 1, 1
	for i := range 24 {
		b = append(b, bytes.Repeat([]byte{byte(i*7 + 1)}, x)...)
		x, y = y, x+y
	}
	r := rand.New(rand.NewPCG(1, 2))
	r.Shuffle(len(b), func(i, j int) { b[i], b[j] = b[j], b[i] })
	return b
}

func TestRoundTrip(t *testing.T) {
	for _, tt := range []struct {
		name string
		src  []byte
		most int // bytes; 0: does not compress
	}{
		{name: "nothing", src: nil},
		{name: "short", src: []byte("aaaaaaaa")},
		{name: "zeros", src: make([]byte, 1<<20), most: 1100},
		{name: "noise", src: noise(128 << 10)},
		{name: "noise and words", src: append(noise(100<<10), words(1, 28<<10)...), most: 115 << 10},
		{name: "words and noise", src: append(words(1, 28<<10), noise(200<<10)...), most: 215 << 10},
		{name: "words", src: words(2, 1<<20), most: 300 << 10},
		{name: "far", src: append(append(noise(40<<10), noise(20<<10)...), noise(10)...), most: 0},
		{name: "at the window's end", src: append(noise(window), noise(window)...), most: window + 600},
		{name: "long codes", src: fibonacci(), most: 60 << 10},
	} {
		for level := MinLevel; level <= MaxLevel; level++ {
			e := New(level)
			for range 2 { // the second time with the first one's tables
				n := check(t, e, tt.src)
				if n > tt.most && tt.most > 0 || (n == 0) != (tt.most == 0) && tt.name != "far" {
					t.Errorf("level %d, %s: %d bytes to %d, want up to %d", level, tt.name, len(tt.src), n, tt.most)
				}
			}
		}
	}
}

// A destination that is too short for the result is no place for it.
func TestRoom(t *testing.T) {
	src := words(3, 10<<10)
	e := New(6)
	full := check(t, e, src)
	for n := range full + 32 {
		dst := make([]byte, n)
		if got := e.Zlib(dst, src); got != 0 && (got != full || n < full) || n >= full+8 && got == 0 {
			t.Fatalf("Zlib into %d bytes: %d, want %d", n, got, full)
		}
	}
}

func FuzzZlib(f *testing.F) {
	f.Add(byte(6), []byte("hello hello hello hello"))
	f.Add(byte(9), words(4, 500))
	f.Add(byte(1), append(noise(100), make([]byte, 300)...))
	encoders := map[byte]*Encoder{}
	f.Fuzz(func(t *testing.T, level byte, src []byte) {
		if encoders[level] == nil {
			encoders[level] = New(int(level))
		}
		check(t, encoders[level], src)
	})
}

func BenchmarkZlib(b *testing.B) {
	src, err := os.ReadFile("/proc/self/exe")
	if err != nil {
		b.Fatal(err)
	}
	src = src[:min(len(src), 2<<20)]
	const block = 128 << 10
	dst := make([]byte, block+16)
	for _, level := range []string{"1", "6", "9"} {
		b.Run("level="+level, func(b *testing.B) {
			e := New(int(level[0] - '0'))
			b.SetBytes(int64(len(src)))
			size := 0
			for b.Loop() {
				size = 0
				for at := 0; at < len(src); at += block {
					piece := src[at:min(at+block, len(src))]
					n := e.Zlib(dst, piece)
					if n == 0 {
						n = len(piece)
					}
					size += n
				}
			}
			b.ReportMetric(float64(size)/float64(len(src)), "ratio")
		})
	}
}
