package xz

import (
	"bytes"
	"fmt"
	"io"
	"testing"

	"github.com/ulikunitz/xz"
)

// roundTrip compresses src and compares what a library and the Decoder make of
// it. It returns the length.
func roundTrip(t testing.TB, e *Encoder, src []byte) int {
	t.Helper()
	dst := make([]byte, len(src)+100)
	n := e.XZ(dst, src)
	if n >= len(src) && n > 0 {
		t.Fatalf("%d bytes from %d", n, len(src))
	}
	if n == 0 {
		return 0
	}
	r, err := xz.NewReader(bytes.NewReader(dst[:n]))
	if err != nil {
		t.Fatal(err)
	}
	if got, err := io.ReadAll(r); err != nil || !bytes.Equal(got, src) {
		t.Fatalf("%d bytes differ after a round trip: %d, %v", len(src), len(got), err)
	}
	var d Decoder
	got := make([]byte, len(src))
	if k, err := d.XZ(got, dst[:n]); err != nil || !bytes.Equal(got[:k], src) {
		t.Fatalf("Decoder: %d bytes of %d, %v", k, len(src), err)
	}
	return n
}

func TestEncoder(t *testing.T) {
	want := map[string]int{"zeros": 140, "code": 39000, "text": 60000}
	for name, src := range inputs() {
		for _, level := range []int{MinLevel, 6, MaxLevel} {
			t.Run(fmt.Sprint(name, level), func(t *testing.T) {
				e := NewEncoder(level, 1<<20)
				first := roundTrip(t, e, src)
				if (first == 0) != (want[name] == 0) || first > want[name] {
					t.Errorf("%d bytes to %d, want up to %d", len(src), first, want[name])
				}
				if again := roundTrip(t, e, src); again != first {
					t.Errorf("%d bytes, %d with used tables", first, again)
				}
			})
		}
	}
}

// Streams of several LZMA2 chunks, some of which hold nothing but noise.
func TestEncoderChunks(t *testing.T) {
	in := inputs()
	var src []byte
	for len(src) < 900<<10 {
		src = append(src, in["noise"]...)
		src = append(src, in["text"][:len(src)%100000]...)
		src = append(src, in["zeros"]...)
	}
	if n := roundTrip(t, NewEncoder(6, 1<<20), src[:900<<10]); n == 0 || n > 600<<10 {
		t.Errorf("%d bytes to %d", 900<<10, n)
	}
}

func TestEncoderRoom(t *testing.T) {
	src := inputs()["text"][:3000]
	e := NewEncoder(6, 4<<10)
	full := roundTrip(t, e, src)
	for n := range full + 1 {
		if got := e.XZ(make([]byte, n), src); got != 0 && n < full || n == full && got != full {
			t.Fatalf("XZ into %d bytes: %d, want %d", n, got, full)
		}
	}
}

func FuzzEncoder(f *testing.F) {
	f.Add(byte(6), []byte("hello hello hello hello hello hello hello hello hello hello hello"))
	f.Add(byte(9), inputs()["text"][:700])
	encoders := map[byte]*Encoder{}
	f.Fuzz(func(t *testing.T, level byte, src []byte) {
		level %= MaxLevel + 1
		if encoders[level] == nil {
			encoders[level] = NewEncoder(int(level), 64<<10)
		}
		roundTrip(t, encoders[level], src)
	})
}
