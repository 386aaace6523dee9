package measure

import (
	"unsafe"

	"golang.org/x/sys/unix"
)

// mincore sets the lowest bit of a flag for each page of mapped data that is in memory; flags must have one for each page.
func mincore(data, flags []byte) error {
	_, _, errno := unix.Syscall(unix.SYS_MINCORE, uintptr(unsafe.Pointer(unsafe.SliceData(data))), uintptr(len(data)),
		uintptr(unsafe.Pointer(unsafe.SliceData(flags))))
	if errno != 0 {
		return errno
	}
	return nil
}
