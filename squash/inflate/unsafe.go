package inflate

import (
	"encoding/binary"
	"unsafe"
)

// The three accesses below are the only ones without bounds checks. The loop
// that uses them stays away from both ends of its slices (see inRoom, outRoom).

// load64 returns the 8 bytes at p[i:], little endian; 0 <= i <= len(p)-8.
func load64(p []byte, i int) uint64 {
	return binary.LittleEndian.Uint64((*[8]byte)(unsafe.Add(unsafe.Pointer(unsafe.SliceData(p)), i))[:])
}

// store64 writes 8 bytes to p[i:]; 0 <= i <= len(p)-8.
func store64(p []byte, i int, v uint64) {
	binary.LittleEndian.PutUint64((*[8]byte)(unsafe.Add(unsafe.Pointer(unsafe.SliceData(p)), i))[:], v)
}

// store8 writes a byte to p[i]; 0 <= i < len(p).
func store8(p []byte, i int, v byte) {
	*(*byte)(unsafe.Add(unsafe.Pointer(unsafe.SliceData(p)), i)) = v
}
