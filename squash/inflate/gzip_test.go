package inflate

import (
	"bytes"
	"compress/gzip"
	"errors"
	"io"
	"math/rand/v2"
	"testing"
	"testing/iotest"
)

func gzipOf(t testing.TB, b []byte, level int) []byte {
	t.Helper()
	var out bytes.Buffer
	w, err := gzip.NewWriterLevel(&out, level)
	if err != nil {
		t.Fatal(err)
	}
	w.Name, w.Comment, w.Extra = "name", "comment", []byte("extra")
	w.Write(b)
	w.Close()
	return out.Bytes()
}

// samples are contents that exercise all kinds of blocks.
func samples() map[string][]byte {
	r := rand.New(rand.NewPCG(1, 2))
	noise := make([]byte, 700_000)
	for i := range noise {
		noise[i] = byte(r.Uint32())
	}
	text := make([]byte, 1_000_000)
	for i := range text {
		text[i] = "abcdefgh \n"[r.IntN(10)]
	}
	far := append(bytes.Clone(noise[:window]), noise[:window]...)
	return map[string][]byte{
		"empty": nil, "one": {7}, "zeros": make([]byte, 3_000_000), "noise": noise, "text": text,
		"far": append(far, far...), "mixed": append(bytes.Clone(text[:300_000]), noise[:200_000]...),
	}
}

func gunzip(r io.Reader) ([]byte, error) {
	z, err := NewGzipReader(r)
	if err != nil {
		return nil, err
	}
	return io.ReadAll(z)
}

func TestGzipReader(t *testing.T) {
	for name, want := range samples() {
		for _, level := range []int{0, 1, 6, 9, gzip.HuffmanOnly} {
			b := gzipOf(t, want, level)
			for kind, r := range map[string]io.Reader{
				"whole": bytes.NewReader(b), "halves": iotest.HalfReader(bytes.NewReader(b)), "data with error": iotest.DataErrReader(bytes.NewReader(b)),
			} {
				if got, err := gunzip(r); err != nil || !bytes.Equal(got, want) {
					t.Errorf("%s, level %d, %s: %d bytes, %v; want %d", name, level, kind, len(got), err, len(want))
				}
			}
		}
	}
	text := samples()["text"][:5000]
	got, err := gunzip(iotest.OneByteReader(bytes.NewReader(append(gzipOf(t, text, 6), gzipOf(t, text, 1)...))))
	if err != nil || !bytes.Equal(got, append(bytes.Clone(text), text...)) {
		t.Errorf("two members: %d bytes, %v", len(got), err)
	}
}

// Nothing but codes too long for the first table, up to the last byte of input and of
// room: the loop without checks has to come back in time.
func TestLongCodes(t *testing.T) {
	r := rand.New(rand.NewPCG(3, 4))
	b := make([]byte, 60_000)
	for i := range b {
		b[i] = byte(i % 256)
		if i%2 == 0 { // half of it frequent, so that the rest has long codes
			b[i] = byte(r.IntN(3))
		}
	}
	z := gzipOf(t, b, gzip.HuffmanOnly)
	raw := z[bytes.Index(z, []byte("comment\x00"))+8:]
	for cut := range 64 {
		dst := make([]byte, len(b)-cut)
		var d Decoder
		if _, _, err := d.Raw(dst, raw[:len(raw)-8]); cut > 0 && err != ErrSpace || cut == 0 && err != nil {
			t.Fatalf("room for %d of %d bytes: %v", len(dst), len(b), err)
		}
		if _, _, err := d.Raw(make([]byte, len(b)), bytes.Clone(raw[:len(raw)-10-cut])); err != ErrCorrupt {
			t.Fatalf("without the last %d bytes: %v, want ErrCorrupt", cut+2, err)
		}
	}
}

func TestGzipReaderDamaged(t *testing.T) {
	b := gzipOf(t, samples()["mixed"][290_000:310_000], 6)
	for n := range len(b) {
		if n > 200 && n < len(b)-50 && n%97 != 0 {
			continue
		}
		if _, err := gunzip(bytes.NewReader(b[:n])); !errors.Is(err, ErrCorrupt) {
			t.Fatalf("first %d of %d bytes: %v, want ErrCorrupt", n, len(b), err)
		}
	}
	for i := 1; i <= 8; i++ {
		bad := bytes.Clone(b)
		bad[len(bad)-i] ^= 1
		if _, err := gunzip(bytes.NewReader(bad)); !errors.Is(err, ErrSum) {
			t.Errorf("trailer damaged: %v, want ErrSum", err)
		}
	}
	if _, err := gunzip(bytes.NewReader(append(bytes.Clone(b), "garbage that follows"...))); !errors.Is(err, ErrCorrupt) {
		t.Errorf("garbage behind: %v, want ErrCorrupt", err)
	}
	lost := errors.New("lost")
	if _, err := gunzip(io.MultiReader(bytes.NewReader(b[:100]), iotest.ErrReader(lost))); !errors.Is(err, lost) {
		t.Errorf("the source fails: %v, want its error", err)
	}
}

func FuzzGzipReader(f *testing.F) {
	f.Add(gzipOf(f, samples()["mixed"][299_000:301_000], 6))
	f.Add(gzipOf(f, []byte("abc"), 0))
	f.Fuzz(func(t *testing.T, b []byte) {
		want, werr := []byte(nil), error(nil)
		if z, err := gzip.NewReader(bytes.NewReader(b)); err != nil {
			werr = err
		} else {
			want, werr = io.ReadAll(io.LimitReader(z, 1<<22))
		}
		z, err := NewGzipReader(iotest.HalfReader(bytes.NewReader(b)))
		if err != nil {
			if werr == nil {
				t.Fatalf("%v, but the standard library reads it", err)
			}
			return
		}
		got, err := io.ReadAll(io.LimitReader(z, 1<<22))
		if werr == nil && (err != nil || !bytes.Equal(got, want)) {
			t.Fatalf("%d bytes, %v; the standard library reads %d", len(got), err, len(want))
		}
		if werr != nil && err == nil && len(got) < 1<<22 {
			t.Fatalf("reads %d bytes; the standard library: %v", len(got), werr)
		}
	})
}

func BenchmarkGzipReader(b *testing.B) {
	data := samples()["text"]
	z := gzipOf(b, data, 6)
	b.SetBytes(int64(len(data)))
	for b.Loop() {
		if _, err := gunzip(bytes.NewReader(z)); err != nil {
			b.Fatal(err)
		}
	}
}
