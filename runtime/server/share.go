package server

import (
	"errors"
	"fmt"
	"hash/fnv"
	"strconv"
	"time"

	"golang.org/x/sys/unix"
)

// Launches of the same image in the same job on a node share a server. They find it by an
// abstract Unix socket, which needs no file and is gone with its last holder. Its name is made of the key, and
// the greeting carries the key itself: a name is no proof.
//
//	client                               server
//	connect, check the peer's uid
//	greeting: key, pidfd of itself  ──▶  check the peer's uid and the key, watch the pidfd
//	                                ◀──  welcome: it will not end before the client does
//	(executes the next stage)       ◀──  reply: user namespace and mounts
//
// Who only wants to know sends a question in place of the greeting, and is told how many clients there are.

const (
	welcome  = "coracle: welcome\n"
	refusal  = "coracle: refused\n"
	question = "coracle: how many?\n" // and the key
	maxNames = 4                      // names to try where somebody else's socket has taken one
	patience = 10 * time.Second       // for a server that is being started by another launch
	maxKey   = 4096                   // bytes of a key
	backlog  = 4096                   // launches that may wait at once; the kernel's own limit is the same

	// A connection waits for room in the backlog. Somebody else's socket may never have any: that is not to hold
	// a launch up.
	roomTime = 300 * time.Millisecond
)

// errGone: the server ended, or was about to, before it took us in.
var errGone = errors.New("the image server is gone")

// errForeign: the socket of that name is another user's, or another image's.
var errForeign = errors.New("the socket belongs to somebody else")

// socketName is the n-th abstract name for a key.
func socketName(uid int, key string, n int) string {
	h := fnv.New128a()
	h.Write([]byte(key))
	return fmt.Sprintf("@coracle-%d-%x-%d", uid, h.Sum(nil), n)
}

// join connects to a running server with the key and returns the socket on which its reply arrives. When there
// is none it returns a listening socket instead, for the server that the caller has to start.
// Both -1: every name is taken by somebody else.
func join(uid int, key string, pidfd int) (sock, listener int, err error) {
	for n := range maxNames {
		for attempt := range 8 {
			sock, listener, err = tryName(uid, socketName(uid, key, n), key, pidfd)
			if err == nil {
				return sock, listener, nil
			}
			if errors.Is(err, errForeign) {
				break
			}
			time.Sleep(time.Duration(attempt) * time.Millisecond)
		}
	}
	return -1, -1, err
}

func tryName(uid int, name, key string, pidfd int) (sock, listener int, err error) {
	fd, err := dial()
	if err != nil {
		return -1, -1, err
	}
	address := &unix.SockaddrUnix{Name: name}
	switch err = unix.Connect(fd, address); {
	case err == nil:
		if err = greet(fd, uid, key, pidfd); err == nil {
			return fd, -1, nil
		}
	case errors.Is(err, unix.EAGAIN): // no room; whose socket it is shows only behind the door
		err = errForeign
	case errors.Is(err, unix.ECONNREFUSED):
		// Nobody listens: whoever binds the name first starts the server.
		if err = unix.Bind(fd, address); err == nil {
			if err = unix.Listen(fd, backlog); err == nil {
				return -1, fd, nil
			}
		} else if errors.Is(err, unix.EADDRINUSE) {
			err = errGone // another launch was faster; its socket can be connected to in a moment
		}
	}
	unix.Close(fd)
	return -1, -1, err
}

// listen returns a listening socket for a server with the key, or -1: somebody else listens there, or has all names.
func listen(uid int, key string) int {
	for n := range maxNames {
		fd, err := unix.Socket(unix.AF_UNIX, unix.SOCK_SEQPACKET|unix.SOCK_CLOEXEC, 0)
		if err != nil {
			return -1
		}
		name := socketName(uid, key, n)
		if err = unix.Bind(fd, &unix.SockaddrUnix{Name: name}); err == nil {
			err = unix.Listen(fd, backlog)
		}
		if err == nil {
			return fd
		}
		unix.Close(fd)
		if !foreign(uid, name) {
			return -1
		}
	}
	return -1
}

// foreign tells whether a name is another user's.
func foreign(uid int, name string) bool {
	fd, err := dial()
	if err != nil {
		return false
	}
	defer unix.Close(fd)
	err = unix.Connect(fd, &unix.SockaddrUnix{Name: name})
	return errors.Is(err, unix.EAGAIN) || err == nil && begin(fd, uid) != nil
}

// dial makes a socket that connects soon or not at all.
func dial() (int, error) {
	fd, err := unix.Socket(unix.AF_UNIX, unix.SOCK_SEQPACKET|unix.SOCK_CLOEXEC, 0)
	if err == nil {
		room := unix.NsecToTimeval(roomTime.Nanoseconds())
		err = unix.SetsockoptTimeval(fd, unix.SOL_SOCKET, unix.SO_SNDTIMEO, &room)
	}
	return fd, err
}

// Count asks how many clients the server with the key has; 0 when there is none.
func Count(uid int, key string) int {
	for n := range maxNames {
		if clients, err := ask(uid, socketName(uid, key, n), key); err == nil {
			return clients
		}
	}
	return 0
}

func ask(uid int, name, key string) (clients int, err error) {
	fd, err := dial()
	if err != nil {
		return 0, err
	}
	defer unix.Close(fd)
	if err := unix.Connect(fd, &unix.SockaddrUnix{Name: name}); err != nil {
		return 0, err
	}
	if err := begin(fd, uid); err != nil {
		return 0, err
	}
	if err := unix.Sendmsg(fd, []byte(question+key), nil, nil, unix.MSG_NOSIGNAL); err != nil {
		return 0, err
	}
	var buf [64]byte
	n, err := unix.Read(fd, buf[:])
	if err != nil {
		return 0, err
	}
	return strconv.Atoi(string(buf[:n]))
}

// begin makes sure whose the other side is, before anything is said, and that no answer is waited for for ever.
func begin(fd, uid int) error {
	peer, err := unix.GetsockoptUcred(fd, unix.SOL_SOCKET, unix.SO_PEERCRED)
	if err != nil || int(peer.Uid) != uid {
		return errForeign
	}
	timeout := unix.NsecToTimeval(patience.Nanoseconds())
	unix.SetsockoptTimeval(fd, unix.SOL_SOCKET, unix.SO_RCVTIMEO, &timeout)
	return nil
}

// greet introduces this process to a server and waits until it is welcome.
func greet(fd, uid int, key string, pidfd int) error {
	if err := begin(fd, uid); err != nil {
		return err
	}
	if err := unix.Sendmsg(fd, []byte(key), unix.UnixRights(pidfd), nil, unix.MSG_NOSIGNAL); err != nil {
		return errGone
	}
	var buf [64]byte
	for {
		n, err := unix.Read(fd, buf[:])
		switch {
		case err == unix.EINTR:
			continue
		case err == nil && string(buf[:n]) == welcome:
			for _, limit := range []int{unix.SO_RCVTIMEO, unix.SO_SNDTIMEO} {
				unix.SetsockoptTimeval(fd, unix.SOL_SOCKET, limit, &unix.Timeval{})
			}
			return nil
		case err == nil && string(buf[:n]) == refusal:
			return errForeign
		}
		return errGone
	}
}
