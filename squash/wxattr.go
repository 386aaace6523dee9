package squash

import (
	"bytes"
	"encoding/binary"
	"slices"
	"strings"
)

// xattrInline is the length in bytes of a value above which a second copy is
// written as a reference to the first.
const xattrInline = 64

// An xattrWriter collects the attributes of inodes. Inodes with equal
// attributes share a list, lists share long values.
//
// Source: format.adoc, "Xattr Table".
type xattrWriter struct {
	hash   *hasher
	enc    encoder
	pairs  *metaWriter // names and values
	blocks bytes.Buffer
	ids    []byte // the id table
	lists  map[tag]uint32
	values map[tag]Ref // of long values
	buf    []byte
}

func (x *xattrWriter) init(enc encoder, h *hasher) {
	x.hash, x.enc = h, enc
	x.pairs = newMetaWriter(&x.blocks, enc)
	x.lists = make(map[tag]uint32)
	x.values = make(map[tag]Ref)
}

// XattrStorable tells whether the format can hold an attribute with a name: it
// knows the name spaces user, trusted and security.
func XattrStorable(name string) bool {
	_, _, ok := splitXattr(name)
	return ok
}

func splitXattr(name string) (kind int, rest string, ok bool) {
	for kind, prefix := range xattrPrefixes {
		if rest, ok := strings.CutPrefix(name, prefix); ok {
			return kind, rest, rest != "" && len(name) <= maxWriteName && strings.IndexByte(rest, 0) < 0
		}
	}
	return 0, "", false
}

// add returns the index of a list of attributes, noXattr if it is empty.
func (x *xattrWriter) add(list []Xattr) (uint32, error) {
	if len(list) == 0 {
		return noXattr, nil
	}
	list = slices.Clone(list)
	slices.SortFunc(list, func(a, b Xattr) int { return strings.Compare(a.Name, b.Name) })
	x.buf = x.buf[:0]
	for i, a := range list {
		switch {
		case !XattrStorable(a.Name):
			return 0, unfit("attribute %.300q", a.Name)
		case i > 0 && a.Name == list[i-1].Name:
			return 0, unfit("two attributes %q of one inode", a.Name)
		case len(a.Value) > maxXattrValue:
			return 0, unfit("attribute %q of %d bytes", a.Name, len(a.Value))
		}
		x.buf = binary.LittleEndian.AppendUint32(x.buf, uint32(len(a.Name)))
		x.buf = append(x.buf, a.Name...)
		x.buf = binary.LittleEndian.AppendUint32(x.buf, uint32(len(a.Value)))
		x.buf = append(x.buf, a.Value...)
	}
	if len(list) > maxXattrCount {
		return 0, unfit("%d attributes of one inode", len(list))
	}
	key := x.hash.sum(x.buf)
	if i, ok := x.lists[key]; ok {
		return i, nil
	}
	i := uint32(len(x.lists))
	x.lists[key] = i
	return i, x.write(list)
}

// write writes a list and its entry of the id table.
func (x *xattrWriter) write(list []Xattr) error {
	le := binary.LittleEndian
	x.ids = le.AppendUint64(x.ids, uint64(x.pairs.place()))
	size := 0
	for _, a := range list {
		if err := x.pair(a); err != nil {
			return err
		}
		size += len(a.Name) + 1 // what listxattr(2) returns of it
	}
	x.ids = le.AppendUint32(x.ids, uint32(len(list)))
	x.ids = le.AppendUint32(x.ids, uint32(size))
	return nil
}

// pair writes one attribute.
func (x *xattrWriter) pair(a Xattr) error {
	le := binary.LittleEndian
	kind, name, _ := splitXattr(a.Name)
	var first Ref
	seen := false
	long := len(a.Value) > xattrInline
	key := tag{}
	if long {
		key = x.hash.sum(a.Value)
		first, seen = x.values[key]
	}
	if seen {
		kind |= xattrOutOfLine
	}
	b := le.AppendUint16(x.buf[:0], uint16(kind))
	b = le.AppendUint16(b, uint16(len(name)))
	b = append(b, name...)
	x.buf = b
	if err := x.pairs.write(b); err != nil {
		return err
	}
	if long && !seen {
		x.values[key] = x.pairs.place()
	}
	b = b[:0]
	if seen {
		b = le.AppendUint32(b, 8)
		b = le.AppendUint64(b, uint64(first))
	} else {
		b = le.AppendUint32(b, uint32(len(a.Value)))
		b = append(b, a.Value...)
	}
	x.buf = b
	return x.pairs.write(b)
}

// table writes the attribute tables and returns their superblock's position,
// noTable if there are no attributes.
func (x *xattrWriter) table(o *output) (uint64, error) {
	if len(x.lists) == 0 {
		return noTable, nil
	}
	if err := x.pairs.flush(); err != nil {
		return 0, err
	}
	start := o.at()
	if _, err := o.Write(x.blocks.Bytes()); err != nil {
		return 0, err
	}
	list, err := o.blocks(x.enc, x.ids)
	if err != nil {
		return 0, err
	}
	le := binary.LittleEndian
	head := le.AppendUint64(nil, uint64(start))
	head = le.AppendUint32(head, uint32(len(x.lists)))
	head = le.AppendUint32(head, 0)
	pos := o.at()
	_, err = o.Write(append(head, list...))
	return uint64(pos), err
}
