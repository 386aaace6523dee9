package squash

import "fmt"

// A codec decompresses blocks. It may be used by many goroutines at once.
type codec interface {
	// decode decompresses all of src into dst and returns the length; what
	// does not fit is an error. Bytes of dst behind the returned length may
	// change. Up to Slack bytes more than can be needed make it faster. The
	// error wraps [ErrCorrupt], or [ErrUnsupported] for xz filters.
	decode(dst, src []byte) (int, error)
}

// newCodec returns the codec of a compressor. The error wraps [ErrUnsupported].
func newCodec(c Compressor) (codec, error) {
	switch c {
	case Gzip:
		return new(gzipCodec), nil
	case LZMA:
		return newLZMA(), nil
	case LZO:
		return lzoCodec{}, nil
	case XZ:
		return newXZ(), nil
	case LZ4:
		return lz4Codec{}, nil
	case Zstd:
		return new(zstdCodec), nil
	}
	return nil, fmt.Errorf("%w: %v", ErrUnsupported, c)
}
