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
	inodes   *metaWriter
	dirs     *metaWriter
	dirTable bytes.Buffer // what dirs has written
	exports  []byte       // the export table: references by number; nil: none
	done     uint32       // inodes written
	buf      []byte
}

// walk writes the inodes below dir and the listings of dir and all directories
// below, in the order in which they have been counted.
func (t *treeWriter) walk(dir *Node) (listing, error) {
	var below []listing // of the subdirectories
	for _, n := range dir.Children {
		if n.Link == nil && n.Type == Directory {
			l, err := t.walk(n)
			if err != nil {
				return l, err
			}
			below = append(below, l)
		}
	}
	for _, n := range dir.Children {
		ino, err := n.inode()
		if err != nil {
			return listing{}, err
		}
		switch {
		case ino.number <= t.done: // another name of it has come by
		case ino.Type == Directory:
			err = t.directory(ino, dir.number, below[0])
			below = below[1:]
		case ino.Type == Regular:
			err = t.file(ino)
		default:
			err = t.special(ino)
		}
		if err != nil {
			return listing{}, err
		}
	}
	return t.list(dir)
}

// header begins an inode in t.buf.
//
// Source: format.adoc, "Inode Table".
func (t *treeWriter) header(n *Node, kind uint16) {
	le := binary.LittleEndian
	b := t.buf[:0]
	b = le.AppendUint16(b, kind)
	b = le.AppendUint16(b, n.Perm&0o7777)
	b = le.AppendUint16(b, t.ids.index[n.UID])
	b = le.AppendUint16(b, t.ids.index[n.GID])
	b = le.AppendUint32(b, clampTime(n.MTime))
	t.buf = le.AppendUint32(b, n.number)
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
func (t *treeWriter) end(n *Node) error {
	t.done++
	n.ref = t.inodes.place()
	if n.ref>>48 != 0 {
		return unfit("an inode table of more than 4 GiB")
	}
	if t.exports != nil {
		binary.LittleEndian.PutUint64(t.exports[8*(n.number-1):], uint64(n.ref))
	}
	return t.inodes.write(t.buf)
}

// file writes a regular file's inode.
func (t *treeWriter) file(n *Node) error {
	x := extent{frag: noFragment}
	if n.Data.x != nil {
		x = *n.Data.x
	}
	if x.same != nil {
		x.start, x.sparse, x.blocks = x.same.start, x.same.sparse, x.same.blocks
	}
	wide := x.start > math.MaxUint32 || x.size > math.MaxUint32
	if wide || n.links > 1 || x.sparse > 0 || n.xattr != noXattr {
		t.header(n, uint16(Regular)+extended)
		t.u64(uint64(x.start), uint64(x.size), uint64(x.sparse))
		t.u32(n.links, x.frag, x.tail, n.xattr)
	} else {
		t.header(n, uint16(Regular))
		t.u32(uint32(x.start), x.frag, x.tail, uint32(x.size))
	}
	t.u32(x.blocks...)
	return t.end(n)
}

// special writes the inode of a symbolic link, device, fifo or socket.
func (t *treeWriter) special(n *Node) error {
	kind := uint16(n.Type)
	if n.xattr != noXattr {
		kind += extended
	}
	t.header(n, kind)
	t.u32(n.links)
	switch n.Type {
	case Symlink:
		t.u32(uint32(len(n.Target)))
		t.buf = append(t.buf, n.Target...)
	case BlockDevice, CharDevice:
		t.u32(n.Rdev)
	}
	if n.xattr != noXattr {
		t.u32(n.xattr)
	}
	return t.end(n)
}
