package userns

/*
#include "enter.h"
#include <stdlib.h>
*/
import "C"

import (
	"syscall"
	"unsafe"
)

// MountApart is mount(2) in a process of its own, for a mount that asks a file system which this process serves: a thread that waits for
// its own process cannot be killed. The child stands where the calling thread does. Before Linux 5.9 it fails with ENOSYS.
func MountApart(fstype, target string, flags uintptr, data string) error {
	t, at, d := C.CString(fstype), C.CString(target), C.CString(data)
	defer C.free(unsafe.Pointer(t))
	defer C.free(unsafe.Pointer(at))
	defer C.free(unsafe.Pointer(d))
	if errno := C.coracle_mount_apart(t, at, C.ulong(flags), d); errno != 0 {
		return syscall.Errno(errno)
	}
	return nil
}
