package userns

/*
#include <stddef.h>
#include <unistd.h>

extern char **environ;
*/
import "C"

import "unsafe"

// Environ is the environment that this process was started with, "K=V" each. os.Environ may have settings of ours for the Go runtime
// in it.
func Environ() []string {
	if C.environ == nil {
		return nil
	}
	var list []string
	for p := C.environ; *p != nil; p = (**C.char)(unsafe.Add(unsafe.Pointer(p), unsafe.Sizeof(*p))) {
		list = append(list, C.GoString(*p))
	}
	return list
}
