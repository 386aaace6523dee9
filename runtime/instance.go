package runtime

import (
	"errors"
	"fmt"
	"os"
	"strconv"
	"strings"
	"syscall"
	"time"

	"coracle/runtime/instance"
	"coracle/runtime/stage"
	"coracle/userns"

	"golang.org/x/sys/unix"
)

// An instance is a launch by a process that is nobody's child: it belongs to no session, no terminal and no job
// control, and has no descriptor of whoever started it. The starter and the instance talk over a socket
// until the start script runs:
//
//	instance                              starter
//	"ready": the container stands    ──▶  records the instance (the kernel tells who the sender is)
//	                                 ◀──  "go"
//	tells its init that it has begun
//	executes the start script, which
//	closes the socket                ──▶  done, unless the script fails at once
//	or "failed STATUS\nTEXT"         ──▶  prints the text, stops the instance
//
// When the starter is killed before "go", the instance ends: there is none without a record.

// A detachment is what the first process of an instance is told.
type detachment struct {
	Plan       Plan
	Limits     userns.State // the soft limits that the start script is to have
	Descriptor bool         // the image's file has no name and is handed down
}

// A Starting is an instance on its way.
type Starting struct {
	report, ended int
}

// A FailedError is the end of an instance before, or as soon as, its start script ran.
type FailedError struct {
	Status int
	Text   string // whole lines, ready to be printed; "" the script itself ended with the status
}

func (e *FailedError) Error() string {
	return fmt.Sprintf("the start script ended with status %d", e.Status)
}

// StartInstance starts a process that launches the plan as an instance. Its standard output and error are out and err.
func StartInstance(p *Plan, out, err *os.File) (*Starting, error) {
	report, failure := unix.Socketpair(unix.AF_UNIX, unix.SOCK_SEQPACKET|unix.SOCK_CLOEXEC, 0)
	if failure != nil {
		return nil, failure
	}
	defer unix.Close(report[1])
	ended, failure := unix.Socketpair(unix.AF_UNIX, unix.SOCK_SEQPACKET|unix.SOCK_CLOEXEC, 0)
	if failure != nil {
		unix.Close(report[0])
		return nil, failure
	}
	defer unix.Close(ended[1])
	s := &Starting{report: report[0], ended: ended[0]}
	if failure := s.start(p, report[1], ended[1], int(out.Fd()), int(err.Fd())); failure != nil {
		s.Close()
		return nil, failure
	}
	return s, nil
}

func (s *Starting) start(p *Plan, report, ended, out, errs int) error {
	// Who speaks, in our own numbers.
	if err := unix.SetsockoptInt(s.report, unix.SOL_SOCKET, unix.SO_PASSCRED, 1); err != nil {
		return err
	}
	h := userns.Header{Role: userns.Detach, Report: report, Ended: ended, Image: -1, Out: out, Err: errs}
	d := detachment{Plan: *p, Limits: userns.Recorded()}
	inherited := []int{report, ended, out, errs}
	if p.Root.Descriptor > 0 {
		d.Descriptor, h.Image = true, p.Root.Descriptor
		inherited = append(inherited, p.Root.Descriptor)
	}
	fd, err := stage.File(&h, &d)
	if err != nil {
		return err
	}
	defer unix.Close(fd)
	for _, f := range inherited {
		if _, err := unix.FcntlInt(uintptr(f), unix.F_SETFD, 0); err != nil {
			return err
		}
	}
	return stage.Start(fd, "instance", p.Instance)
}

// Close ends the conversation. An instance that has not been told to go ends.
func (s *Starting) Close() {
	unix.Close(s.report)
	unix.Close(s.ended)
}

// errSilent: the instance ended without a word, most likely because somebody killed it.
var errSilent = errors.New("the instance ended before its start script ran")

// Ready waits until the container stands and returns the process that sent word of it: a child of the
// instance's init. The error may be a [*FailedError].
func (s *Starting) Ready() (pid int, err error) {
	text, pid, err := s.hear()
	if err == nil && text != "ready" {
		err = failure(text)
	}
	return pid, err
}

// Go lets the start script begin.
func (s *Starting) Go() error {
	if err := unix.Sendmsg(s.report, []byte("go"), nil, nil, unix.MSG_NOSIGNAL); err != nil {
		return errSilent
	}
	return nil
}

// The start script counts as running when it has been executed and has not failed after a moment.
// Interpreting one in an image without a shell may take longer than waiting for it is worth.
const (
	moment  = 150 * time.Millisecond
	enough  = 10 * time.Second
	maxNote = 64 << 10 // bytes of a message
)

// Run waits until the start script runs. The error may be a [*FailedError].
func (s *Starting) Run() error {
	timeout := unix.NsecToTimeval(enough.Nanoseconds())
	unix.SetsockoptTimeval(s.report, unix.SOL_SOCKET, unix.SO_RCVTIMEO, &timeout)
	switch text, _, err := s.hear(); {
	case errors.Is(err, unix.EAGAIN):
		return nil
	case err == nil:
		return failure(text)
	case !errors.Is(err, errSilent):
		return err
	}
	status, ok := s.end(moment)
	if !ok || status == 0 {
		return nil
	}
	return &FailedError{Status: status}
}

// end waits for the end of the start script and returns its exit status as a shell has it.
func (s *Starting) end(patience time.Duration) (status int, ok bool) {
	poll := []unix.PollFd{{Fd: int32(s.ended), Events: unix.POLLIN}}
	for deadline := time.Now().Add(patience); ; {
		n, err := unix.Poll(poll, max(0, int(time.Until(deadline).Milliseconds())))
		if err == unix.EINTR {
			continue
		}
		if n <= 0 {
			return 0, false
		}
		break
	}
	var raw [4]byte
	if n, err := unix.Read(s.ended, raw[:]); err != nil || n != len(raw) {
		return 255, true // the init has gone with it
	}
	wait := syscall.WaitStatus(uint32(raw[0]) | uint32(raw[1])<<8 | uint32(raw[2])<<16 | uint32(raw[3])<<24)
	if wait.Signaled() {
		return 128 + int(wait.Signal()), true
	}
	return wait.ExitStatus(), true
}

// hear waits for a message. The error is errSilent when the other end has been closed.
func (s *Starting) hear() (text string, pid int, err error) {
	buf := make([]byte, maxNote)
	oob := make([]byte, unix.CmsgSpace(unix.SizeofUcred))
	for {
		n, oobn, _, _, err := unix.Recvmsg(s.report, buf, oob, unix.MSG_CMSG_CLOEXEC)
		switch {
		case err == unix.EINTR:
			continue
		case err != nil:
			return "", 0, fmt.Errorf("wait for the instance: %w", err)
		case n == 0:
			return "", 0, errSilent
		}
		messages, _ := unix.ParseSocketControlMessage(oob[:oobn])
		for _, m := range messages {
			if cred, err := unix.ParseUnixCredentials(&m); err == nil {
				pid = int(cred.Pid)
			}
		}
		return string(buf[:n]), pid, nil
	}
}

// failure reads "failed STATUS\nTEXT". A status of 0 is no failure: there was nothing to run.
func failure(message string) error {
	head, text, _ := strings.Cut(message, "\n")
	status, err := strconv.Atoi(strings.TrimPrefix(head, "failed "))
	if err != nil {
		return fmt.Errorf("the instance said %q", head)
	}
	if status == 0 {
		return nil
	}
	return &FailedError{status, text}
}

// detached launches an instance. The starter hears why it could not be.
func detached(o userns.Outcome) error {
	var d detachment
	err := o.Err()
	if err == nil {
		err = stage.Read(o.FD, o.Plan, &d)
	}
	if err != nil {
		return &StageError{nil, err, sendReport}
	}
	userns.SetLimits(d.Limits)
	if d.Descriptor {
		d.Plan.Root.Descriptor = userns.DetachImage
	}
	return &StageError{&d.Plan, Launch(&d.Plan, nil), sendReport}
}

// inheritReport hands the sockets to the starter on to the next stage.
func inheritReport(h *userns.Header) error {
	h.Flags |= userns.Instance
	h.Report, h.Ended = userns.DetachReport, userns.DetachEnded
	for _, fd := range []int{h.Report, h.Ended} {
		if _, err := unix.FcntlInt(uintptr(fd), unix.F_SETFD, 0); err != nil {
			return fmt.Errorf("keep the socket to the starter: %w", err)
		}
	}
	return nil
}

// reporter is how a failure gets to the starter of an instance; nil where there is none.
func (p *Plan) reporter() func(int, string) {
	if p.Instance == "" || p.Visit {
		return nil
	}
	return sendReport
}

func sendReport(status int, text string) {
	message := fmt.Sprintf("failed %d\n%s", status, text)
	unix.Sendmsg(userns.DetachReport, []byte(message[:min(len(message), maxNote)]), nil, nil, unix.MSG_NOSIGNAL)
}

// begin tells the starter that the container stands and, when it has recorded that, the init that it is to stay.
func begin(confirm int) error {
	var buf [8]byte
	if err := unix.Sendmsg(userns.DetachReport, []byte("ready"), nil, nil, unix.MSG_NOSIGNAL); err != nil {
		return err
	}
	for {
		n, err := unix.Read(userns.DetachReport, buf[:])
		switch {
		case err == unix.EINTR:
			continue
		case err != nil:
			return err
		case string(buf[:n]) != "go":
			return errors.New("whoever started the instance has gone")
		}
		_, err = unix.Write(confirm, buf[:1])
		return err
	}
}

// VisitInstance carries out a plan in a running instance: this process becomes the payload's keeper, as
// for --pid. It returns only on failure.
func VisitInstance(p *Plan, s *instance.State) error {
	h := userns.Header{Role: userns.Enter, Sock: -1, Flags: userns.Visit, Namespaces: unix.CLONE_NEWPID}
	if p.Fakeroot == "" {
		h.Flags |= userns.Lock
	}
	var err error
	if h.Join, err = s.Namespaces(); err != nil {
		return fmt.Errorf("enter the instance %q: %w", s.Name, err)
	}
	for _, ns := range h.Join {
		if _, err := unix.FcntlInt(uintptr(ns), unix.F_SETFD, 0); err != nil {
			return err
		}
	}
	fd, err := stage.File(&h, p)
	if err != nil {
		return err
	}
	return stage.Become(fd, p.Timing, "visit", p.Instance)
}
