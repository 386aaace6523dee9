package fuse

import (
	"encoding/binary"
	"strings"
)

// Where things are in a 64-bit ELF header and in a program header, and what they are.
const (
	elfIdent   = "\x7fELF\x02\x01" // 64 bits, little-endian
	elfPhoff   = 32
	elfPhsize  = 54
	elfPhnum   = 56
	elfHeader  = 64
	progType   = 0
	progOffset = 8
	progSize   = 32
	progHeader = 56
	progInterp = 3
)

// loader returns the interpreter that the head of a 64-bit little-endian ELF file names, where head has it; else "".
//
// Source: System V ABI, "ELF Header" and "Program Header".
func loader(head []byte) string {
	if len(head) < elfHeader || !strings.HasPrefix(string(head[:elfHeader]), elfIdent) {
		return ""
	}
	size, count := uint64(binary.LittleEndian.Uint16(head[elfPhsize:])), uint64(binary.LittleEndian.Uint16(head[elfPhnum:]))
	at, end := binary.LittleEndian.Uint64(head[elfPhoff:]), uint64(len(head))
	for ; count > 0; count-- {
		if at > end || end-at < progHeader {
			return ""
		}
		if p := head[at:]; binary.LittleEndian.Uint32(p[progType:]) == progInterp {
			from, n := binary.LittleEndian.Uint64(p[progOffset:]), binary.LittleEndian.Uint64(p[progSize:])
			if from > end || n > end-from {
				return ""
			}
			name, _, _ := strings.Cut(string(head[from:from+n]), "\x00")
			return name
		}
		at += size
	}
	return ""
}
