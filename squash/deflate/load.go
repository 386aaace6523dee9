package deflate

import (
	"encoding/binary"
	"unsafe"
)

// load32 returns the 4 bytes from b[i] on. i is 0 to len(b)-4, which the
// caller sees to and nobody checks: searches spend most of the time here.
func load32(b []byte, i int) uint32 {
	p := (*[4]byte)(unsafe.Add(unsafe.Pointer(unsafe.SliceData(b)), i))
	return binary.LittleEndian.Uint32(p[:])
}

// load64 returns the 8 bytes from b[i] on. i is 0 to len(b)-8, unchecked.
func load64(b []byte, i int) uint64 {
	p := (*[8]byte)(unsafe.Add(unsafe.Pointer(unsafe.SliceData(b)), i))
	return binary.LittleEndian.Uint64(p[:])
}
