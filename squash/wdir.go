package squash

import (
	"encoding/binary"
	"math"
)

// A listing is where a directory's entries are.
type listing struct {
	start Ref // in the directory table
	size  int // bytes
	index []byte
	marks int // entries of index
}

// list writes the entries of dir, whose inodes have been written.
//
// Entries come in runs after a header that says what they have in common. In a
// listing of more than a metadata block, runs also end with the blocks, and
// the first header in each block but the first gets a mark in the directory's
// index, so that a lookup decodes one block.
//
// Source: format.adoc, "Directory Table" and "Directory Index".
func (t *treeWriter) list(dir *Node) (listing, error) {
	l := listing{start: t.dirs.place()}
	long := t.listingSize(dir) > MetaSize
	marked := l.start >> 16 // block of the last mark
	for rest := dir.Children; len(rest) > 0; {
		at := t.dirs.place()
		if long && at>>16 != marked && l.marks < math.MaxUint16 {
			marked = at >> 16
			l.mark(at, rest[0].Name)
		}
		room := math.MaxInt
		if long {
			room = MetaSize - int(at&0xffff)
		}
		n, err := t.run(rest, room)
		if err != nil {
			return l, err
		}
		rest = rest[n:]
		l.size += len(t.buf)
		if err := t.dirs.write(t.buf); err != nil {
			return l, err
		}
	}
	if l.start>>16 > math.MaxUint32 || l.size > math.MaxUint32-dirSizeBias {
		return l, unfit("a directory table of more than 4 GiB")
	}
	return l, nil
}

// listingSize returns about how long the listing of dir will be.
func (t *treeWriter) listingSize(dir *Node) int {
	size := len(dir.Children) / maxRunEntries * dirHeaderSize
	for _, n := range dir.Children {
		size += dirEntrySize + len(n.Name)
	}
	return size
}

// mark adds to the index a header at a place, in front of the entry name.
func (l *listing) mark(at Ref, name string) {
	le := binary.LittleEndian
	b := le.AppendUint32(l.index, uint32(l.size))
	b = le.AppendUint32(b, uint32(at>>16))
	b = le.AppendUint32(b, uint32(len(name)-1))
	l.index = append(b, name...)
	l.marks++
}

// run puts into t.buf a header and as many entries of rest as may follow it,
// one at least. Entries do not begin room bytes behind the header's start or
// later. It returns the number of entries.
func (t *treeWriter) run(rest []*Node, room int) (int, error) {
	first, err := rest[0].inode()
	if err != nil {
		return 0, err
	}
	le := binary.LittleEndian
	b := append(t.buf[:0], make([]byte, dirHeaderSize)...)
	le.PutUint32(b[4:], uint32(first.ref>>16))
	le.PutUint32(b[8:], first.number)
	count := 0
	for _, n := range rest {
		ino, err := n.inode()
		if err != nil {
			return 0, err
		}
		delta := int64(ino.number) - int64(first.number)
		if count == maxRunEntries || ino.ref>>16 != first.ref>>16 || delta != int64(int16(delta)) || count > 0 && len(b) >= room {
			break
		}
		b = le.AppendUint16(b, uint16(ino.ref))
		b = le.AppendUint16(b, uint16(delta))
		b = le.AppendUint16(b, uint16(ino.Type))
		b = le.AppendUint16(b, uint16(len(n.Name)-1))
		b = append(b, n.Name...)
		count++
	}
	le.PutUint32(b, uint32(count-1))
	t.buf = b
	return count, nil
}

// directory writes the inode of a directory.
func (t *treeWriter) directory(n *Node, parent uint32, l listing) error {
	block, offset := uint32(l.start>>16), uint16(l.start)
	size := uint32(l.size + dirSizeBias)
	if l.marks == 0 && size <= math.MaxUint16 && n.xattr == noXattr {
		t.header(n, uint16(Directory))
		t.u32(block, n.links, size|uint32(offset)<<16, parent)
		return t.end(n)
	}
	t.header(n, uint16(Directory)+extended)
	t.u32(n.links, size, block, parent, uint32(l.marks)|uint32(offset)<<16, n.xattr)
	t.buf = append(t.buf, l.index...)
	return t.end(n)
}
