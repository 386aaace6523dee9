package squash

import (
	"errors"
	"fmt"

	"coracle/squash/xz"
)

// xzCodec decodes xz streams, or LZMA alone.
type xzCodec struct {
	name     string
	fn       func(d *xz.Decoder, dst, src []byte) (int, error)
	decoders stock[*xz.Decoder]
}

func newXZ() *xzCodec   { return &xzCodec{name: "xz", fn: (*xz.Decoder).XZ} }
func newLZMA() *xzCodec { return &xzCodec{name: "lzma", fn: (*xz.Decoder).LZMA} }

func (c *xzCodec) decode(dst, src []byte) (int, error) {
	d, ok := c.decoders.take()
	if !ok {
		d = new(xz.Decoder)
	}
	defer c.decoders.give(d)
	n, err := c.fn(d, dst, src)
	if errors.Is(err, xz.ErrUnsupported) {
		return 0, fmt.Errorf("%w: %s: %v", ErrUnsupported, c.name, err)
	}
	if err != nil {
		return 0, corrupt("%s: %v", c.name, err)
	}
	return n, nil
}
