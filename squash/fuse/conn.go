package fuse

import (
	"fmt"
	"runtime"
	"unsafe"

	"golang.org/x/sys/unix"
)

// A conn is one mounted /dev/fuse descriptor. The calls are raw ones: the
// descriptor blocks, and the runtime's poller has nothing to add to a single
// reader.
type conn struct{ fd int }

// maxParts is how many pieces a reply may have, its header included.
const maxParts = 8

// block clears O_NONBLOCK, which a descriptor that came through os.File or a socket may have.
func (c conn) block() error {
	fl, err := unix.FcntlInt(uintptr(c.fd), unix.F_GETFL, 0)
	if err == nil && fl&unix.O_NONBLOCK != 0 {
		_, err = unix.FcntlInt(uintptr(c.fd), unix.F_SETFL, fl&^unix.O_NONBLOCK)
	}
	if err != nil {
		return fmt.Errorf("fuse descriptor %d: %w", c.fd, err)
	}
	return nil
}

// read waits for one request and returns its length.
func (c conn) read(buf []byte) (int, unix.Errno) {
	n, _, errno := unix.Syscall(unix.SYS_READ, uintptr(c.fd),
		uintptr(unsafe.Pointer(unsafe.SliceData(buf))), uintptr(len(buf)))
	return int(n), errno
}

// write sends a reply that is in one piece.
func (c conn) write(buf []byte) unix.Errno {
	_, _, errno := unix.Syscall(unix.SYS_WRITE, uintptr(c.fd),
		uintptr(unsafe.Pointer(unsafe.SliceData(buf))), uintptr(len(buf)))
	return errno
}

// writev sends a reply that is in len(parts) pieces.
func (c conn) writev(parts []unix.Iovec) unix.Errno {
	_, _, errno := unix.Syscall(unix.SYS_WRITEV, uintptr(c.fd),
		uintptr(unsafe.Pointer(unsafe.SliceData(parts))), uintptr(len(parts)))
	runtime.KeepAlive(parts)
	return errno
}

// iovec is b as writev wants it.
func iovec(b []byte) unix.Iovec {
	v := unix.Iovec{Base: unsafe.SliceData(b)}
	v.SetLen(len(b))
	return v
}
