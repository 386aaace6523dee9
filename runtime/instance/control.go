package instance

import (
	"errors"
	"fmt"
	"os"
	"time"
	"unsafe"

	"coracle/userns"

	"golang.org/x/sys/unix"
)

// Known fills in the processes of an instance one of whose processes, a child of its init, is pid.
func (s *State) Known(pid int) error {
	s.PIDSpace, s.Boot = place()
	init, err := parent(pid)
	if err != nil {
		return fmt.Errorf("find the instance's init: %w", err)
	}
	s.Process, s.PID = init, init.ID
	if s.Monitor, err = parent(init.ID); err != nil {
		return fmt.Errorf("find the instance's first process: %w", err)
	}
	return nil
}

// Namespaces opens the instance's namespaces that are not ours already, the user namespace first.
func (s *State) Namespaces() ([]int, error) {
	pidfd, err := s.Process.open()
	if err != nil {
		return nil, err
	}
	defer unix.Close(pidfd)
	var fds []int
	for _, ns := range []string{"user", "ipc", "uts", "net", "pid", "mnt"} {
		path := fmt.Sprintf("/proc/%d/ns/%s", s.PID, ns)
		theirs, err := os.Readlink(path)
		if errors.Is(err, os.ErrPermission) {
			return nil, ErrElsewhere
		}
		if err != nil {
			return nil, err
		}
		if ours, err := os.Readlink("/proc/self/ns/" + ns); err == nil && ours == theirs {
			continue
		}
		fd, err := unix.Open(path, unix.O_RDONLY|unix.O_CLOEXEC, 0)
		if err != nil {
			return nil, &os.PathError{Op: "open", Path: path, Err: err}
		}
		fds = append(fds, fd)
	}
	// Were they all the instance's, and not those of a later process with its number?
	return fds, unix.PidfdSendSignal(pidfd, 0, nil, 0)
}

// ErrElsewhere says that an instance belongs to another container.
var ErrElsewhere = errors.New("it was started inside of another container, and can be entered from there only")

// ErrAlive says that an instance was still there when the time was up.
var ErrAlive = errors.New("the instance is still there")

// Stop asks the instance to end: everybody in it gets the signal. After the timeout the rest is killed; the
// error is [ErrAlive] when even that takes too long. An instance that has ended already is no error.
func (s *State) Stop(sig unix.Signal, timeout time.Duration) error {
	monitor, err := s.Monitor.open()
	if err != nil {
		return ended(err)
	}
	defer unix.Close(monitor)
	init, err := s.Process.open()
	if err != nil {
		return ended(err)
	}
	defer unix.Close(init)
	if sig != unix.SIGKILL {
		if err := request(init, sig); err != nil {
			return ended(err)
		}
		if gone(monitor, timeout) {
			return nil
		}
	}
	if err := unix.PidfdSendSignal(init, unix.SIGKILL, nil, 0); err != nil {
		return ended(err)
	}
	if !gone(monitor, dying) {
		return ErrAlive
	}
	return nil
}

// dying is how long the kernel may take to end what has been killed: a process may wait for a disk.
const dying = 10 * time.Second

func ended(err error) error {
	if errors.Is(err, unix.ESRCH) {
		return nil
	}
	return err
}

// request sends a signal with the value that tells an instance's init to stop.
func request(pidfd int, sig unix.Signal) error {
	return unix.PidfdSendSignal(pidfd, sig, stopInfo(sig), 0)
}

// gone waits for the end of a process.
func gone(pidfd int, timeout time.Duration) bool {
	poll := []unix.PollFd{{Fd: int32(pidfd), Events: unix.POLLIN}}
	for deadline := time.Now().Add(timeout); ; {
		n, err := unix.Poll(poll, max(0, int(time.Until(deadline).Milliseconds())))
		if err != unix.EINTR {
			return err == nil && n > 0
		}
	}
}

// stopInfo is what sigqueue(3) would send.
//
// Source: siginfo_t in the kernel's include/uapi/asm-generic/siginfo.h: after three numbers and padding to the size of
// a pointer come the sender's process and user, and the value.
func stopInfo(sig unix.Signal) *unix.Siginfo {
	const queued = -1 // SI_QUEUE
	var s unix.Siginfo
	s.Signo, s.Code = int32(sig), queued
	const word = unsafe.Sizeof(uintptr(0))
	from := (*[3]int32)(unsafe.Add(unsafe.Pointer(&s), (3*4+word-1)/word*word))
	from[0], from[1], from[2] = int32(os.Getpid()), int32(os.Getuid()), userns.StopValue
	return &s
}
