// Package userns enters user namespaces in place.
//
// A user namespace can only be entered by a process with one thread, and the Go runtime
// has several. So the binary executes itself again, and a C constructor that runs before the
// runtime (enter.c) does what a [Header] in an inherited memfd says: join or create
// namespaces, or become an image server. [Outcome] tells Go what came of it.
//
// The constructor also records what the process inherited ([Recorded]), because the Go
// runtime changes signal dispositions, the signal mask and descriptors; [Exec] puts
// all of it back when the process becomes the payload.
package userns

/*
#include "enter.h"
#include <stdlib.h>
*/
import "C"

import (
	"fmt"
	"runtime"
	"strings"
	"syscall"
	"unsafe"

	"golang.org/x/sys/unix"
)

// StagePrefix begins the argv[0] that makes the constructor look for a header; what follows it is
// for people who look at ps. The number of the memfd's descriptor is argv[1].
const StagePrefix = "coracle: "

// A Role is the part that a re-executed binary plays.
type Role int

// The roles.
const (
	None  Role = C.ROLE_NONE  // the user's own call
	Enter Role = C.ROLE_ENTER // stage two of a launch: in its namespaces, about to mount
	Serve Role = C.ROLE_SERVE // an image server

	Detach Role = C.ROLE_DETACH // the first process of an instance, before its launch

	Standby Role = C.ROLE_STANDBY // an image server that has yet to be told what to serve

	Guard Role = C.ROLE_GUARD // it unmounts what argv[2] names if the process at the other end of Sock is killed; Go never starts
)

// Flags of a [Header].
type Flags uint32

// The flags.
const (
	NewUser Flags = C.FLAG_NEW_USER // create a user namespace with the maps; else join the server's
	Init    Flags = C.FLAG_INIT     // with CLONE_NEWPID: an init is PID 1 and the payload PID 2
	Lock    Flags = C.FLAG_LOCK     // no_new_privs, and an empty capability bounding set
	Helpers Flags = C.FLAG_HELPERS  // the maps of a new user namespace are written by newuidmap and newgidmap

	Instance Flags = C.FLAG_INSTANCE // with Init: the init stays when the payload has ended
	Visit    Flags = C.FLAG_VISIT    // join the namespaces in Join, and create none

	Noted Flags = C.FLAG_TIMING // the steps are noted one by one, and shown at the end
)

// HeaderLen is the length in bytes of an encoded [Header].
const HeaderLen = int(unsafe.Sizeof(C.struct_coracle_header{}))

// A Header tells the constructor what to do.
type Header struct {
	Role       Role
	Namespaces uintptr // CLONE_NEW* to unshare, without CLONE_NEWUSER
	Flags      Flags
	Sock       int    // Enter: the descriptor that the image server answers on; Serve: its own end. -1 none
	Pidfd      int    // Serve: a pidfd of the first client, or -1
	Listener   int    // Serve: a listening socket for further clients, or -1
	UIDMap     string // lines of /proc/self/uid_map; the first one is the caller's own id
	GIDMap     string
	Report     int    // Detach, Enter with Instance: where the starter listens
	Ended      int    // the same: where the init tells how the payload ended, once, as wait(2) does; Guard: what whoever mounts has open
	Image      int    // Detach: an image file without a name, or -1
	Out, Err   int    // Detach: standard output and error
	Join       []int  // Enter with Visit: descriptors of namespaces, the user namespace first
	Steps      []Step // Enter: what the constructor does in the namespaces; none: all is left to Go
	NewUIDMap  string // with Helpers: their paths
	NewGIDMap  string
}

// Encode returns the header's bytes, HeaderLen of them, and behind them its steps. The error is that an id map or a path is too long.
func (h *Header) Encode() ([]byte, error) {
	if len(h.UIDMap) >= C.CORACLE_MAP_LEN || len(h.GIDMap) >= C.CORACLE_MAP_LEN {
		return nil, fmt.Errorf("id map of %d bytes: longer than %d", max(len(h.UIDMap), len(h.GIDMap)), C.CORACLE_MAP_LEN-1)
	}
	if len(h.NewUIDMap) >= C.CORACLE_PATH_LEN || len(h.NewGIDMap) >= C.CORACLE_PATH_LEN {
		return nil, fmt.Errorf("path of %q or %q: longer than %d bytes", h.NewUIDMap, h.NewGIDMap, C.CORACLE_PATH_LEN-1)
	}
	b := make([]byte, HeaderLen)
	c := (*C.struct_coracle_header)(unsafe.Pointer(&b[0]))
	copy(b, C.CORACLE_MAGIC)
	c.role = C.uint32_t(h.Role)
	c.namespaces = C.uint32_t(h.Namespaces)
	c.flags = C.uint32_t(h.Flags)
	c.sock = C.int32_t(h.Sock)
	c.pidfd = C.int32_t(h.Pidfd)
	c.listener = C.int32_t(h.Listener)
	c.report, c.ended, c.image = C.int32_t(h.Report), C.int32_t(h.Ended), C.int32_t(h.Image)
	c.out, c.err = C.int32_t(h.Out), C.int32_t(h.Err)
	for i := range c.join {
		c.join[i] = -1
		if i < len(h.Join) {
			c.join[i] = C.int32_t(h.Join[i])
		}
	}
	for _, text := range []struct {
		to   *C.char
		max  int
		from string
	}{
		{&c.uid_map[0], C.CORACLE_MAP_LEN, h.UIDMap}, {&c.gid_map[0], C.CORACLE_MAP_LEN, h.GIDMap},
		{&c.new_uid_map[0], C.CORACLE_PATH_LEN, h.NewUIDMap}, {&c.new_gid_map[0], C.CORACLE_PATH_LEN, h.NewGIDMap},
	} {
		copy(unsafe.Slice((*byte)(unsafe.Pointer(text.to)), text.max), text.from)
	}
	steps := encodeSteps(h.Steps)
	c.steps = C.uint32_t(len(steps))
	return append(b, steps...), nil
}

// An Outcome is what the constructor did.
type Outcome struct {
	Role  Role
	FD    int  // the memfd
	Plan  int  // where the plan begins in it
	Image int  // Enter: the image's mount, if it has arrived, or -1
	Built bool // Enter: the process is in the container's tree; what is left is to start the payload
	Sock  int  // Enter: where the image server sends the images, or -1
	Step  string
	Errno syscall.Errno // 0: all went well; else Step failed with it

	Confirm int // Enter with Instance: a byte for the init says that the instance has begun, or -1

	Small bool // the user namespace has the caller's own ids alone, where more were wanted; Step says why
}

// Stage returns what the constructor did. Role None: this is no stage.
func Stage() Outcome {
	o := &C.coracle_outcome
	out := Outcome{Role: Role(o.role), FD: int(o.fd), Plan: HeaderLen + int(o.steps), Image: int(o.image), Built: o.built != 0, Sock: int(o.sock), Errno: syscall.Errno(o.status),
		Step: C.GoString(&o.step[0]), Small: o.degraded != 0, Confirm: int(o.confirm)}
	return out
}

// ShowFiles lets the process open files, once the Go runtime has started. Call it first of all.
func ShowFiles() {
	if f := &C.coracle_files; f.hidden != 0 {
		// It replaces what the Go runtime has seen, and would hand on to others.
		_ = syscall.Setrlimit(syscall.RLIMIT_NOFILE, &syscall.Rlimit{Cur: uint64(f.soft), Max: uint64(f.hard)})
		f.hidden = 0
	}
}

// LiftAddressSpace lets the process use all of its address space, once the Go runtime has started: the
// constructor shows it less where there is little. Call it first of all.
func LiftAddressSpace() { C.coracle_raise_limits() }

// A StepError is a step of the constructor that failed.
type StepError struct {
	Step  string
	Errno syscall.Errno
}

func (e *StepError) Error() string {
	if strings.HasSuffix(e.Step, e.Errno.Error()) { // an image server's own words
		return e.Step
	}
	return e.Step + ": " + e.Errno.Error()
}

// Unwrap returns the errno.
func (e *StepError) Unwrap() error { return e.Errno }

// Err returns the failed step as a [StepError], or nil.
func (o Outcome) Err() error {
	if o.Errno == 0 {
		return nil
	}
	return &StepError{o.Step, o.Errno}
}

// A State is what a process inherited.
type State struct {
	Ignored uint64    // bit n-1: signal n is ignored
	Blocked uint64    // bit n-1: signal n is blocked
	Closed  uint32    // bit n: descriptor n, of 0 to 2, is closed
	Limits  uint32    // bit n: Soft[n] is known
	Soft    [4]uint64 // soft limits: NOFILE, AS, NPROC, SIGPENDING
}

// Recorded returns what this process inherited, as it was before the Go runtime started.
func Recorded() State {
	s := &C.coracle_state
	out := State{Ignored: uint64(s.ignored), Blocked: uint64(s.blocked), Closed: uint32(s.closed), Limits: uint32(s.limits)}
	for i := range out.Soft {
		out.Soft[i] = uint64(s.soft[i])
	}
	return out
}

// SetLimits puts the soft limits of another record into the one of this process: those that its payload is to have.
func SetLimits(from State) {
	s := &C.coracle_state
	s.limits = C.uint32_t(from.Limits)
	for i, v := range from.Soft {
		s.soft[i] = C.uint64_t(v)
	}
}

// Exec becomes the program at path with the attributes in s. It must be called on the
// process's first thread, or the parent-death signal is lost. It returns only when execve(2) fails.
func Exec(path string, argv, env []string, s State) error {
	cs := C.struct_coracle_state{ignored: C.uint64_t(s.Ignored), blocked: C.uint64_t(s.Blocked), closed: C.uint32_t(s.Closed), limits: C.uint32_t(s.Limits)}
	for i, v := range s.Soft {
		cs.soft[i] = C.uint64_t(v)
	}
	p := C.CString(path)
	errno := C.coracle_exec(p, cStrings(argv), cStrings(env), &cs, 0)
	return syscall.Errno(errno)
}

// Spawn starts the program at path as a process of its own that nobody has to wait for.
// It inherits the descriptors that are not close-on-exec.
func Spawn(path string, argv, env []string) error {
	runtime.LockOSThread()
	defer runtime.UnlockOSThread()
	p, a, e := C.CString(path), cStrings(argv), cStrings(env)
	defer C.free(unsafe.Pointer(p))
	defer freeStrings(a, len(argv))
	defer freeStrings(e, len(env))
	if errno := C.coracle_spawn(p, a, e); errno != 0 {
		return syscall.Errno(errno)
	}
	return nil
}

func cStrings(list []string) **C.char {
	p := (**C.char)(C.calloc(C.size_t(len(list)+1), C.size_t(unsafe.Sizeof((*C.char)(nil)))))
	s := unsafe.Slice(p, len(list)+1)
	for i, v := range list {
		s[i] = C.CString(v)
	}
	return p
}

func freeStrings(p **C.char, n int) {
	for _, s := range unsafe.Slice(p, n) {
		C.free(unsafe.Pointer(s))
	}
	C.free(unsafe.Pointer(p))
}

// DropCapabilities empties the calling thread's capability sets. The thread must be the one that
// calls [Exec] afterwards.
func DropCapabilities() error {
	if err := unix.Prctl(unix.PR_CAP_AMBIENT, unix.PR_CAP_AMBIENT_CLEAR_ALL, 0, 0, 0); err != nil && err != unix.EINVAL {
		return fmt.Errorf("clear ambient capabilities: %w", err)
	}
	head := unix.CapUserHeader{Version: unix.LINUX_CAPABILITY_VERSION_3}
	var none [2]unix.CapUserData
	if err := unix.Capset(&head, &none[0]); err != nil {
		return fmt.Errorf("drop capabilities: %w", err)
	}
	return nil
}

// ReplyLen is the length in bytes of an image server's answer.
const ReplyLen = int(unsafe.Sizeof(C.struct_coracle_reply{}))

// EncodeReply returns an image server's answer to a client. A status other than 0 is a failure that
// text explains.
func EncodeReply(status syscall.Errno, text string) []byte {
	b := make([]byte, ReplyLen)
	c := (*C.struct_coracle_reply)(unsafe.Pointer(&b[0]))
	c.status = C.uint32_t(status)
	setText(c, text)
	return b
}

// EncodeSmall returns the answer that comes with a user namespace in which there are the caller's own ids alone; why says
// what stood in the way of more.
func EncodeSmall(why string) []byte {
	b := make([]byte, ReplyLen)
	c := (*C.struct_coracle_reply)(unsafe.Pointer(&b[0]))
	c.degraded = 1
	setText(c, why)
	return b
}

func setText(c *C.struct_coracle_reply, text string) {
	if len(text) >= C.CORACLE_TEXT_LEN {
		text = text[:C.CORACLE_TEXT_LEN-1]
	}
	copy(unsafe.Slice((*byte)(unsafe.Pointer(&c.text[0])), C.CORACLE_TEXT_LEN), text)
}

// DecodeReply returns the failure that an answer of ReplyLen bytes reports, or nil.
func DecodeReply(b []byte) error {
	c := (*C.struct_coracle_reply)(unsafe.Pointer(&b[0]))
	if c.status == 0 {
		return nil
	}
	text, _, _ := strings.Cut(string(b[len(b)-C.CORACLE_TEXT_LEN:]), "\x00")
	return &StepError{Step: text, Errno: syscall.Errno(c.status)}
}

// Descriptors of an image server, as the constructor arranges them.
const (
	ServerSock     = 4 // where the first client's answer goes
	ServerPidfd    = 5 // the first client's pidfd; closed when the kernel has none
	ServerListener = 6 // where further clients connect; closed when the server is private
)

// Descriptors of the first process of an instance, as the constructor arranges them.
const (
	DetachReport = 4
	DetachEnded  = 5
	DetachImage  = 6 // closed when the image has a name
)

// StopValue goes with a signal that is to stop an instance (sigqueue(3)).
const StopValue = C.CORACLE_STOP
