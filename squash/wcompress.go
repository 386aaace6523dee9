package squash

import (
	"encoding/binary"
	"fmt"
	"strconv"
	"strings"

	"coracle/squash/deflate"

	"github.com/DataDog/zstd"
)

// A Compression is a way to compress blocks. The zero value is the default.
type Compression struct {
	Compressor Compressor // 0: the default compressor, unless None
	Level      int        // 0: the compressor's default level
	None       bool       // nothing is compressed
}

// The default compressor and the levels that stand for 0; docs/compression.md
// has the figures.
const (
	defaultCompressor = Zstd
	defaultZstdLevel  = 3
	defaultGzipLevel  = 6
)

// ParseCompression reads "zstd", "gzip:9" or "none": a compressor by the name
// that mksquashfs uses and a level. The error wraps [ErrFormat].
func ParseCompression(s string) (Compression, error) {
	name, level, leveled := strings.Cut(s, ":")
	var c Compression
	switch name {
	case "none":
		c.None = true
	case "gzip":
		c.Compressor = Gzip
	case "zstd":
		c.Compressor = Zstd
	default:
		return c, unfit("compression %q (gzip, zstd, xz, lz4, none)", s)
	}
	if leveled {
		n, err := strconv.Atoi(level)
		if err != nil || n <= 0 {
			return c, unfit("compression level %q of %q", level, s)
		}
		c.Level = n
	}
	_, err := c.encoding()
	return c, err
}

// String returns the compression as ParseCompression reads it.
func (c Compression) String() string {
	if c.None {
		return "none"
	}
	if c.Compressor == 0 {
		c.Compressor = defaultCompressor
	}
	if c.Level == 0 {
		return c.Compressor.String()
	}
	return fmt.Sprintf("%v:%d", c.Compressor, c.Level)
}

// An encoder compresses blocks, one at a time.
type encoder interface {
	// encode compresses src into dst and returns the length, or 0 if the
	// result would not be shorter than src. dst has encodeBound(len(src))
	// bytes at least.
	encode(dst, src []byte) (int, error)
}

// encodeBound returns the bytes that encoders may need for n bytes on the way.
func encodeBound(n int) int { return n + n>>7 + 512 }

// An encoding is what a Compression means for an image.
type encoding struct {
	compressor Compressor
	stored     bool   // nothing is compressed
	options    []byte // what follows the superblock; nil if all is as readers assume
	new        func() (encoder, error)
}

// encoding checks a compression.
//
// Source: format.adoc, "Compression Options".
func (c Compression) encoding() (encoding, error) {
	le := binary.LittleEndian
	if c.None {
		if c.Level != 0 {
			return encoding{}, unfit("compression level %d of none", c.Level)
		}
		return encoding{compressor: Gzip, stored: true, new: func() (encoder, error) { return storedEncoder{}, nil }}, nil
	}
	if c.Compressor == 0 {
		c.Compressor = defaultCompressor
	}
	e := encoding{compressor: c.Compressor}
	most := 0
	switch c.Compressor {
	case Gzip:
		most = 9
		level := c.orDefault(defaultGzipLevel)
		if level != 9 { // what readers assume
			e.options = le.AppendUint32(nil, uint32(level))
			e.options = le.AppendUint16(e.options, 15) // window of 1<<15
			e.options = le.AppendUint16(e.options, 0)  // strategies: zlib's default one
		}
		e.new = func() (encoder, error) { return gzipEncoder{deflate.New(level)}, nil }
	case Zstd:
		most = 22
		level := c.orDefault(defaultZstdLevel)
		if level != 15 {
			e.options = le.AppendUint32(nil, uint32(level))
		}
		e.new = func() (encoder, error) { return &zstdEncoder{zstd.NewCtx(), level}, nil }
	default:
		return e, unfit("compression with %v", c.Compressor)
	}
	if c.Level < 0 || c.Level > most {
		return e, unfit("compression level %d of %v (1 to %d)", c.Level, c.Compressor, most)
	}
	return e, nil
}

func (c Compression) orDefault(level int) int {
	if c.Level != 0 {
		return c.Level
	}
	return level
}

// storedEncoder compresses nothing.
type storedEncoder struct{}

func (storedEncoder) encode(_, _ []byte) (int, error) { return 0, nil }

// gzipEncoder writes zlib streams.
type gzipEncoder struct{ *deflate.Encoder }

func (e gzipEncoder) encode(dst, src []byte) (int, error) { return e.Zlib(dst, src), nil }

// zstdEncoder writes single zstd frames with the C library's encoder, which is
// half again as fast as those in Go and has all levels. The library takes the
// window from the length of src, so that it is never larger than a block, as
// the kernel demands.
type zstdEncoder struct {
	z     zstd.Ctx
	level int
}

func (e *zstdEncoder) encode(dst, src []byte) (int, error) {
	b, err := e.z.CompressLevel(dst, src, e.level)
	if err != nil || len(b) >= len(src) {
		return 0, err
	}
	return len(b), nil
}
