package build

import (
	"context"
	"crypto/aes"
	"crypto/cipher"
	"crypto/subtle"
	"errors"
	"io"
)

// sumChunk is how many bytes are summed up at a time: what was just read is still near the processor.
const sumChunk = 128 << 10

// A sum authenticates bytes under a secret: whoever changes them without knowing it gets
// another sum. It is GMAC with AES-128, chained over chunks, which is several times as fast
// as SHA-256 where that is not in hardware: each chunk is authenticated together with the tag
// of the one before, which is encrypted, as GCM wants it, for no other reason than to be part of that.
//
// Source: NIST SP 800-38D. The nonce is always the same, for nothing is secret but the key, and
// whoever sees a sum sees that, too.
type sum struct {
	aead cipher.AEAD
	tag  [16]byte // of what has been written but for rest
	rest []byte   // less than a chunk
	out  [32]byte
}

func newSum(secret [16]byte) *sum {
	block, err := aes.NewCipher(secret[:])
	if err != nil {
		panic(err) // a key of another length
	}
	aead, err := cipher.NewGCM(block)
	if err != nil {
		panic(err) // a cipher of another block length
	}
	return &sum{aead: aead}
}

func (s *sum) Write(p []byte) (int, error) {
	n := len(p)
	for len(p) > 0 {
		if len(s.rest) == 0 && len(p) >= sumChunk {
			s.fold(p[:sumChunk])
			p = p[sumChunk:]
			continue
		}
		if s.rest == nil {
			s.rest = make([]byte, 0, sumChunk)
		}
		some := min(len(p), sumChunk-len(s.rest))
		s.rest = append(s.rest, p[:some]...)
		p = p[some:]
		if len(s.rest) == sumChunk {
			s.fold(s.rest)
			s.rest = s.rest[:0]
		}
	}
	return n, nil
}

func (s *sum) fold(chunk []byte) {
	var nonce [12]byte
	s.aead.Seal(s.out[:0], nonce[:], s.tag[:], chunk)
	copy(s.tag[:], s.out[16:])
}

// sum returns the sum of what has been written.
func (s *sum) sum() [16]byte {
	s.fold(s.rest)
	s.rest = s.rest[:0]
	return s.tag
}

// errSum says that an image file has other bytes than it had.
var errSum = errors.New("the image file has changed")

// A checkedReader ends in errSum if what it has read is not what was expected, or in what wanted says at the end.
type checkedReader struct {
	ctx    context.Context
	r      io.Reader
	sum    *sum
	want   [16]byte
	wanted func() error
	err    error
}

func (c *checkedReader) Read(p []byte) (int, error) {
	if c.err != nil {
		return 0, c.err
	}
	if err := c.ctx.Err(); err != nil {
		return 0, err
	}
	n, err := c.r.Read(p[:min(len(p), sumChunk)])
	c.sum.Write(p[:n])
	if err == io.EOF {
		if got := c.sum.sum(); subtle.ConstantTimeCompare(got[:], c.want[:]) != 1 {
			err = errSum
		} else if no := c.wanted(); no != nil {
			err = no
		}
	}
	c.err = err
	return n, err
}
