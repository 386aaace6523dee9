// Package sif reads the Singularity Image Format: a global header, a table of
// descriptors, and the data objects that they point to.
//
// It takes an io.ReaderAt and never a path. Every offset and size is checked
// against the length of the file before use; what an image claims is never
// believed further than the file reaches.
//
// Source: the SIF specification in the documentation of github.com/sylabs/sif,
// version 01. All integers are little-endian and the structures are packed.
package sif

import (
	"bytes"
	"encoding/binary"
	"errors"
	"fmt"
	"io"
)

// Sizes and limits of the format, in bytes unless said otherwise.
const (
	headerSize     = 128
	descriptorSize = 585
	extraSize      = 384

	// maxDescriptors bounds the table that is read. Writers make 48 entries.
	maxDescriptors = 4096

	// firstRead covers the header and the table of 48 descriptors as every
	// known writer lays them out, so that opening costs one read.
	firstRead = 32 << 10
)

const magic = "SIF_MAGIC\x00"

// The errors of this package. What [Read] and the methods of [File] answer wraps one of them.
var (
	ErrFormat      = errors.New("not a valid SIF file")
	ErrTruncated   = errors.New("truncated SIF file")
	ErrNoPartition = errors.New("no partition")
	ErrNoPrimary   = errors.New("no primary system partition")
)

// A Header is the global header.
type Header struct {
	Launch   string // the launch line, "#!/usr/bin/env run-singularity"
	Version  string // of the specification, "01"
	Arch     string // GOARCH name of the primary architecture; "" unknown
	ID       [16]byte
	Created  int64 // seconds since 1970
	Modified int64 // seconds since 1970

	DescriptorsFree   int64 // entries
	DescriptorsTotal  int64 // entries
	DescriptorsOffset int64 // bytes from the start of the file
	DescriptorsSize   int64 // bytes
	DataOffset        int64 // bytes from the start of the file
	DataSize          int64 // bytes
}

// A Descriptor describes one data object.
type Descriptor struct {
	Type     DataType
	ID       uint32 // 1 and up
	Group    uint32 // group number without the marker bits; 0 none
	Link     uint32 // ID of the linked object, or the raw group mark; 0 none
	Offset   int64  // bytes from the start of the file
	Size     int64  // bytes
	Created  int64  // seconds since 1970
	Modified int64  // seconds since 1970
	Name     string
	Extra    []byte // data that depends on Type, 384 bytes
}

// A Partition is the extra data of a [TypePartition] descriptor.
type Partition struct {
	FS   FSType
	Part PartType
	Arch string // GOARCH name; "" unknown
}

// A File is an opened SIF file.
type File struct {
	Header      Header
	Descriptors []Descriptor // the ones in use, in table order

	r    io.ReaderAt
	size int64
}

// Is reports whether head, the first bytes of a file, begins a SIF file.
// It needs 42 bytes.
func Is(head []byte) bool {
	return len(head) >= 42 && string(head[32:42]) == magic
}

// Read opens the SIF file of size bytes in r. It reads the header and the descriptors
// only. The error wraps [ErrFormat] or [ErrTruncated], or is r's own.
func Read(r io.ReaderAt, size int64) (*File, error) {
	if size < headerSize {
		return nil, fmt.Errorf("%w: %d bytes are shorter than its header", ErrTruncated, size)
	}
	head := make([]byte, min(firstRead, size))
	if _, err := r.ReadAt(head, 0); err != nil && !errors.Is(err, io.EOF) {
		return nil, fmt.Errorf("read header: %w", err)
	}
	if !Is(head) {
		return nil, fmt.Errorf("%w: no SIF magic", ErrFormat)
	}
	f := &File{Header: decodeHeader(head), r: r, size: size}
	table, err := f.table(head)
	if err != nil {
		return nil, err
	}
	for ; len(table) >= descriptorSize; table = table[descriptorSize:] {
		if table[4] != 0 {
			f.Descriptors = append(f.Descriptors, decodeDescriptor(table))
		}
	}
	return f, nil
}

// table returns the bytes of the descriptor table, out of head where that holds it.
func (f *File) table(head []byte) ([]byte, error) {
	h := &f.Header
	switch {
	case h.Version != "01":
		return nil, fmt.Errorf("%w: version %q of the format is not known", ErrFormat, h.Version)
	case h.DescriptorsTotal < 0 || h.DescriptorsTotal > maxDescriptors:
		return nil, fmt.Errorf("%w: %d descriptors", ErrFormat, h.DescriptorsTotal)
	case h.DescriptorsOffset < headerSize:
		return nil, fmt.Errorf("%w: descriptors at offset %d", ErrFormat, h.DescriptorsOffset)
	}
	n := h.DescriptorsTotal * descriptorSize
	if h.DescriptorsOffset > f.size-n {
		return nil, fmt.Errorf("%w: descriptors end at byte %d of %d", ErrTruncated, h.DescriptorsOffset+n, f.size)
	}
	if end := h.DescriptorsOffset + n; end <= int64(len(head)) {
		return head[h.DescriptorsOffset:end], nil
	}
	table := make([]byte, n)
	if _, err := f.r.ReadAt(table, h.DescriptorsOffset); err != nil && !errors.Is(err, io.EOF) {
		return nil, fmt.Errorf("read descriptors: %w", err)
	}
	return table, nil
}

func decodeHeader(b []byte) Header {
	le := binary.LittleEndian
	h := Header{
		Launch:            text(b[0:32]),
		Version:           text(b[42:45]),
		Arch:              archName(b[45:48]),
		Created:           int64(le.Uint64(b[64:])),
		Modified:          int64(le.Uint64(b[72:])),
		DescriptorsFree:   int64(le.Uint64(b[80:])),
		DescriptorsTotal:  int64(le.Uint64(b[88:])),
		DescriptorsOffset: int64(le.Uint64(b[96:])),
		DescriptorsSize:   int64(le.Uint64(b[104:])),
		DataOffset:        int64(le.Uint64(b[112:])),
		DataSize:          int64(le.Uint64(b[120:])),
	}
	copy(h.ID[:], b[48:64])
	return h
}

// groupMask marks a group number, in the group field and in the link field.
const groupMask = 0xf0000000

func decodeDescriptor(b []byte) Descriptor {
	le := binary.LittleEndian
	return Descriptor{
		Type:     DataType(le.Uint32(b[0:])),
		ID:       le.Uint32(b[5:]),
		Group:    le.Uint32(b[9:]) &^ groupMask,
		Link:     le.Uint32(b[13:]),
		Offset:   int64(le.Uint64(b[17:])),
		Size:     int64(le.Uint64(b[25:])),
		Created:  int64(le.Uint64(b[41:])),
		Modified: int64(le.Uint64(b[49:])),
		Name:     text(b[73:201]),
		Extra:    b[201:descriptorSize:descriptorSize],
	}
}

// text returns b up to its first zero byte.
func text(b []byte) string {
	if i := bytes.IndexByte(b, 0); i >= 0 {
		b = b[:i]
	}
	return string(b)
}
