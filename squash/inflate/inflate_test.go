package inflate

import (
	"bytes"
	"compress/flate"
	"compress/zlib"
	"errors"
	stdadler "hash/adler32"
	"io"
	"math/rand/v2"
	"testing"
)

// corpus returns inputs of different character.
func corpus() map[string][]byte {
	rng := rand.New(rand.NewPCG(1, 2))
	random := make([]byte, 70000)
	skewed := make([]byte, 200000)
	words := make([]byte, 0, 300000)
	for i := range random {
		random[i] = byte(rng.Uint32())
	}
	for i := range skewed { // many code lengths, up to second-level tables
		v := 0
		for v < 255 && rng.Uint32()&3 != 0 {
			v++
		}
		skewed[i] = byte(v * 37)
	}
	for len(words) < 250000 {
		n := 3 + rng.IntN(300)
		if len(words) > 1000 && rng.IntN(3) > 0 {
			at := rng.IntN(len(words) - n)
			if rng.IntN(3) == 0 {
				at = len(words) - 1 - rng.IntN(20)
			}
			for i := range n {
				words = append(words, words[at+i])
			}
			continue
		}
		for range n {
			words = append(words, byte('a'+rng.IntN(26)))
		}
	}
	return map[string][]byte{
		"empty": {}, "one": {7}, "zeros": make([]byte, 100000), "random": random,
		"skewed": skewed, "words": words, "short": []byte("hello, hello, hello\n"),
	}
}

func compress(t testing.TB, p []byte, level int) []byte {
	t.Helper()
	var b bytes.Buffer
	w, err := zlib.NewWriterLevel(&b, level)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := w.Write(p); err != nil {
		t.Fatal(err)
	}
	if err := w.Close(); err != nil {
		t.Fatal(err)
	}
	return b.Bytes()
}

var levels = []int{flate.HuffmanOnly, 0, 1, 6, 9}

// alwaysPairs has entries of several symbols made for any input.
func alwaysPairs(t testing.TB) {
	was := worthPairs
	worthPairs = 0
	t.Cleanup(func() { worthPairs = was })
}

func TestZlib(t *testing.T) {
	t.Run("large inputs", testZlib)
	alwaysPairs(t)
	t.Run("any input", testZlib)
}

// What processors without BMI2 and AVX2 run, both loops and the checksum.
func TestPlainProcessor(t *testing.T) {
	assumeCPU(1)
	defer assumeCPU(0)
	t.Run("large inputs", testZlib)
	t.Run("checksum", TestAdler32)
	alwaysPairs(t)
	t.Run("any input", testZlib)
}

func testZlib(t *testing.T) {
	var d Decoder
	for name, want := range corpus() {
		for _, level := range levels {
			z := compress(t, want, level)
			dst := make([]byte, len(want))
			n, err := d.Zlib(dst, z)
			if err != nil || !bytes.Equal(dst[:n], want) {
				t.Errorf("Zlib(%s at level %d) = %d, %v; want %d bytes", name, level, n, err, len(want))
			}
			if len(want) > 0 {
				if _, err := d.Zlib(dst[:len(want)-1], z); !errors.Is(err, ErrSpace) {
					t.Errorf("Zlib(%s at level %d) one byte short: %v; want %v", name, level, err, ErrSpace)
				}
			}
		}
	}
}

// Every truncation of a stream is an error.
func TestZlibTruncated(t *testing.T) {
	alwaysPairs(t)
	var d Decoder
	want := corpus()["words"][:3000]
	for _, level := range levels {
		z := compress(t, want, level)
		dst := make([]byte, 2*len(want)) // room for the loop without checks
		for i := range z {
			if n, err := d.Zlib(dst, z[:i]); err == nil {
				t.Fatalf("Zlib(%d of %d bytes at level %d) = %d, no error", i, len(z), level, n)
			}
		}
	}
}

func TestZlibChecksum(t *testing.T) {
	var d Decoder
	z := compress(t, []byte("contents"), 6)
	z[len(z)-1] ^= 1
	if _, err := d.Zlib(make([]byte, 100), z); !errors.Is(err, ErrSum) {
		t.Errorf("Zlib with a wrong checksum: %v, want %v", err, ErrSum)
	}
}

func TestAdler32(t *testing.T) {
	p := bytes.Repeat([]byte{255}, 5000)
	for n := range p {
		if got, want := adler32(p[:n]), stdadler.Checksum(p[:n]); got != want {
			t.Fatalf("adler32(%d bytes) = %#x, want %#x", n, got, want)
		}
	}
	p = bytes.Repeat(p, 4) // more than can be summed up at a time
	if got, want := adler32(p), stdadler.Checksum(p); got != want {
		t.Errorf("adler32(%d bytes) = %#x, want %#x", len(p), got, want)
	}
	p = corpus()["random"]
	if got, want := adler32(p), stdadler.Checksum(p); got != want {
		t.Errorf("adler32(random) = %#x, want %#x", got, want)
	}
}

// FuzzRaw holds the decoder against the standard library's: what one accepts,
// the other does, with the same output.
func FuzzRaw(f *testing.F) {
	alwaysPairs(f)
	for _, p := range corpus() {
		for _, level := range levels {
			z := compress(f, p[:min(len(p), 2000)], level)
			f.Add(z[2 : len(z)-4])
		}
	}
	f.Fuzz(func(t *testing.T, src []byte) {
		const limit = 1 << 16
		var d Decoder
		dst := make([]byte, limit)
		n, used, err := d.Raw(dst, src)
		in := bytes.NewReader(src)
		want, werr := io.ReadAll(io.LimitReader(flate.NewReader(in), limit+1))
		if len(want) > limit {
			if err == nil {
				t.Fatalf("Raw = %d bytes, want more than %d", n, limit)
			}
			return
		}
		if (err == nil) != (werr == nil) {
			t.Fatalf("Raw = %d, %v; want %d, %v", n, err, len(want), werr)
		}
		if err == nil && (!bytes.Equal(dst[:n], want) || used != len(src)-in.Len()) {
			t.Fatalf("Raw = %d bytes of %d; want %d of %d, or contents differ", n, used, len(want), len(src)-in.Len())
		}
	})
}
