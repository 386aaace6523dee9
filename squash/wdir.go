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

// entries writes the listing of a directory, whose inodes have been written.
//
// Entries come in runs after a header that says what they have in common. In a
// listing of more than a metadata block, runs also end with the blocks, and
// the first header in each block but the first gets a mark in the directory's
// index, so that a lookup decodes one block.
//
// Source: format.adoc, "Directory Table" and "Directory Index".
func (t *treeWriter) entries(names []Name) (listing, error) {
	l := listing{start: t.dirs.place()}
	long := listingSize(names) > MetaSize
	marked := l.start >> 16 // block of the last mark
	for rest := names; len(rest) > 0; {
		at := t.dirs.place()
		if long && at>>16 != marked && l.marks < math.MaxUint16 {
			marked = at >> 16
			l.mark(at, rest[0].Text)
		}
		room := math.MaxInt
		if long {
			room = MetaSize - int(at&0xffff)
		}
		n := t.run(rest, room)
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

// listingSize returns about how long the listing of names will be.
func listingSize(names []Name) int {
	size := len(names) / maxRunEntries * dirHeaderSize
	for _, n := range names {
		size += dirEntrySize + len(n.Text)
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
func (t *treeWriter) run(rest []Name, room int) int {
	first := rest[0].Inode
	block := t.ref(first) >> 16
	le := binary.LittleEndian
	b := append(t.buf[:0], make([]byte, dirHeaderSize)...)
	le.PutUint32(b[4:], uint32(block))
	le.PutUint32(b[8:], t.numbers[first])
	count := 0
	for _, n := range rest {
		ref := t.ref(n.Inode)
		delta := int64(t.numbers[n.Inode]) - int64(t.numbers[first])
		if count == maxRunEntries || ref>>16 != block || delta != int64(int16(delta)) || count > 0 && len(b) >= room {
			break
		}
		b = le.AppendUint16(b, uint16(ref))
		b = le.AppendUint16(b, uint16(delta))
		b = le.AppendUint16(b, uint16(n.Type))
		b = le.AppendUint16(b, uint16(len(n.Text)-1))
		b = append(b, n.Text...)
		count++
	}
	le.PutUint32(b, uint32(count-1))
	t.buf = b
	return count
}

// directory writes the inode of a directory.
func (t *treeWriter) directory(inode, parent uint32, l listing) error {
	block, offset := uint32(l.start>>16), uint16(l.start)
	size, links, list := uint32(l.size+dirSizeBias), t.links[inode], t.list(inode)
	if l.marks == 0 && size <= math.MaxUint16 && list == noXattr {
		t.header(inode, uint16(Directory))
		t.u32(block, links, size|uint32(offset)<<16, parent)
		return t.end(inode)
	}
	t.header(inode, uint16(Directory)+extended)
	t.u32(links, size, block, parent, uint32(l.marks)|uint32(offset)<<16, list)
	t.buf = append(t.buf, l.index...)
	return t.end(inode)
}
