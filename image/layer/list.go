package layer

import (
	"encoding/binary"
	"errors"
	"fmt"
	"iter"

	"coracle/squash"
)

// A List keeps the entries of one layer in little memory, about 20 bytes and the part of
// the name that the entry before does not have for each. The zero value is empty.
type List struct {
	chunks [][]byte
	n      int
	last   Entry // the entry before, which the next one is told apart from
}

const (
	listChunk    = 1 << 18 // bytes, of all chunks but the first ones
	listChunkMin = 1 << 12
)

// The bits of a record's first byte, above its type.
const (
	sameOwner = 1 << (3 + iota)
	samePerm
	sameMTime
	isLink
	hasXattrs
)

// ErrList says that the bytes of a list are none.
var ErrList = errors.New("corrupt list of entries")

// Len returns the number of entries.
func (l *List) Len() int { return l.n }

// Append adds a copy of an entry; Layer, Seq and Implied do not count.
//
// A record is a byte of bits, the lengths of what the name has in common with the last
// one and of the rest, the rest, and what is different or belongs to the type; numbers
// are variable.
func (l *List) Append(e *Entry) {
	b := l.room(64 + len(e.Name) + len(e.Link) + xattrRoom(e.Xattrs))
	start := len(b)
	b = append(b, l.bits(e))
	common := 0
	for common < min(len(e.Name), len(l.last.Name)) && e.Name[common] == l.last.Name[common] {
		common++
	}
	b = binary.AppendUvarint(b, uint64(common))
	b = appendText(b, e.Name[common:])
	bits := b[start]
	if bits&sameOwner == 0 {
		b = binary.AppendUvarint(b, uint64(e.UID))
		b = binary.AppendUvarint(b, uint64(e.GID))
	}
	if bits&samePerm == 0 {
		b = binary.AppendUvarint(b, uint64(e.Perm))
	}
	if bits&sameMTime == 0 {
		b = binary.AppendVarint(b, e.MTime)
	}
	switch {
	case e.Kind == HardLink, e.Type == squash.Symlink:
		b = appendText(b, e.Link)
	case e.Type == squash.Regular:
		b = binary.AppendUvarint(b, uint64(e.Size))
	case e.Type == squash.CharDevice, e.Type == squash.BlockDevice:
		b = binary.AppendUvarint(b, uint64(e.Rdev))
	}
	if bits&hasXattrs != 0 {
		b = binary.AppendUvarint(b, uint64(len(e.Xattrs)))
		for _, x := range e.Xattrs {
			b = appendText(appendText(b, x.Name), x.Value)
		}
	}
	l.chunks[len(l.chunks)-1] = b
	l.last = Entry{Name: e.Name, UID: e.UID, GID: e.GID, Perm: e.Perm, MTime: e.MTime}
	l.n++
}

func (l *List) bits(e *Entry) byte {
	bits := byte(e.Type) & 7
	for _, f := range []struct {
		bit byte
		set bool
	}{
		{sameOwner, e.UID == l.last.UID && e.GID == l.last.GID}, {samePerm, e.Perm == l.last.Perm},
		{sameMTime, e.MTime == l.last.MTime}, {isLink, e.Kind == HardLink}, {hasXattrs, len(e.Xattrs) > 0},
	} {
		if f.set {
			bits |= f.bit
		}
	}
	return bits
}

// room returns the last chunk, with n bytes of capacity left.
func (l *List) room(n int) []byte {
	size := listChunkMin
	if i := len(l.chunks); i > 0 {
		if last := l.chunks[i-1]; cap(last)-len(last) >= n {
			return last
		}
		size = min(listChunk, 2*cap(l.chunks[i-1]))
	}
	l.chunks = append(l.chunks, make([]byte, 0, max(n, size)))
	return l.chunks[len(l.chunks)-1]
}

func xattrRoom(list []Xattr) int {
	n := 10
	for _, x := range list {
		n += 20 + len(x.Name) + len(x.Value)
	}
	return n
}

func appendText(b []byte, s string) []byte {
	return append(binary.AppendUvarint(b, uint64(len(s))), s...)
}

// All returns the entries in order, each with number n as its layer. An entry is good
// until the next one.
func (l *List) All(n int) iter.Seq[*Entry] {
	return func(yield func(*Entry) bool) {
		d := listReader{e: Entry{Layer: int32(n), Seq: -1}}
		for _, b := range l.chunks {
			for d.b = b; len(d.b) > 0; {
				if !d.next() || !yield(&d.e) {
					return
				}
			}
		}
	}
}

// Bytes returns the list as [ParseList] reads it.
func (l *List) Bytes() []byte {
	var b []byte
	for _, chunk := range l.chunks {
		b = append(b, chunk...)
	}
	return b
}

// ParseList reads what [List.Bytes] wrote. The list keeps b. The error wraps [ErrList],
// or is what a [Reader] would say of an entry.
func ParseList(b []byte) (*List, error) {
	l := &List{chunks: [][]byte{b}}
	d := listReader{b: b}
	for len(d.b) > 0 {
		if !d.next() {
			return nil, ErrList
		}
		if err := d.e.check(); err != nil {
			return nil, err
		}
		l.n++
	}
	l.last = d.e
	return l, nil
}

// check checks an entry as a Reader would have done.
func (e *Entry) check() error {
	name, err := Clean(e.Name)
	if err != nil || name != e.Name {
		return fmt.Errorf("%w: the name %q", ErrList, shorten(e.Name))
	}
	if e.Kind == HardLink {
		target, err := Clean(e.Link)
		if err != nil || target != e.Link || target == "" {
			return fmt.Errorf("%w: the link %q", ErrList, shorten(e.Link))
		}
	}
	if e.Type < squash.Directory || e.Type > squash.Fifo || e.Size < 0 || len(e.Link) > maxPath || e.Type == squash.Symlink && e.Link == "" {
		return fmt.Errorf("%w: %q", ErrList, shorten(e.Name))
	}
	return nil
}

// A listReader takes records off b. bad is set when they are none.
type listReader struct {
	b    []byte
	e    Entry  // the last one
	name []byte // its name
	bad  bool
}

// next reads a record, unless it is none.
func (d *listReader) next() bool {
	e, bits := &d.e, d.b[0]
	d.b = d.b[1:]
	d.name = append(d.name[:d.number(uint64(len(d.name)))], d.bytes()...)
	e.Name = string(d.name)
	e.Type, e.Kind, e.Link, e.Size, e.Rdev, e.Xattrs = squash.Type(bits&7), Inode, "", 0, 0, nil
	if bits&sameOwner == 0 {
		e.UID, e.GID = uint32(d.number(1<<32-1)), uint32(d.number(1<<32-1))
	}
	if bits&samePerm == 0 {
		e.Perm = uint16(d.number(0o7777))
	}
	if bits&sameMTime == 0 {
		t, n := binary.Varint(d.b)
		d.skip(n)
		e.MTime = t
	}
	if bits&isLink != 0 {
		e.Kind = HardLink
	}
	switch {
	case e.Kind == HardLink, e.Type == squash.Symlink:
		e.Link = d.text()
	case e.Type == squash.Regular:
		e.Size = int64(d.number(1<<63 - 1))
	case e.Type == squash.CharDevice, e.Type == squash.BlockDevice:
		e.Rdev = uint32(d.number(1<<32 - 1))
	}
	if bits&hasXattrs != 0 {
		for n := d.number(uint64(len(d.b))); n > 0 && !d.bad; n-- {
			e.Xattrs = append(e.Xattrs, Xattr{Name: d.text(), Value: d.text()})
		}
	}
	e.Seq++
	return !d.bad
}

func (d *listReader) skip(n int) {
	if n <= 0 || n > len(d.b) {
		d.bad, d.b = true, nil
		return
	}
	d.b = d.b[n:]
}

// number reads a number up to limit.
func (d *listReader) number(limit uint64) uint64 {
	v, n := binary.Uvarint(d.b)
	d.skip(n)
	if v > limit {
		d.bad, v = true, 0
	}
	return v
}

func (d *listReader) text() string { return string(d.bytes()) }

func (d *listReader) bytes() []byte {
	n := d.number(uint64(len(d.b)))
	if d.bad || n > uint64(len(d.b)) {
		d.bad = true
		return nil
	}
	b := d.b[:n]
	d.b = d.b[n:]
	return b
}
