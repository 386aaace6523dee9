package storage

import (
	"bytes"
	"context"
	"encoding/binary"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"syscall"

	"coracle/userns"

	"golang.org/x/sys/unix"
)

// Maps are the subordinate ids of the user, to which the files of a store belong, and the programs that map them. In a user
// namespace where they are mapped their owner is the user's own root, who may read them.
type Maps struct {
	UIDs, GIDs           []userns.SubRange
	NewUIDMap, NewGIDMap string // paths; "" there is none
}

// ErrSubIDs says that files belong to subordinate ids that cannot be mapped.
var ErrSubIDs = errors.New("it belongs to a subordinate id, and there is no mapping those")

// HelperName is what the helper is called: a process of this program in a user namespace, that opens files.
const HelperName = "coracle-storage-helper"

// The helper is started in a new user namespace. It has no rights there before ids are mapped and it has executed itself
// again, as root of the namespace; the first byte says that they are.
const mapped = "mapped"

// IsHelper reports whether a process is to be the helper, by its arguments.
func IsHelper(argv []string) bool { return len(argv) > 0 && argv[0] == HelperName }

// helperSock is the descriptor of the helper's end of the sockets.
const helperSock = 3

// maxRequest bounds a request: two paths.
const maxRequest = 16 << 10

// Help is what the helper does, until the other side closes its socket. It returns why it ended.
func Help(argv []string) error {
	if len(argv) < 2 || argv[1] != mapped {
		var b [1]byte
		if n, _, err := unix.Recvfrom(helperSock, b[:], 0); err != nil || n != 1 {
			return errors.Join(err, errors.New("nobody has mapped our ids"))
		}
		return unix.Exec("/proc/self/exe", []string{HelperName, mapped}, nil)
	}
	unix.CloseOnExec(helperSock)
	for buf := make([]byte, maxRequest); ; {
		n, _, err := unix.Recvfrom(helperSock, buf, 0)
		if err == unix.EINTR {
			continue
		}
		if err != nil || n == 0 {
			return err
		}
		if err := answer(buf[:n]); err != nil {
			return err
		}
	}
}

// answer opens the file of a request, and sends it or the reason why not.
func answer(request []byte) error {
	dir, name, _ := bytes.Cut(request, []byte{0})
	f, err := openBelow(string(dir), string(name))
	var status [4]byte
	var rights []byte
	if err == nil {
		defer f.Close()
		rights = unix.UnixRights(int(f.Fd()))
	} else {
		errno := unix.EIO
		errors.As(err, &errno)
		binary.NativeEndian.PutUint32(status[:], uint32(errno))
	}
	return unix.Sendmsg(helperSock, status[:], rights, nil, 0)
}

// A helper is the other side of the process.
type helper struct {
	cmd  *exec.Cmd
	sock int
}

// startHelper starts the process and maps its ids.
func startHelper(ctx context.Context, m Maps) (*helper, error) {
	if len(m.UIDs) == 0 || len(m.GIDs) == 0 || m.NewUIDMap == "" || m.NewGIDMap == "" {
		return nil, ErrSubIDs
	}
	pair, err := unix.Socketpair(unix.AF_UNIX, unix.SOCK_SEQPACKET|unix.SOCK_CLOEXEC, 0)
	if err != nil {
		return nil, fmt.Errorf("create a pair of sockets: %w", err)
	}
	theirs := os.NewFile(uintptr(pair[1]), "socket")
	defer theirs.Close()
	h := &helper{sock: pair[0], cmd: &exec.Cmd{
		Path: "/proc/self/exe", Args: []string{HelperName}, Env: []string{}, Dir: "/",
		ExtraFiles:  []*os.File{theirs},
		SysProcAttr: &syscall.SysProcAttr{Cloneflags: unix.CLONE_NEWUSER, Setsid: true},
	}}
	if err := h.cmd.Start(); err != nil {
		unix.Close(h.sock)
		return nil, fmt.Errorf("start a process in a user namespace: %w", err)
	}
	err = mapIDs(ctx, m.NewUIDMap, h.cmd.Process.Pid, os.Getuid(), m.UIDs)
	if err == nil {
		err = mapIDs(ctx, m.NewGIDMap, h.cmd.Process.Pid, os.Getgid(), m.GIDs)
	}
	if err == nil {
		err = unix.Send(h.sock, []byte{1}, unix.MSG_NOSIGNAL)
	}
	if err != nil {
		return nil, errors.Join(fmt.Errorf("%w: %w", ErrSubIDs, err), h.close())
	}
	return h, nil
}

// mapIDs has a program write an id map: root is the caller, who is followed by the subordinate ids.
func mapIDs(ctx context.Context, program string, pid, own int, ranges []userns.SubRange) error {
	args := []string{strconv.Itoa(pid), "0", strconv.Itoa(own), "1"}
	inside := 1
	for _, r := range ranges {
		args = append(args, strconv.Itoa(inside), strconv.Itoa(r.First), strconv.Itoa(r.Count))
		inside += r.Count
	}
	if out, err := exec.CommandContext(ctx, program, args...).CombinedOutput(); err != nil {
		return fmt.Errorf("%s: %w: %s", filepath.Base(program), err, strings.TrimSpace(string(out)))
	}
	return nil
}

// file asks for a file.
func (h *helper) file(dir, name string) (*os.File, error) {
	request := dir + "\x00" + name
	if len(request) > maxRequest {
		return nil, fmt.Errorf("%w: a path of %d bytes", ErrCorrupt, len(request))
	}
	if err := unix.Send(h.sock, []byte(request), unix.MSG_NOSIGNAL); err != nil {
		return nil, fmt.Errorf("ask for %q: %w", name, err)
	}
	var status [4]byte
	rights := make([]byte, unix.CmsgSpace(4))
	n, rn, _, _, err := recv(h.sock, status[:], rights)
	if err != nil || n != len(status) {
		return nil, errors.Join(fmt.Errorf("the process that reads files of subordinate ids has ended"), err)
	}
	if errno := binary.NativeEndian.Uint32(status[:]); errno != 0 {
		return nil, &fs.PathError{Op: "open", Path: filepath.Join(dir, name), Err: syscall.Errno(errno)}
	}
	messages, err := unix.ParseSocketControlMessage(rights[:rn])
	if err != nil || len(messages) != 1 {
		return nil, errors.Join(errors.New("no file came"), err)
	}
	fds, err := unix.ParseUnixRights(&messages[0])
	if err != nil || len(fds) != 1 {
		return nil, errors.Join(errors.New("no file came"), err)
	}
	return regular(os.NewFile(uintptr(fds[0]), filepath.Join(dir, name)))
}

func recv(sock int, p, oob []byte) (n, oobn, flags int, from unix.Sockaddr, err error) {
	for {
		n, oobn, flags, from, err = unix.Recvmsg(sock, p, oob, unix.MSG_CMSG_CLOEXEC)
		if err != unix.EINTR {
			return n, oobn, flags, from, err
		}
	}
}

// close ends the process.
func (h *helper) close() error {
	unix.Close(h.sock)
	var exit *exec.ExitError
	if err := h.cmd.Wait(); err != nil && !errors.As(err, &exit) {
		return err
	}
	return nil
}
