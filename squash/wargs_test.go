package squash

import (
	"errors"
	"reflect"
	"strings"
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

func TestParseMksquashfsArgs(t *testing.T) {
	for _, tt := range []struct {
		in   string
		want WriterOptions
		err  error
	}{
		{in: ""},
		{in: "-comp gzip -Xcompression-level 9 -b 1M", want: WriterOptions{Compression: Compression{Compressor: Gzip, Level: 9}, BlockSize: 1 << 20}},
		{in: "-Xcompression-level 3 -comp zstd -no-progress -mem 2G", want: WriterOptions{Compression: Compression{Compressor: Zstd, Level: 3}}},
		{in: "-comp lz4 -Xhc -processors 2", want: WriterOptions{Compression: Compression{Compressor: LZ4, Level: 9}, Workers: 2}},
		{in: "-no-compression -no-exports -mkfs-time 7", want: WriterOptions{Compression: Compression{None: true}, NoExport: true, MTime: 7}},
		{in: "-no-fragments -no-duplicates -b 131072", want: WriterOptions{NoFragments: true, NoDuplicates: true, BlockSize: 128 << 10}},
		{in: "-b 100000", err: ErrFormat},
		{in: "-b 2M", err: ErrFormat},
		{in: "-comp lzo", err: ErrFormat},
		{in: "-comp gzip -Xcompression-level 15", err: ErrFormat},
		{in: "-comp", err: ErrFormat},
		{in: "-all-root", err: ErrFormat}, // not about the format
	} {
		var got WriterOptions
		err := got.ParseMksquashfsArgs(strings.Fields(tt.in))
		if !errors.Is(err, tt.err) || err == nil && !reflect.DeepEqual(got, tt.want) {
			t.Errorf("ParseMksquashfsArgs(%q) = %+v, %v; want %+v, %v", tt.in, got, err, tt.want, tt.err)
		}
	}
}

func TestWorkers(t *testing.T) {
	for _, tt := range []struct {
		in   CPUs
		want int
	}{
		{CPUs{}, 1},
		{CPUs{Affinity: 64}, 64},
		{CPUs{Affinity: 64, Max: []string{"max 100000\n", "250000 100000\n"}}, 3},
		{CPUs{Affinity: 64, Max: []string{"50000 100000\n"}}, 1},
		{CPUs{Affinity: 64, Slurm: "8"}, 8},
		{CPUs{Affinity: 4, Slurm: "8"}, 4},
		{CPUs{Affinity: 4, Max: []string{"", "1 0", "x y z"}, Slurm: "many"}, 4},
	} {
		if got := tt.in.Workers(); got != tt.want {
			t.Errorf("%+v.Workers() = %d, want %d", tt.in, got, tt.want)
		}
	}
}
