package squash

import (
	"encoding/binary"
	"fmt"
	"sync/atomic"
)

// A lookupTable is a table of fixed-size entries in metadata blocks, with a
// list of the blocks' positions. The list is read at first use.
//
// Source: format.adoc, "Storing Lookup Tables".
type lookupTable struct {
	name  string
	pos   uint64 // of the list
	count uint32 // entries
	size  int    // bytes of an entry, a power of two
	list  atomic.Pointer[[]int64]
}

// blocks returns the positions of the table's metadata blocks.
func (t *lookupTable) blocks(r *Reader) ([]int64, error) {
	if l := t.list.Load(); l != nil {
		return *l, nil
	}
	n := (int64(t.count)*int64(t.size) + MetaSize - 1) / MetaSize
	if t.pos > uint64(r.end) || n*8 > r.end-int64(t.pos) {
		return nil, corrupt("%s table of %d entries at %d", t.name, t.count, t.pos)
	}
	b := make([]byte, n*8)
	if err := r.readAt(b, int64(t.pos)); err != nil {
		return nil, fmt.Errorf("%s table: %w", t.name, err)
	}
	list := make([]int64, n)
	for i := range list {
		p := binary.LittleEndian.Uint64(b[8*i:])
		if p < SuperSize || p >= uint64(r.end) {
			return nil, corrupt("%s table block at %d", t.name, p)
		}
		list[i] = int64(p)
	}
	t.list.Store(&list)
	return list, nil
}

// entry returns entry i, in buf if it must be copied.
func (t *lookupTable) entry(r *Reader, i uint32, buf []byte) ([]byte, error) {
	if i >= t.count {
		return nil, corrupt("%s %d of %d", t.name, i, t.count)
	}
	list, err := t.blocks(r)
	if err != nil {
		return nil, err
	}
	at := int64(i) * int64(t.size)
	c, err := r.metaAt(list[at/MetaSize], int(at%MetaSize))
	if err != nil {
		return nil, fmt.Errorf("%s table: %w", t.name, err)
	}
	return c.take(t.size, buf)
}

// id returns the user or group id with index i.
//
// Source: format.adoc, "ID Table".
func (r *Reader) id(i uint16) (uint32, error) {
	ids := r.ids.Load()
	if ids == nil {
		var err error
		if ids, err = r.loadIDs(); err != nil {
			return 0, err
		}
	}
	if int(i) >= len(*ids) {
		return 0, corrupt("id %d of %d", i, len(*ids))
	}
	return (*ids)[i], nil
}

func (r *Reader) loadIDs() (*[]uint32, error) {
	t := lookupTable{name: "id", pos: r.super.IDTable, count: uint32(r.super.IDs), size: 4}
	ids := make([]uint32, t.count)
	var buf [4]byte
	for i := range ids {
		b, err := t.entry(r, uint32(i), buf[:])
		if err != nil {
			return nil, err
		}
		ids[i] = binary.LittleEndian.Uint32(b)
	}
	r.ids.Store(&ids)
	return &ids, nil
}

// ByNumber returns the reference of the inode with a number, 1 and up. The
// error wraps [ErrNoExport] where the image has no export table.
//
// Source: format.adoc, "Export Table".
func (r *Reader) ByNumber(number uint32) (Ref, error) {
	if r.super.ExportTable == noTable {
		return 0, ErrNoExport
	}
	var buf [8]byte
	b, err := r.exports.entry(r, number-1, buf[:])
	if err != nil {
		return 0, err
	}
	return Ref(binary.LittleEndian.Uint64(b)), nil
}
