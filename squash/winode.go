package squash

import (
	"bytes"
	"encoding/binary"
	"math"
)

// A treeWriter writes the inode table and the directory table, both at once:
// a directory's inode says where its listing is, a listing where the inodes of
// its entries are.
type treeWriter struct {
	*census
	w        *Writer
	inodes   *metaWriter
	dirs     *metaWriter
	dirTable bytes.Buffer // what dirs has written
	exports  []byte       // the export table: references by number
	done     uint32       // inodes written
	buf      []byte
	attrs    Attrs // of the inode in buf
}

// ref returns the reference of an inode that has been written.
func (t *treeWriter) ref(inode uint32) Ref {
	return Ref(binary.LittleEndian.Uint64(t.exports[8*(t.numbers[inode]-1):]))
}

// walk writes the inodes below dir and the listings of dir and all directories
// below, in the order in which they have been counted.
func (t *treeWriter) walk(dir uint32) (listing, error) {
	var below []listing // of the subdirectories
	from := len(t.names)
	t.names = t.tree.Names(dir, t.names)
	to := len(t.names)
	for i := from; i < to; i++ {
		if n := t.names[i]; n.Type == Directory {
			l, err := t.walk(n.Inode)
			if err != nil {
				return l, err
			}
			below = append(below, l)
		}
	}
	for _, n := range t.names[from:to] {
		if t.numbers[n.Inode] <= t.done { // another name of it has come by
			continue
		}
		var err error
		t.tree.Attrs(n.Inode, &t.attrs)
		switch n.Type {
		case Directory:
			err = t.directory(n.Inode, t.numbers[dir], below[0])
			below = below[1:]
		case Regular:
			err = t.file(n.Inode)
		default:
			err = t.special(n.Inode)
		}
		if err != nil {
			return listing{}, err
		}
	}
	l, err := t.entries(t.names[from:to])
	t.names = t.names[:from]
	return l, err
}

// header begins an inode in t.buf.
//
// Source: format.adoc, "Inode Table".
func (t *treeWriter) header(inode uint32, kind uint16) {
	le := binary.LittleEndian
	a := &t.attrs
	b := t.buf[:0]
	b = le.AppendUint16(b, kind)
	b = le.AppendUint16(b, a.Perm&0o7777)
	b = le.AppendUint16(b, t.ids.index[a.UID])
	b = le.AppendUint16(b, t.ids.index[a.GID])
	b = le.AppendUint32(b, clampTime(a.MTime))
	t.buf = le.AppendUint32(b, t.numbers[inode])
}

func (t *treeWriter) u32(values ...uint32) {
	for _, v := range values {
		t.buf = binary.LittleEndian.AppendUint32(t.buf, v)
	}
}

func (t *treeWriter) u64(values ...uint64) {
	for _, v := range values {
		t.buf = binary.LittleEndian.AppendUint64(t.buf, v)
	}
}

// end writes the inode in t.buf.
func (t *treeWriter) end(inode uint32) error {
	t.done++
	ref := t.inodes.place()
	if ref>>48 != 0 {
		return unfit("an inode table of more than 4 GiB")
	}
	binary.LittleEndian.PutUint64(t.exports[8*(t.numbers[inode]-1):], uint64(ref))
	return t.inodes.write(t.buf)
}

// file writes a regular file's inode.
func (t *treeWriter) file(inode uint32) error {
	x, err := t.w.extent(t.attrs.Data)
	if err != nil {
		return err
	}
	links, list := t.links[inode], t.list(inode)
	wide := x.start > math.MaxUint32 || x.size > math.MaxUint32
	if wide || links > 1 || x.sparse > 0 || list != noXattr {
		t.header(inode, uint16(Regular)+extended)
		t.u64(uint64(x.start), uint64(x.size), uint64(x.sparse))
		t.u32(links, x.frag, x.tail, list)
	} else {
		t.header(inode, uint16(Regular))
		t.u32(uint32(x.start), x.frag, x.tail, uint32(x.size))
	}
	t.u32(x.blocks...)
	return t.end(inode)
}

// special writes the inode of a symbolic link, device, fifo or socket.
func (t *treeWriter) special(inode uint32) error {
	a, list := &t.attrs, t.list(inode)
	kind := uint16(a.Type)
	if list != noXattr {
		kind += extended
	}
	t.header(inode, kind)
	t.u32(t.links[inode])
	switch a.Type {
	case Symlink:
		t.u32(uint32(len(a.Target)))
		t.buf = append(t.buf, a.Target...)
	case BlockDevice, CharDevice:
		t.u32(a.Rdev)
	}
	if list != noXattr {
		t.u32(list)
	}
	return t.end(inode)
}
