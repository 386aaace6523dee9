package inflate

// #cgo noescape coracle_adler32
// #cgo nocallback coracle_adler32
// #include "cpu.h"
// #include "fast.h"
import "C"
import "unsafe"

// adler32 returns the checksum of RFC 1950 of p.
func adler32(p []byte) uint32 {
	return uint32(C.coracle_adler32((*C.uint8_t)(unsafe.SliceData(p)), C.uint64_t(len(p))))
}

// assumeCPU has C take the processor for one that can do nothing special (1), or ask it again (0).
func assumeCPU(has int) { C.coracle_assume_cpu(C.int(has)) }
