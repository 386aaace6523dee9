package sif

import (
	"encoding/binary"
	"errors"
	"fmt"
	"io"
)

// How files are laid out, in bytes unless said otherwise: as the reference writer does,
// because readers exist that expect it.
const (
	tableOffset   = 4096
	tableCapacity = 48 // entries
	dataOffset    = tableOffset + tableCapacity*descriptorSize
	partAlignment = 4096 // a partition can be a loop device

	launchLine   = "#!/usr/bin/env run-singularity\n"
	defaultGroup = 1
)

// ErrFull says that a file has no room for another object.
var ErrFull = errors.New("the descriptor table is full")

// WriterOptions say what the header of a new file holds. The zero value works.
type WriterOptions struct {
	ID   [16]byte // identifies the file
	Time int64    // seconds since 1970: creation of the file and of its objects
}

// A Writer writes a new file: small objects first, with [Writer.Add], then the primary
// partition, whose length need not be known before. The same calls give the same bytes.
//
// The header is written last, by [Writer.Finish]: what is left of an interrupted run is
// no SIF file.
type Writer struct {
	dst   io.WriterAt
	o     WriterOptions
	next  int64  // where the next object goes
	table []byte // descriptors in use
	arch  string // code of the primary partition
}

// NewWriter begins a file at the start of dst.
func NewWriter(dst io.WriterAt, o *WriterOptions) *Writer {
	if o == nil {
		o = &WriterOptions{}
	}
	return &Writer{dst: dst, o: *o, next: dataOffset, arch: archCode("")}
}

// Add writes a small object. Type-dependent data is left empty.
func (w *Writer) Add(t DataType, name string, data []byte) error {
	if _, err := w.dst.WriteAt(data, w.next); err != nil {
		return fmt.Errorf("write %v: %w", t, err)
	}
	return w.describe(&Descriptor{Type: t, Offset: w.next, Size: int64(len(data)), Name: name}, w.next)
}

// Partition returns where the primary partition goes, in bytes from the start of the
// file: a multiple of 4096.
func (w *Writer) Partition() int64 {
	return (w.next + partAlignment - 1) / partAlignment * partAlignment
}

// Finish describes the squashfs file system of size bytes that has been written at
// [Writer.Partition] as the primary partition, for machines of GOARCH name arch, and
// writes table and header. It returns the length of the file.
func (w *Writer) Finish(name, arch string, size int64) (int64, error) {
	d := &Descriptor{Type: TypePartition, Offset: w.Partition(), Size: size, Name: name}
	w.arch = archCode(arch)
	d.Extra = make([]byte, 11)
	binary.LittleEndian.PutUint32(d.Extra[0:], uint32(FSSquash))
	binary.LittleEndian.PutUint32(d.Extra[4:], uint32(PartPrimary))
	copy(d.Extra[8:], w.arch)
	if err := w.describe(d, w.next); err != nil {
		return 0, err
	}
	table := make([]byte, tableCapacity*descriptorSize)
	copy(table, w.table)
	if _, err := w.dst.WriteAt(table, tableOffset); err != nil {
		return 0, fmt.Errorf("write descriptors: %w", err)
	}
	if _, err := w.dst.WriteAt(w.header(), 0); err != nil {
		return 0, fmt.Errorf("write header: %w", err)
	}
	return w.next, nil
}

// describe adds an entry to the table; start is where the object's padding begins.
func (w *Writer) describe(d *Descriptor, start int64) error {
	n := len(w.table) / descriptorSize
	if n == tableCapacity {
		return ErrFull
	}
	if len(d.Name) > 127 {
		return fmt.Errorf("%w: object name of %d bytes", ErrFormat, len(d.Name))
	}
	w.next = d.Offset + d.Size
	b := make([]byte, descriptorSize)
	le := binary.LittleEndian
	le.PutUint32(b[0:], uint32(d.Type))
	b[4] = 1 // in use
	le.PutUint32(b[5:], uint32(n+1))
	le.PutUint32(b[9:], defaultGroup|groupMask)
	le.PutUint64(b[17:], uint64(d.Offset))
	le.PutUint64(b[25:], uint64(d.Size))
	le.PutUint64(b[33:], uint64(w.next-start))
	le.PutUint64(b[41:], uint64(w.o.Time))
	le.PutUint64(b[49:], uint64(w.o.Time))
	copy(b[73:201], d.Name)
	copy(b[201:], d.Extra)
	w.table = append(w.table, b...)
	return nil
}

func (w *Writer) header() []byte {
	b := make([]byte, headerSize)
	le := binary.LittleEndian
	copy(b[0:32], launchLine)
	copy(b[32:42], magic)
	copy(b[42:45], "01")
	copy(b[45:48], w.arch)
	copy(b[48:64], w.o.ID[:])
	le.PutUint64(b[64:], uint64(w.o.Time))
	le.PutUint64(b[72:], uint64(w.o.Time))
	le.PutUint64(b[80:], uint64(tableCapacity-len(w.table)/descriptorSize))
	le.PutUint64(b[88:], tableCapacity)
	le.PutUint64(b[96:], tableOffset)
	le.PutUint64(b[104:], tableCapacity*descriptorSize)
	le.PutUint64(b[112:], dataOffset)
	le.PutUint64(b[120:], uint64(w.next-dataOffset))
	return b
}
