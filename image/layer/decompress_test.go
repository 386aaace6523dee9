package layer

import (
	"archive/tar"
	"bytes"
	"errors"
	"io"
	"testing"
	"testing/iotest"

	"github.com/klauspost/compress/gzip"
	"github.com/klauspost/compress/zstd"
)

func gzipped(b []byte) []byte {
	var out bytes.Buffer
	w := gzip.NewWriter(&out)
	w.Write(b)
	w.Close()
	return out.Bytes()
}

func zstded(b []byte) []byte {
	w, _ := zstd.NewWriter(nil)
	return w.EncodeAll(b, nil)
}

func TestDecompress(t *testing.T) {
	b := archive(t, tar.Header{Typeflag: tar.TypeReg, Name: "a", Size: 100_000})
	skippable := append([]byte("\x50\x2a\x4d\x18\x04\x00\x00\x00abcd"), zstded(b)...)
	for _, tt := range []struct {
		name string
		in   []byte
		want []byte
	}{
		{"tar", b, b},
		{"gzip", gzipped(b), b},
		{"gzip, two members", append(gzipped(b[:1000]), gzipped(b[1000:])...), b},
		{"zstd", zstded(b), b},
		{"zstd, two frames", append(zstded(b[:1000]), zstded(b[1000:])...), b},
		{"zstd with a skippable frame", skippable, b},
		{"empty", nil, nil},
		{"zeros", make([]byte, 1024), make([]byte, 1024)},
	} {
		src := bytes.NewReader(tt.in)
		r, err := Decompress(src)
		if err != nil {
			t.Errorf("%s: %v", tt.name, err)
			continue
		}
		got, err := io.ReadAll(r)
		if err != nil || !bytes.Equal(got, tt.want) {
			t.Errorf("%s: %d bytes, %v; want %d", tt.name, len(got), err, len(tt.want))
		}
		if src.Len() != 0 {
			t.Errorf("%s: %d bytes of the source not read", tt.name, src.Len())
		}
		r.Close()
	}
}

func TestDecompressRefuses(t *testing.T) {
	b := archive(t, tar.Header{Typeflag: tar.TypeReg, Name: "a", Size: 100_000})
	for _, tt := range []struct {
		name string
		in   []byte
		want error
	}{
		{"text", []byte("<html>"), ErrFormat},
		{"bzip2", []byte("BZh91AY&SY"), ErrFormat},
		{"xz", []byte("\xfd7zXZ\x00\x00"), ErrFormat},
		{"gzip cut short", gzipped(b)[:100], ErrArchive},
		{"gzip header cut short", gzipped(b)[:5], ErrArchive},
		{"zstd cut short", zstded(b)[:30], ErrArchive},
		{"garbage behind gzip", append(gzipped(b), "garbage"...), ErrArchive},
	} {
		r, err := Decompress(bytes.NewReader(tt.in))
		if err == nil {
			_, err = io.Copy(io.Discard, r)
			r.Close()
		}
		if !errors.Is(err, tt.want) {
			t.Errorf("%s: %v, want %v", tt.name, err, tt.want)
		}
	}
}

// What the source complains about is not the archive's fault.
func TestDecompressSourceError(t *testing.T) {
	lost := errors.New("connection lost")
	b := gzipped(archive(t, tar.Header{Typeflag: tar.TypeReg, Name: "a", Size: 100_000}))
	r, err := Decompress(io.MultiReader(bytes.NewReader(b[:150]), iotest.ErrReader(lost)))
	if err == nil {
		_, err = io.Copy(io.Discard, r)
	}
	if !errors.Is(err, lost) || errors.Is(err, ErrArchive) {
		t.Errorf("%v, want %v alone", err, lost)
	}
}
