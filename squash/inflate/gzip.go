package inflate

import (
	"encoding/binary"
	"hash/crc32"
	"io"
)

// Sizes of a GzipReader's buffers, in bytes.
const (
	window    = 32 << 10 // how far back a match can lie
	inSize    = 128 << 10
	outSize   = window + 256<<10
	headRoom  = 1024 // what the head of a block can have, and more than a round of any loop takes
	tailRoom  = 16 * 258
	inHistory = 8 // bytes that the bit buffer may give back
)

// A GzipReader decompresses a gzip file (RFC 1952) of any number of members as it comes.
// It is the streaming form of [Decoder]: the same loops work on a buffer whose first part
// is the window, and stop where input or room come to an end.
type GzipReader struct {
	d    Decoder
	b    bitReader
	src  io.Reader
	in   []byte
	eof  bool // src has ended
	err  error
	out  []byte
	done int // out[:done] has been delivered
	o    int // out[done:o] has not

	state gzipState
	last  bool // the current block is the last one
	left  int  // bytes to come of a stored block
	sum   uint32
	size  uint32 // of the member, modulo 1<<32
}

type gzipState uint8

const (
	atMember gzipState = iota
	atBlock
	inBlock
	inStored
	atTrailer
)

// NewGzipReader reads the first header. The error wraps [ErrCorrupt], or is r's own.
func NewGzipReader(r io.Reader) (*GzipReader, error) {
	z := &GzipReader{src: r, in: make([]byte, inSize), out: make([]byte, outSize)}
	err := z.header()
	if err == io.EOF {
		err = ErrCorrupt
	}
	return z, err
}

// Read returns what comes next. It does not read behind the last member but to see
// whether there is another.
func (z *GzipReader) Read(p []byte) (int, error) {
	for z.done == z.o {
		if z.err != nil {
			return 0, z.err
		}
		z.err = z.step()
		new := z.out[z.done:z.o]
		z.sum = crc32.Update(z.sum, crc32.IEEETable, new)
		z.size += uint32(len(new))
		if z.state == atTrailer && z.err == nil {
			z.err = z.trailer()
		}
	}
	n := copy(p, z.out[z.done:z.o])
	z.done += n
	return n, nil
}

// step decodes until the buffer is full or a part of the stream has ended. All that was
// decoded before has been delivered.
func (z *GzipReader) step() error {
	if len(z.out)-z.o < tailRoom+outRoom {
		copy(z.out, z.out[z.o-window:z.o])
		z.done, z.o = window, window
	}
	if z.state == atMember {
		return z.header()
	}
	for {
		if err := z.fill(); err != nil {
			return err
		}
		if len(z.out)-z.o < tailRoom+outRoom {
			return nil
		}
		done, err := z.part()
		if done || err != nil {
			return err
		}
	}
}

// part decodes a little, and tells whether the member has ended.
func (z *GzipReader) part() (done bool, err error) {
	switch z.state {
	case atBlock:
		if z.last {
			z.state = atTrailer
			return true, z.b.align()
		}
		return false, z.blockHead()
	case inStored:
		n := copy(z.out[z.o:], z.b.src[z.b.pos:min(len(z.b.src), z.b.pos+z.left)])
		if n == 0 && z.left > 0 {
			return false, ErrCorrupt
		}
		z.o, z.b.pos, z.left = z.o+n, z.b.pos+n, z.left-n
		if z.left == 0 {
			z.state = atBlock
		}
		return false, nil
	}
	if len(z.b.src)-z.b.pos >= inRoom {
		z.o, done, err = z.d.fast(z.out, z.o, &z.b)
	} else {
		z.o, done, err = z.d.careful(z.out, z.o, &z.b)
	}
	if done {
		z.state = atBlock
	}
	return false, err
}

func (z *GzipReader) blockHead() error {
	b := &z.b
	b.refill()
	z.last = b.take(1) == 1
	z.state = inBlock
	switch b.take(2) {
	case 0:
		z.state = inStored
		if err := b.align(); err != nil {
			return err
		}
		if len(b.src)-b.pos < 4 {
			return ErrCorrupt
		}
		z.left = int(binary.LittleEndian.Uint16(b.src[b.pos:]))
		if z.left != int(^binary.LittleEndian.Uint16(b.src[b.pos+2:])) {
			return ErrCorrupt
		}
		b.pos += 4
		return nil
	case 1:
		z.d.fixedTables()
		return nil
	case 2:
		return z.d.dynamicTables(b)
	}
	return ErrCorrupt
}

// fill makes sure that headRoom bytes of input are there, or all that are left.
func (z *GzipReader) fill() error {
	b := &z.b
	if z.eof || len(b.src)-b.pos >= headRoom {
		return nil
	}
	from := max(0, b.pos-inHistory)
	n := copy(z.in, b.src[from:])
	b.pos -= from
	for n-b.pos < headRoom && !z.eof {
		m, err := z.src.Read(z.in[n:])
		n += m
		switch {
		case err == io.EOF:
			z.eof = true
		case err != nil:
			return err
		}
	}
	b.src = z.in[:n]
	return nil
}

// next returns the next byte of input, which is at a byte boundary. At the end it is
// io.EOF.
func (z *GzipReader) next() (byte, error) {
	if err := z.fill(); err != nil {
		return 0, err
	}
	if z.b.pos == len(z.b.src) {
		return 0, io.EOF
	}
	z.b.pos++
	return z.b.src[z.b.pos-1], nil
}

// Flags of a member's header. Source: RFC 1952, section 2.3.1.
const (
	flagHeaderSum = 1 << 1
	flagExtra     = 1 << 2
	flagName      = 1 << 3
	flagComment   = 1 << 4
)

// header reads the header of a member. It is io.EOF where there is none.
func (z *GzipReader) header() error {
	var h [10]byte
	for i := range h {
		c, err := z.next()
		if err == io.EOF && i > 0 {
			err = ErrCorrupt
		}
		if err != nil {
			return err
		}
		h[i] = c
	}
	if h[0] != 0x1f || h[1] != 0x8b || h[2] != 8 || h[3]&0xe0 != 0 {
		return ErrCorrupt
	}
	z.state, z.last, z.sum, z.size = atBlock, false, 0, 0
	return z.options(h[3])
}

// options skips the optional parts of a header.
func (z *GzipReader) options(flags byte) error {
	skip := 0
	if flags&flagExtra != 0 {
		lo, err := z.must()
		if err != nil {
			return err
		}
		hi, err := z.must()
		if err != nil {
			return err
		}
		skip = int(lo) | int(hi)<<8
	}
	if err := z.skip(skip); err != nil {
		return err
	}
	for _, text := range []byte{flagName, flagComment} {
		if flags&text == 0 {
			continue
		}
		for c := byte(1); c != 0; {
			var err error
			if c, err = z.must(); err != nil {
				return err
			}
		}
	}
	if flags&flagHeaderSum != 0 {
		return z.skip(2)
	}
	return nil
}

func (z *GzipReader) skip(n int) error {
	for range n {
		if _, err := z.must(); err != nil {
			return err
		}
	}
	return nil
}

// must is next where the stream cannot end.
func (z *GzipReader) must() (byte, error) {
	c, err := z.next()
	if err == io.EOF {
		err = ErrCorrupt
	}
	return c, err
}

// trailer checks sum and size of a member.
func (z *GzipReader) trailer() error {
	var t [8]byte
	for i := range t {
		c, err := z.must()
		if err != nil {
			return err
		}
		t[i] = c
	}
	if binary.LittleEndian.Uint32(t[:]) != z.sum || binary.LittleEndian.Uint32(t[4:]) != z.size {
		return ErrSum
	}
	z.state = atMember
	return nil
}
