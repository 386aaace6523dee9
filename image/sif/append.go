package sif

import (
	"encoding/binary"
	"fmt"
	"io"
)

// Place returns where another partition of a file can go, in bytes from its start: behind all objects, aligned. What the
// file has there belongs to nobody.
func (f *File) Place() (int64, error) {
	at := f.Header.DescriptorsOffset + f.Header.DescriptorsTotal*descriptorSize
	at = max(at, f.Header.DataOffset)
	for i := range f.Descriptors {
		d := &f.Descriptors[i]
		if err := f.check(d); err != nil {
			return 0, err
		}
		at = max(at, d.Offset+d.Size)
	}
	return (at + partAlignment - 1) / partAlignment * partAlignment, nil
}

// AddOverlay describes the file system of type fs and size bytes that has been written at [File.Place] as an overlay partition. now is
// in seconds since 1970. dst is the file itself: first it gets the descriptor and then a new header, so that it is a SIF file at any
// moment, with the partition or without. The error wraps [ErrFull] when there is no room for a descriptor.
func (f *File) AddOverlay(dst io.WriterAt, fs FSType, size, now int64) error {
	at, err := f.Place()
	if err != nil {
		return err
	}
	head := make([]byte, headerSize)
	if _, err := f.r.ReadAt(head, 0); err != nil {
		return fmt.Errorf("read header: %w", err)
	}
	table, err := f.table(head)
	if err != nil {
		return err
	}
	slot, id := int64(-1), uint32(0)
	for i := int64(0); i < f.Header.DescriptorsTotal; i++ {
		d := table[i*descriptorSize:]
		if d[4] == 0 && slot < 0 {
			slot = i
		} else if d[4] != 0 {
			id = max(id, binary.LittleEndian.Uint32(d[5:]))
		}
	}
	if slot < 0 {
		return ErrFull
	}
	le := binary.LittleEndian
	b := make([]byte, descriptorSize)
	le.PutUint32(b[0:], uint32(TypePartition))
	b[4] = 1 // in use
	le.PutUint32(b[5:], max(id, uint32(slot))+1)
	le.PutUint32(b[9:], defaultGroup|groupMask)
	le.PutUint64(b[17:], uint64(at))
	le.PutUint64(b[25:], uint64(size))
	le.PutUint64(b[33:], uint64(size)) // and its padding
	le.PutUint64(b[41:], uint64(now))
	le.PutUint64(b[49:], uint64(now))
	copy(b[73:201], "overlay")
	le.PutUint32(b[201:], uint32(fs))
	le.PutUint32(b[205:], uint32(PartOverlay))
	copy(b[209:], head[45:47]) // for the machines that the file is for
	if _, err := dst.WriteAt(b, f.Header.DescriptorsOffset+slot*descriptorSize); err != nil {
		return fmt.Errorf("write descriptor: %w", err)
	}
	le.PutUint64(head[72:], uint64(now))
	le.PutUint64(head[80:], uint64(max(f.Header.DescriptorsFree-1, 0)))
	le.PutUint64(head[120:], uint64(at+size-f.Header.DataOffset))
	if _, err := dst.WriteAt(head, 0); err != nil {
		return fmt.Errorf("write header: %w", err)
	}
	return nil
}
