package userns

/*
#include "enter.h"
#include <stdlib.h>
*/
import "C"

import (
	"strings"
	"unsafe"
)

// Mark notes for --timing that a part of the launch is over.
func Mark(what string) {
	C.coracle_mark_part((*C.char)(unsafe.Pointer(unsafe.StringData(what))), C.size_t(len(what)))
}

// TakeMarks adds those that an image server's answer of [ReplyLen] bytes brings along, where they are wanted.
func TakeMarks(reply []byte) {
	if Timing() {
		text := C.CString(strings.TrimRight(string(reply[len(reply)-TextLen:]), "\x00"))
		C.coracle_take_marks(text, 1)
		C.free(unsafe.Pointer(text))
	}
}

// Timing tells whether somebody wants to see the marks.
func Timing() bool { return C.coracle_timing != 0 }

// ShowMarks writes them to standard error, a line each.
func ShowMarks() { C.coracle_show_marks() }

// EncodeMarks returns them as text of less than size bytes, which [MarksVariable] takes to the next program that this process
// executes, and an image server's answer to its client.
func EncodeMarks(size int) string {
	b := (*C.char)(C.malloc(C.size_t(size)))
	defer C.free(unsafe.Pointer(b))
	C.coracle_marks(b, C.size_t(size))
	return C.GoString(b)
}

// MarksVariable begins the variable of the environment that holds the marks of a process before its execve, and says that
// they are wanted.
const MarksVariable = "CORACLE_MARKS="

// TextLen is how long the text of an image server's answer may be, in bytes.
const TextLen = C.CORACLE_TEXT_LEN
