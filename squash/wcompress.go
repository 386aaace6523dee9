package squash

import (
	"bytes"
	"encoding/binary"
	"fmt"
	"strconv"
	"strings"

	"github.com/klauspost/compress/zlib"
	"github.com/klauspost/compress/zstd"
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
	_, err := c.encoding(DefaultBlockSize)
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
	// result would not be shorter than src. dst is as long as src at least.
	encode(dst, src []byte) (int, error)
}

// An encoding is what a Compression means for an image.
type encoding struct {
	compressor Compressor
	stored     bool   // nothing is compressed
	options    []byte // what follows the superblock; nil if all is as readers assume
	new        func() (encoder, error)
}

// encoding checks a compression for an image with blocks of size bytes.
//
// Source: format.adoc, "Compression Options".
func (c Compression) encoding(size int) (encoding, error) {
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
		e.new = func() (encoder, error) { return newGzipEncoder(level) }
	case Zstd:
		most = 22
		level := c.orDefault(defaultZstdLevel)
		if level != 15 {
			e.options = le.AppendUint32(nil, uint32(level))
		}
		e.new = func() (encoder, error) { return newZstdEncoder(level, size) }
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
type gzipEncoder struct {
	z   *zlib.Writer
	buf bytes.Buffer
}

func newGzipEncoder(level int) (*gzipEncoder, error) {
	e := &gzipEncoder{}
	var err error
	e.z, err = zlib.NewWriterLevel(&e.buf, level)
	return e, err
}

func (e *gzipEncoder) encode(dst, src []byte) (int, error) {
	e.buf.Reset()
	e.z.Reset(&e.buf)
	if _, err := e.z.Write(src); err != nil {
		return 0, err
	}
	if err := e.z.Close(); err != nil {
		return 0, err
	}
	if e.buf.Len() >= len(src) {
		return 0, nil
	}
	return copy(dst, e.buf.Bytes()), nil
}

// zstdEncoder writes single zstd frames with a window of at most a block, as
// the kernel demands.
type zstdEncoder struct{ z *zstd.Encoder }

func newZstdEncoder(level, blockSize int) (*zstdEncoder, error) {
	z, err := zstd.NewWriter(nil,
		zstd.WithEncoderConcurrency(1),
		zstd.WithEncoderCRC(false),
		zstd.WithEncoderLevel(zstd.EncoderLevelFromZstd(level)),
		zstd.WithWindowSize(max(blockSize, MetaSize)),
		zstd.WithLowerEncoderMem(true),
	)
	return &zstdEncoder{z}, err
}

func (e *zstdEncoder) encode(dst, src []byte) (int, error) {
	b := e.z.EncodeAll(src, dst[:0])
	if len(b) >= len(src) {
		return 0, nil
	}
	return copy(dst, b), nil // a longer one would have been moved elsewhere
}
