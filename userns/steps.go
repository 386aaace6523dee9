package userns

/*
#include "enter.h"
*/
import "C"

import (
	"encoding/binary"
	"unsafe"
)

// A StepKind says what a [Step] does.
type StepKind uint32

// The kinds of step. "Inside" is below the root that the last Root step named, with the container's symlinks.
const (
	StepTree  StepKind = C.STEP_TREE   // a detached copy of the mounts at path A goes into Slot
	StepImage StepKind = C.STEP_IMAGE  // the mount that the image server sends goes into Slot
	StepBase  StepKind = C.STEP_BASE   // a tmpfs on the directory A: all that follows is made in it
	StepDir   StepKind = C.STEP_DIR    // the directory A with Mode
	StepMode  StepKind = C.STEP_MODE   // Mode for A
	StepFile  StepKind = C.STEP_FILE   // the file A with Mode and contents B
	StepPlace StepKind = C.STEP_PLACE  // what is in Slot appears at A
	StepMount StepKind = C.STEP_MOUNT  // a file system of type B, with the data C, on A
	StepRoot  StepKind = C.STEP_ROOT   // A is the root
	StepBind  StepKind = C.STEP_BIND   // what is in Slot appears at A inside
	StepNew   StepKind = C.STEP_NEW    // a file system of type B, with the data C, on A inside
	StepMkdir StepKind = C.STEP_DIR_IN // inside, in the directory A: the directory B with Mode
	StepTouch StepKind = C.STEP_FILE_IN
	StepLink  StepKind = C.STEP_LINK_IN // the same: the symlink B to C
	StepEnter StepKind = C.STEP_ENTER   // A becomes the process's root, the rest of the tree is gone
	StepChdir StepKind = C.STEP_CHDIR
	StepUmask StepKind = C.STEP_UMASK // Mode
	StepExec  StepKind = C.STEP_EXEC  // without privileges: the program A with Argv and Env
	StepLeave StepKind = C.STEP_LEAVE // from here on in a copy of the mount namespace that came with the plan
)

// Slots is how many detached mounts there can be.
const Slots = C.CORACLE_SLOTS

// A Step is a system call or two of the constructor's. Steps run in order, once the process is in its namespaces.
// The first that fails ends the run: before Enter everything is undone, after it [Outcome.Built] is set.
type Step struct {
	Kind     StepKind
	Slot     int
	Flags    uintptr // Place, Bind: MOUNT_ATTR_*; Mount, New: MS_*
	Mode     uint32
	Rec      bool // Tree, Place, Bind: with the mounts below it
	Optional bool // a failure is passed over
	A, B, C  string
	Argv     []string
	Env      []string
}

// encodeSteps returns the steps as the constructor reads them: their number, the records, and the strings. nil: there are none, or
// one that cannot be told (a string with a NUL in it).
func encodeSteps(steps []Step) []byte {
	if len(steps) == 0 {
		return nil
	}
	const size = int(unsafe.Sizeof(C.struct_coracle_step{}))
	b := make([]byte, 8+size*len(steps), 16<<10)
	binary.NativeEndian.PutUint64(b, uint64(len(steps)))
	whole := true
	put := func(s string, binary bool) C.uint32_t {
		at := len(b)
		for i := 0; i < len(s) && !binary; i++ {
			whole = whole && s[i] != 0
		}
		b = append(append(b, s...), 0)
		return C.uint32_t(at)
	}
	for i, s := range steps {
		whole = whole && s.Slot < Slots
		c := C.struct_coracle_step{kind: C.uint32_t(s.Kind), slot: C.uint32_t(s.Slot), flags: C.uint32_t(s.Flags), mode: C.uint32_t(s.Mode)}
		c.rec, c.optional = flag(s.Rec), flag(s.Optional)
		c.a = put(s.A, false)
		c.b = put(s.B, s.Kind == StepFile)
		c.c = put(s.C, false)
		if s.Kind == StepFile {
			c.len = C.uint32_t(len(s.B))
		}
		if s.Kind == StepExec {
			c.b, c.count, c.len = C.uint32_t(len(b)), C.uint32_t(len(s.Argv)), C.uint32_t(len(s.Env))
			for _, word := range s.Argv {
				put(word, false)
			}
			for _, word := range s.Env {
				put(word, false)
			}
		}
		copy(b[8+size*i:], unsafe.Slice((*byte)(unsafe.Pointer(&c)), size))
	}
	if !whole {
		return nil
	}
	return append(b, make([]byte, -len(b)&7+8)...)
}

func flag(on bool) C.uint32_t {
	if on {
		return 1
	}
	return 0
}
