// Package xz decompresses xz streams and LZMA files in one step, from memory
// to memory.
//
// The output is the dictionary: nothing is allocated but the decoder's
// probabilities, whatever the stream claims about its dictionary's size.
package xz

import (
	"bytes"
	"encoding/binary"
	"errors"
	"fmt"
	"hash/crc32"
	"hash/crc64"
)

// The errors of this package.
var (
	ErrCorrupt     = errors.New("corrupt stream")
	ErrSpace       = errors.New("stream is too long") // it decodes to more than the output holds
	ErrSum         = errors.New("wrong checksum")
	ErrUnsupported = errors.New("unsupported stream") // another filter or check
)

// The xz container. Source: "The .xz File Format", version 1.1.0.
const (
	magic          = "\xfd7zXZ\x00"
	streamHeader   = 12
	checkNone      = 0
	checkCRC32     = 1
	checkCRC64     = 4
	filterLZMA2    = 0x21
	maxFilters     = 4
	blockHasPacked = 0x40 // flags of a block header: the sizes are there
	blockHasSize   = 0x80
)

// A Decoder decodes one stream at a time. The zero value is ready. It holds
// probabilities of some 30 KiB and nothing else: keep it to save their
// allocation.
type Decoder struct {
	lz lzma
}

// XZ decodes an xz stream, checks its checksums and returns the number of bytes
// written to dst.
func (d *Decoder) XZ(dst, src []byte) (int, error) {
	if len(src) < streamHeader || string(src[:len(magic)]) != magic || src[6] != 0 ||
		crc32.ChecksumIEEE(src[6:8]) != binary.LittleEndian.Uint32(src[8:]) {
		return 0, ErrCorrupt
	}
	check := src[7]
	size, ok := checkSize(check)
	if !ok {
		return 0, fmt.Errorf("%w: check %d", ErrUnsupported, check)
	}
	in := src[streamHeader:]
	n := 0
	for {
		if len(in) == 0 {
			return 0, ErrCorrupt
		}
		if in[0] == 0 { // the index: all blocks are done
			return n, nil
		}
		got, used, err := d.block(dst[n:], in)
		if err != nil {
			return 0, err
		}
		used = (used + 3) &^ 3
		if len(in) < used+size {
			return 0, ErrCorrupt
		}
		if !verify(check, dst[n:n+got], in[used:]) {
			return 0, ErrSum
		}
		n += got
		in = in[used+size:]
	}
}

// checkSize returns the length of a check.
func checkSize(check byte) (int, bool) {
	switch check {
	case checkNone:
		return 0, true
	case checkCRC32:
		return 4, true
	case checkCRC64:
		return 8, true
	}
	return 0, false
}

func verify(check byte, p, sum []byte) bool {
	switch check {
	case checkCRC32:
		return crc32.ChecksumIEEE(p) == binary.LittleEndian.Uint32(sum)
	case checkCRC64:
		return crc64.Checksum(p, crc64.MakeTable(crc64.ECMA)) == binary.LittleEndian.Uint64(sum)
	}
	return true
}

// A filter is one of the filters of a block.
type filter struct {
	id    uint64
	start uint32 // of the branch filters: the position of the first byte
}

// block decodes one block without its padding and check.
func (d *Decoder) block(dst, in []byte) (n, used int, err error) {
	head := (int(in[0]) + 1) * 4
	if head > len(in) || crc32.ChecksumIEEE(in[:head-4]) != binary.LittleEndian.Uint32(in[head-4:]) {
		return 0, 0, ErrCorrupt
	}
	filters, err := blockHeader(in[1 : head-4])
	if err != nil {
		return 0, 0, err
	}
	n, used, err = d.lz.lzma2(dst, in[head:])
	if err != nil {
		return 0, 0, err
	}
	for i := len(filters) - 2; i >= 0; i-- {
		if err := branch(filters[i], dst[:n]); err != nil {
			return 0, 0, err
		}
	}
	return n, head + used, nil
}

// blockHeader decodes the filters of a block, in the encoder's order. The last
// one is LZMA2.
func blockHeader(b []byte) ([]filter, error) {
	flags := b[0]
	b = b[1:]
	for _, has := range []byte{blockHasPacked, blockHasSize} {
		if flags&has == 0 {
			continue
		}
		_, n := binary.Uvarint(b)
		if n <= 0 {
			return nil, ErrCorrupt
		}
		b = b[n:]
	}
	filters := make([]filter, flags&3+1, maxFilters)
	for i := range filters {
		id, n := binary.Uvarint(b)
		if n <= 0 {
			return nil, ErrCorrupt
		}
		b = b[n:]
		size, n := binary.Uvarint(b)
		if n <= 0 || size > uint64(len(b)-n) {
			return nil, ErrCorrupt
		}
		props := b[n : n+int(size)]
		b = b[n+int(size):]
		filters[i].id = id
		last := i == len(filters)-1
		switch {
		case last != (id == filterLZMA2), !last && (id < filterX86 || id > filterARM64):
			return nil, fmt.Errorf("%w: filter %#x", ErrUnsupported, id)
		case last && len(props) != 1, !last && len(props) != 0 && len(props) != 4:
			return nil, ErrCorrupt
		case len(props) == 4:
			filters[i].start = binary.LittleEndian.Uint32(props)
		}
	}
	if len(bytes.Trim(b, "\x00")) != 0 {
		return nil, ErrCorrupt
	}
	return filters, nil
}
