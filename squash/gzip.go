package squash

import "coracle/squash/inflate"

// gzipCodec decodes zlib streams.
type gzipCodec struct{ decoders stock[*inflate.Decoder] }

func (c *gzipCodec) decode(dst, src []byte) (int, error) {
	d, ok := c.decoders.take()
	if !ok {
		d = new(inflate.Decoder)
	}
	defer c.decoders.give(d)
	n, err := d.Zlib(dst, src)
	if err != nil {
		return 0, corrupt("gzip: %v", err)
	}
	return n, nil
}
