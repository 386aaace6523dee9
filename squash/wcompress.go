package squash

import (
	"encoding/binary"
	"fmt"
	"strconv"
	"strings"

	"coracle/squash/deflate"
	"coracle/squash/lz4"
	"coracle/squash/xz"

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
	defaultZstd       = 3
	defaultGzip       = 6
	defaultXZ         = 6
	defaultLZ4        = 1
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
	case "xz":
		c.Compressor = XZ
	case "lz4":
		c.Compressor = LZ4
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
	new        func(blockSize int) encoder
}

// A method is what a compressor offers.
type method struct {
	levels, level int // the highest, and the default one
	options       func(level int) []byte
	encoder       func(level, blockSize int) encoder
}

// method returns what the compressor offers, or nil: it can only be read.
//
// Source: format.adoc, "Compression Options"; Linux fs/squashfs/*_wrapper.c.
func (c Compressor) method() *method {
	le := binary.LittleEndian
	switch c {
	case Gzip:
		return &method{deflate.MaxLevel, defaultGzip, func(level int) []byte {
			if level == 9 {
				return nil
			}
			b := le.AppendUint32(nil, uint32(level))
			return append(b, 15, 0, 0, 0) // a window of 1<<15, zlib's default strategy
		}, func(level, _ int) encoder { return gzipEncoder{deflate.New(level)} }}
	case Zstd:
		return &method{22, defaultZstd, func(level int) []byte {
			if level == 15 {
				return nil
			}
			return le.AppendUint32(nil, uint32(level))
		}, func(level, _ int) encoder { return &zstdEncoder{zstd.NewCtx(), level} }}
	case XZ: // a dictionary of a block, no filters
		return &method{xz.MaxLevel, defaultXZ, func(int) []byte { return nil },
			func(level, size int) encoder { return xzEncoder{xz.NewEncoder(level, max(size, MetaSize))} }}
	case LZ4: // Linux insists on the options
		return &method{lz4.MaxLevel, defaultLZ4, func(level int) []byte {
			hc := byte(0)
			if level > lz4.MinLevel {
				hc = 1
			}
			return []byte{1, 0, 0, 0, hc, 0, 0, 0} // version, "high compression"
		}, func(level, _ int) encoder { return lz4Encoder{lz4.New(level)} }}
	}
	return nil
}

// encoding checks a compression.
func (c Compression) encoding() (encoding, error) {
	if c.None {
		if c.Level != 0 {
			return encoding{}, unfit("compression level %d of none", c.Level)
		}
		return encoding{compressor: Gzip, stored: true, new: func(int) encoder { return storedEncoder{} }}, nil
	}
	if c.Compressor == 0 {
		c.Compressor = defaultCompressor
	}
	m := c.Compressor.method()
	if m == nil {
		return encoding{}, unfit("compression with %v", c.Compressor)
	}
	level := c.Level
	if level == 0 {
		level = m.level
	}
	if level < 1 || level > m.levels {
		return encoding{}, unfit("compression level %d of %v (1 to %d)", level, c.Compressor, m.levels)
	}
	return encoding{
		compressor: c.Compressor,
		options:    m.options(level),
		new:        func(blockSize int) encoder { return m.encoder(level, blockSize) },
	}, nil
}

// storedEncoder compresses nothing.
type storedEncoder struct{}

func (storedEncoder) encode(_, _ []byte) (int, error) { return 0, nil }

// gzipEncoder writes zlib streams.
type gzipEncoder struct{ *deflate.Encoder }

func (e gzipEncoder) encode(dst, src []byte) (int, error) { return e.Zlib(dst, src), nil }

// xzEncoder writes xz streams.
type xzEncoder struct{ *xz.Encoder }

func (e xzEncoder) encode(dst, src []byte) (int, error) { return e.XZ(dst, src), nil }

// lz4Encoder writes raw blocks.
type lz4Encoder struct{ *lz4.Encoder }

func (e lz4Encoder) encode(dst, src []byte) (int, error) { return e.Block(dst, src), nil }

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
