package sif

import (
	"encoding/binary"
	"fmt"
	"io"
	"slices"
)

// Partition returns what the descriptor says of its partition. It reports false for
// other types of objects.
func (d *Descriptor) Partition() (Partition, bool) {
	if d.Type != TypePartition || len(d.Extra) < 11 {
		return Partition{}, false
	}
	le := binary.LittleEndian
	return Partition{
		FS:   FSType(le.Uint32(d.Extra[0:])),
		Part: PartType(le.Uint32(d.Extra[4:])),
		Arch: archName(d.Extra[8:11]),
	}, true
}

// Primary returns the primary system partition. The error wraps [ErrNoPrimary],
// or [ErrTruncated] when the file ends before the partition does.
func (f *File) Primary() (*Descriptor, Partition, error) {
	for i := range f.Descriptors {
		d := &f.Descriptors[i]
		p, ok := d.Partition()
		if !ok || p.Part != PartPrimary {
			continue
		}
		if err := f.check(d); err != nil {
			return nil, Partition{}, err
		}
		return d, p, nil
	}
	return nil, Partition{}, ErrNoPrimary
}

// Partition returns the partition with an id. The error wraps [ErrNoPartition], or
// [ErrTruncated] when the file ends before the partition does.
func (f *File) Partition(id uint32) (*Descriptor, Partition, error) {
	for i := range f.Descriptors {
		d := &f.Descriptors[i]
		p, ok := d.Partition()
		if !ok || d.ID != id {
			continue
		}
		if err := f.check(d); err != nil {
			return nil, Partition{}, err
		}
		return d, p, nil
	}
	return nil, Partition{}, fmt.Errorf("%w %d", ErrNoPartition, id)
}

// Signed tells whether one of the file's signatures is about an object: it links to that, or to its group.
func (f *File) Signed(d Descriptor) bool {
	return slices.ContainsFunc(f.Descriptors, func(s Descriptor) bool {
		return s.Type == TypeSignature && (s.Link == d.ID || d.Group > 0 && s.Link == d.Group|groupMask)
	})
}

// Find returns the first object of type t, named name unless that is empty, or nil.
func (f *File) Find(t DataType, name string) *Descriptor {
	for i := range f.Descriptors {
		if d := &f.Descriptors[i]; d.Type == t && (name == "" || d.Name == name) {
			return d
		}
	}
	return nil
}

// Section returns the bytes of an object. The error wraps [ErrTruncated] or [ErrFormat]
// when the object is not wholly inside the file.
func (f *File) Section(d *Descriptor) (*io.SectionReader, error) {
	if err := f.check(d); err != nil {
		return nil, err
	}
	return io.NewSectionReader(f.r, d.Offset, d.Size), nil
}

// Bytes reads a small object. An object longer than limit bytes is an error.
func (f *File) Bytes(d *Descriptor, limit int64) ([]byte, error) {
	s, err := f.Section(d)
	if err != nil {
		return nil, err
	}
	if d.Size > limit {
		return nil, fmt.Errorf("%w: %v of %d bytes", ErrFormat, d.Type, d.Size)
	}
	b := make([]byte, d.Size)
	if _, err := io.ReadFull(s, b); err != nil {
		return nil, fmt.Errorf("read %v: %w", d.Type, err)
	}
	return b, nil
}

func (f *File) check(d *Descriptor) error {
	if d.Offset < headerSize || d.Size < 0 {
		return fmt.Errorf("%w: object %d lies at offset %d, size %d", ErrFormat, d.ID, d.Offset, d.Size)
	}
	if d.Size > f.size || d.Offset > f.size-d.Size {
		return fmt.Errorf("%w: it has %d bytes, object %d ends at byte %d", ErrTruncated, f.size, d.ID, end(d))
	}
	return nil
}

// end returns where an object ends, for messages; offsets near the limit of int64 saturate.
func end(d *Descriptor) uint64 { return uint64(d.Offset) + uint64(d.Size) }
