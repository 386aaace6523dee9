package userns

/*
#include "enter.h"
*/
import "C"

import (
	"bytes"
	"errors"
	"unsafe"
)

// A Call is a launch that asks an image server for its plan, and what the kernel says of the process.
type Call struct {
	UID, GID   int
	Groups     []int
	Umask      int
	SID        int // its session
	NoNewPrivs bool
	HardLimits []uint64  // by resource, from 0 on
	Namespaces [3]string // what /proc/self/ns/ user, mnt and pid lead to
	Label      string    // of the security module
	Cgroup     string    // /proc/self/cgroup
	Terminal   string    // path of the terminal that is standard input, output or error; "" none
	Argv, Env  []string
}

// CallLen is how long a call may be, in bytes.
const CallLen = C.CORACLE_CALL_LEN

// The descriptors that come with a call.
const (
	CallPidfd     = iota // of the process
	CallRoot             // its root directory
	CallDirectory        // its working directory
	CallAnswer           // of a standby's call alone: where the answer goes
)

var errCall = errors.New("not a launch's call")

// IsCall tells whether a message begins like a call.
func IsCall(b []byte) bool { return bytes.HasPrefix(b, []byte(C.CORACLE_CALL_MAGIC)) }

// DecodeCall reads a call.
func DecodeCall(b []byte) (*Call, error) {
	head := int(unsafe.Sizeof(C.struct_coracle_call{}))
	if len(b) < head || len(b) > CallLen || string(b[:8]) != C.CORACLE_CALL_MAGIC {
		return nil, errCall
	}
	var h C.struct_coracle_call
	copy(unsafe.Slice((*byte)(unsafe.Pointer(&h)), head), b)
	text := b[head:]
	count := bytes.Count(text, []byte{0})
	argc, envc := int64(h.argc), int64(h.envc)
	call := &Call{UID: int(h.uid), GID: int(h.gid), Umask: int(h.umask & 0o777), SID: int(h.sid), NoNewPrivs: h.no_new_privs != 0}
	fixed := []*string{&call.Namespaces[0], &call.Namespaces[1], &call.Namespaces[2], &call.Label, &call.Cgroup, &call.Terminal}
	if int64(count) != int64(len(fixed))+argc+envc || argc == 0 || text[len(text)-1] != 0 || h.groups > C.CORACLE_CALL_GROUPS {
		return nil, errCall
	}
	next := func() string {
		s, rest, _ := bytes.Cut(text, []byte{0})
		text = rest
		return string(s)
	}
	for _, s := range fixed {
		*s = next()
	}
	for range argc {
		call.Argv = append(call.Argv, next())
	}
	for range envc {
		call.Env = append(call.Env, next())
	}
	for _, g := range h.group[:h.groups] {
		call.Groups = append(call.Groups, int(g))
	}
	for _, limit := range h.hard {
		call.HardLimits = append(call.HardLimits, uint64(limit))
	}
	return call, nil
}

// NameForCalls returns a socket with the name that launches call which are of this process's step of a job and want the file. Nobody
// listens on it yet. -1: another server has the name.
func NameForCalls(device, inode uint64) int {
	return int(C.coracle_name_calls(C.uint64_t(device), C.uint64_t(inode)))
}

// EndMarks: from now on [Mark] does nothing. It is for a process of several threads.
func EndMarks() { C.coracle_end_marks() }
