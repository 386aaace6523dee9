package squash

import (
	"encoding/binary"
	"fmt"
	"io"
)

// An output writes to successive positions of an image.
type output struct {
	dst io.WriterAt
	pos int64  // of buf in the image
	buf []byte // not written yet
}

const outputBuffer = 256 << 10

// at returns the position of the next byte.
func (o *output) at() int64 { return o.pos + int64(len(o.buf)) }

func (o *output) Write(b []byte) (int, error) {
	o.buf = append(o.buf, b...)
	if len(o.buf) >= outputBuffer {
		return len(b), o.flush()
	}
	return len(b), nil
}

func (o *output) flush() error {
	if len(o.buf) == 0 {
		return nil
	}
	if _, err := o.dst.WriteAt(o.buf, o.pos); err != nil {
		return fmt.Errorf("write squashfs: %w", err)
	}
	o.pos += int64(len(o.buf))
	o.buf = o.buf[:0]
	return nil
}

// A metaWriter packs a table into metadata blocks.
//
// Source: format.adoc, "Packing Metadata".
type metaWriter struct {
	out io.Writer
	enc encoder
	pos int64  // bytes written to out
	buf []byte // of the block that is being filled, below MetaSize
	tmp []byte
}

func newMetaWriter(out io.Writer, enc encoder) *metaWriter {
	return &metaWriter{
		out: out,
		enc: enc,
		buf: make([]byte, 0, MetaSize),
		tmp: make([]byte, metaHeaderSize+encodeBound(MetaSize)),
	}
}

// place returns the reference of the next byte.
func (m *metaWriter) place() Ref { return Ref(m.pos)<<16 | Ref(len(m.buf)) }

func (m *metaWriter) write(b []byte) error {
	for len(b) > 0 {
		n := min(len(b), MetaSize-len(m.buf))
		m.buf = append(m.buf, b[:n]...)
		b = b[n:]
		if len(m.buf) == MetaSize {
			if err := m.flush(); err != nil {
				return err
			}
		}
	}
	return nil
}

// flush writes the block that is being filled, if there is anything in it.
func (m *metaWriter) flush() error {
	if len(m.buf) == 0 {
		return nil
	}
	n, err := m.enc.encode(m.tmp[metaHeaderSize:], m.buf)
	if err != nil {
		return fmt.Errorf("compress: %w", err)
	}
	head := uint16(n)
	if n == 0 {
		n = copy(m.tmp[metaHeaderSize:], m.buf)
		head = uint16(n) | metaStored
	}
	binary.LittleEndian.PutUint16(m.tmp, head)
	m.buf = m.buf[:0]
	m.pos += int64(metaHeaderSize + n)
	_, err = m.out.Write(m.tmp[:metaHeaderSize+n])
	return err
}

// blocks writes the entries of a lookup table in metadata blocks, and returns
// the list of their positions.
//
// Source: format.adoc, "Storing Lookup Tables".
func (o *output) blocks(enc encoder, entries []byte) (list []byte, err error) {
	m := newMetaWriter(o, enc)
	for len(entries) > 0 {
		n := min(len(entries), MetaSize)
		list = binary.LittleEndian.AppendUint64(list, uint64(o.at()))
		if err := m.write(entries[:n]); err != nil {
			return nil, err
		}
		entries = entries[n:]
	}
	return list, m.flush()
}

// lookup writes a lookup table and returns the position of its list.
func (o *output) lookup(enc encoder, entries []byte) (int64, error) {
	list, err := o.blocks(enc, entries)
	if err != nil {
		return 0, err
	}
	pos := o.at()
	_, err = o.Write(list)
	return pos, err
}
