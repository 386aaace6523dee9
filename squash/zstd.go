package squash

import (
	"runtime"
	"sync"

	"github.com/klauspost/compress/zstd"
)

// zstdCodec decodes zstd frames. The decoder is made at first use.
type zstdCodec struct {
	once sync.Once
	dec  *zstd.Decoder
	err  error
}

func (c *zstdCodec) open() {
	c.dec, c.err = zstd.NewReader(nil,
		zstd.WithDecoderConcurrency(runtime.GOMAXPROCS(0)),
		zstd.WithDecoderLowmem(true),
		zstd.WithDecodeAllCapLimit(true), // output stays in dst
	)
}

func (c *zstdCodec) decode(dst, src []byte) (int, error) {
	if c.once.Do(c.open); c.err != nil {
		return 0, c.err
	}
	out, err := c.dec.DecodeAll(src, dst[:0:len(dst)])
	if err != nil {
		return 0, corrupt("zstd: %v", err)
	}
	if len(out) > 0 && &out[0] != &dst[0] {
		return 0, corrupt("zstd: more than %d bytes", len(dst))
	}
	return len(out), nil
}
