// Package gpu finds a host's driver libraries for graphics processors, which have to fit the host's kernel and so
// come from the host, and says where they go in a container.
//
// It makes no system calls: the caller hands in the dynamic linker's cache and a look at the host's tree.
package gpu

import (
	"bytes"
	"encoding/binary"
	"errors"
)

// A Library is an entry of the dynamic linker's cache.
type Library struct {
	Name string // as programs ask for it: libcuda.so.1
	Path string // where it is on the host
}

// ErrCache says that a file is no cache of the dynamic linker that we know.
var ErrCache = errors.New("not a cache of the dynamic linker")

// The cache's format: a header of 48 bytes, entries of 24, strings, whose offsets count from the header on. A cache of the
// old format, with entries of 12 bytes, may stand before it.
//
// Source: glibc, sysdeps/generic/dl-cache.h.
const (
	oldMagic   = "ld.so-1.7.0\x00"
	newMagic   = "glibc-ld.so.cache1.1"
	headerSize = 48
	entrySize  = 24
	oldEntry   = 12
	elfLibc6   = 3 // low byte of an entry's flags
)

// archFlags are the second byte of the flags of libraries for a machine, by GOARCH name.
func archFlags(arch string) (flags uint32, known bool) {
	switch arch {
	case "amd64":
		return 0x03, true
	case "arm64":
		return 0x0a, true
	case "ppc64le":
		return 0x05, true
	case "riscv64":
		return 0x10, true
	}
	return 0, false
}

// Parse lists the libraries of a cache that are for the machine arch, a GOARCH name. The error is [ErrCache].
func Parse(b []byte, arch string) ([]Library, error) {
	if bytes.HasPrefix(b, []byte(oldMagic)) && len(b) >= 16 {
		skip := 16 + uint64(binary.NativeEndian.Uint32(b[12:]))*oldEntry
		skip = (skip + 7) &^ 7
		if skip > uint64(len(b)) {
			return nil, ErrCache
		}
		b = b[skip:]
	}
	if !bytes.HasPrefix(b, []byte(newMagic)) || len(b) < headerSize {
		return nil, ErrCache
	}
	count := uint64(binary.NativeEndian.Uint32(b[20:]))
	if count > uint64(len(b)-headerSize)/entrySize {
		return nil, ErrCache
	}
	want, known := archFlags(arch)
	var list []Library
	for i := range count {
		e := b[headerSize+i*entrySize:]
		flags := binary.NativeEndian.Uint32(e)
		if flags&0xff != elfLibc6 || known && flags>>8&0xff != want {
			continue
		}
		name, ok1 := text(b, binary.NativeEndian.Uint32(e[4:]))
		path, ok2 := text(b, binary.NativeEndian.Uint32(e[8:]))
		if !ok1 || !ok2 {
			return nil, ErrCache
		}
		list = append(list, Library{name, path})
	}
	return list, nil
}

// text is the string at an offset, up to its zero byte.
func text(b []byte, offset uint32) (string, bool) {
	if uint64(offset) >= uint64(len(b)) {
		return "", false
	}
	end := bytes.IndexByte(b[offset:], 0)
	if end < 0 {
		return "", false
	}
	return string(b[offset:][:end]), true
}
