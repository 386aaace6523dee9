package squash

import (
	"errors"
	"testing"
)

func TestParseCompression(t *testing.T) {
	for _, tt := range []struct {
		in   string
		want Compression
		err  error
	}{
		{in: "zstd", want: Compression{Compressor: Zstd}},
		{in: "zstd:19", want: Compression{Compressor: Zstd, Level: 19}},
		{in: "gzip:9", want: Compression{Compressor: Gzip, Level: 9}},
		{in: "xz", want: Compression{Compressor: XZ}},
		{in: "lz4:12", want: Compression{Compressor: LZ4, Level: 12}},
		{in: "none", want: Compression{None: true}},
		{in: "none:1", err: ErrFormat},
		{in: "gzip:10", err: ErrFormat},
		{in: "gzip:0", err: ErrFormat},
		{in: "zstd:-1", err: ErrFormat},
		{in: "zstd:", err: ErrFormat},
		{in: "lzo", err: ErrFormat}, // can only be read
		{in: "", err: ErrFormat},
	} {
		got, err := ParseCompression(tt.in)
		if !errors.Is(err, tt.err) || err == nil && got != tt.want {
			t.Errorf("ParseCompression(%q) = %+v, %v; want %+v, %v", tt.in, got, err, tt.want, tt.err)
		}
		if err == nil && got.String() != tt.in {
			t.Errorf("ParseCompression(%q).String() = %q", tt.in, got)
		}
	}
}
