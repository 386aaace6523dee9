package squash

import (
	"bytes"
	"compress/zlib"
	"fmt"
	"io"
)

// A codec decompresses blocks. It may be used by many goroutines at once.
type codec interface {
	// decode decompresses all of src into dst and returns the length. dst
	// holds all that a block may decode to; more is an error. Bytes of dst
	// behind the returned length may change. The error wraps [ErrCorrupt].
	decode(dst, src []byte) (int, error)
}

// newCodec returns the codec of a compressor. The error wraps [ErrUnsupported].
func newCodec(c Compressor) (codec, error) {
	switch c {
	case Gzip:
		return gzipCodec{}, nil
	}
	return nil, fmt.Errorf("%w: %v", ErrUnsupported, c)
}

type gzipCodec struct{}

func (gzipCodec) decode(dst, src []byte) (int, error) {
	z, err := zlib.NewReader(bytes.NewReader(src))
	if err != nil {
		return 0, corrupt("gzip: %v", err)
	}
	n, err := io.ReadFull(z, dst)
	if err == io.ErrUnexpectedEOF {
		return n, nil
	}
	if err != nil {
		return 0, corrupt("gzip: %v", err)
	}
	return n, nil
}
