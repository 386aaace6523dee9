package squash

import (
	"sync"

	"coracle/squash/inflate"
)

// gzipCodec decodes zlib streams.
type gzipCodec struct{ pool sync.Pool }

func newGzip() *gzipCodec {
	return &gzipCodec{sync.Pool{New: func() any { return new(inflate.Decoder) }}}
}

func (c *gzipCodec) decode(dst, src []byte) (int, error) {
	d := c.pool.Get().(*inflate.Decoder)
	defer c.pool.Put(d)
	n, err := d.Zlib(dst, src)
	if err != nil {
		return 0, corrupt("gzip: %v", err)
	}
	return n, nil
}
