package squash

import (
	"encoding/binary"
	"fmt"
	"sync/atomic"
)

// xattrPrefixes are the name spaces of attributes, by type.
//
// Source: format.adoc, "Xattr Table".
var xattrPrefixes = [...]string{"user.", "trusted.", "security."}

const (
	xattrOutOfLine = 1 << 8 // in an attribute's type: the value is a reference to a value
	xattrTypeMask  = 0xff
)

// An xattrTable is the superblock of the attribute tables, read at first use.
type xattrTable struct {
	head atomic.Pointer[xattrHead]
}

type xattrHead struct {
	start int64       // of the blocks with names and values
	ids   lookupTable // where each inode's attributes begin
}

// HasXattrs tells whether any inode of the image may have extended attributes.
func (r *Reader) HasXattrs() bool {
	return r.super.XattrTable != noTable && r.super.Flags&FlagNoXattrs == 0
}

// Xattrs calls fn for the extended attributes of an inode, in the image's
// order, until it returns false. Names are complete ("user.note"); values have
// up to 64 KiB and must not be changed; both share memory with cached metadata.
// Attributes of unknown name spaces are left out. The error wraps [ErrCorrupt]
// or what the source returned.
func (r *Reader) Xattrs(ino *Inode, fn func(name string, value []byte) bool) error {
	if ino.xattr == noXattr || r.super.XattrTable == noTable {
		return nil
	}
	if err := r.listXattrs(ino.xattr, fn); err != nil {
		return fmt.Errorf("attributes of inode %#x: %w", uint64(ino.Ref), err)
	}
	return nil
}

func (r *Reader) listXattrs(index uint32, fn func(name string, value []byte) bool) error {
	head, err := r.xattrHead()
	if err != nil {
		return err
	}
	var buf [xattrIDSize]byte
	b, err := head.ids.entry(r, index, buf[:])
	if err != nil {
		return err
	}
	count := binary.LittleEndian.Uint32(b[8:])
	if count > maxXattrCount {
		return corrupt("%d attributes", count)
	}
	c, err := r.xattrAt(head, binary.LittleEndian.Uint64(b))
	if err != nil {
		return err
	}
	for range count {
		more, err := r.xattr(head, &c, fn)
		if !more || err != nil {
			return err
		}
	}
	return nil
}

// xattrHead reads what the superblock's attribute table position points to.
func (r *Reader) xattrHead() (*xattrHead, error) {
	if h := r.xattrs.head.Load(); h != nil {
		return h, nil
	}
	var b [xattrSuper]byte
	pos := int64(r.super.XattrTable)
	if err := r.readAt(b[:], pos); err != nil {
		return nil, fmt.Errorf("xattr table: %w", err)
	}
	start := binary.LittleEndian.Uint64(b[:])
	if start < SuperSize || start > uint64(pos) {
		return nil, corrupt("attributes at %d", start)
	}
	h := &xattrHead{start: int64(start), ids: lookupTable{
		name:  "xattr",
		pos:   uint64(pos) + xattrSuper,
		count: binary.LittleEndian.Uint32(b[8:]),
		size:  xattrIDSize,
	}}
	if !r.xattrs.head.CompareAndSwap(nil, h) {
		h = r.xattrs.head.Load()
	}
	return h, nil
}

// xattrAt returns a cursor at a reference into the attribute blocks.
func (r *Reader) xattrAt(head *xattrHead, ref uint64) (metaCursor, error) {
	pos := ref >> 16
	if pos >= r.super.XattrTable-uint64(head.start) {
		return metaCursor{}, corrupt("attribute at %#x", ref)
	}
	return r.metaAt(head.start+int64(pos), int(ref&0xffff))
}

// xattr reads one attribute and calls fn.
func (r *Reader) xattr(head *xattrHead, c *metaCursor, fn func(name string, value []byte) bool) (bool, error) {
	var buf [8]byte
	b, err := c.take(4, buf[:])
	if err != nil {
		return false, err
	}
	kind := binary.LittleEndian.Uint16(b)
	size := int(binary.LittleEndian.Uint16(b[2:]))
	if size == 0 || size > maxNameLen {
		return false, corrupt("attribute name of %d bytes", size)
	}
	name, err := c.take(size, nil)
	if err != nil {
		return false, err
	}
	value, err := c.xattrValue()
	if err != nil {
		return false, err
	}
	if kind&xattrOutOfLine != 0 {
		if len(value) != 8 {
			return false, corrupt("reference of %d bytes to an attribute", len(value))
		}
		at, err := r.xattrAt(head, binary.LittleEndian.Uint64(value))
		if err != nil {
			return false, err
		}
		if value, err = at.xattrValue(); err != nil {
			return false, err
		}
	}
	if int(kind&xattrTypeMask) >= len(xattrPrefixes) {
		return true, nil
	}
	return fn(xattrPrefixes[kind&xattrTypeMask]+string(name), value), nil
}

// xattrValue reads a length and as many bytes.
func (c *metaCursor) xattrValue() ([]byte, error) {
	var buf [4]byte
	b, err := c.take(4, buf[:])
	if err != nil {
		return nil, err
	}
	n := binary.LittleEndian.Uint32(b)
	if n > maxXattrValue {
		return nil, corrupt("attribute of %d bytes", n)
	}
	return c.take(int(n), nil)
}
