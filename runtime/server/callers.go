package server

import (
	goruntime "runtime"
	"sync/atomic"

	"coracle/userns"

	"golang.org/x/sys/unix"
)

// A launch that finds the server of its image running need not start a Go runtime to plan: the server has one. It asks
// on a socket of its own, whose name its constructor can find out (userns/call.c):
//
//	launch                                        server
//	what the kernel says of it, its arguments and
//	environment; a pidfd, its root and its
//	working directory                        ──▶  plans on a thread that stands there
//	                                         ◀──  the memfd of the second stage
//	                                         ◀──  user namespace, mounts: as for every client
//	or the end of the connection             ◀──  what needs more than a plan, or has something to say
//
// The launch compares the server's program with its own before it says anything.

// A Planner writes the plan of another process's launch into a memfd, which is the caller's then. The calling thread has that process's
// root and working directory. key is the server's. ok is false when that launch has to plan itself.
type Planner func(call *userns.Call, key string) (plan int, ok bool)

// callers are the threads that plan for launches.
type callers struct {
	listener int
	plan     Planner
	clients  *clients
	send     func(sock int) error // the user namespace and the images
	idle     atomic.Int32
	threads  atomic.Int32
}

// callTime is how long a caller may take to say what it wants, in seconds.
const callTime = 1

// prepare takes the name for the image, while the host's tree can be seen. Nobody listens there yet: a launch would wait for
// the server's own affairs.
func (c *callers) prepare(im *Image) {
	var err error
	if c.clients.bell, err = unix.Eventfd(0, unix.EFD_CLOEXEC|unix.EFD_NONBLOCK); err == nil {
		c.listener = userns.NameForCalls(im.Device, im.Inode)
	}
}

// start begins to answer calls. The server must have left the host's tree.
func (c *callers) start() {
	if c.listener < 0 || unix.Listen(c.listener, backlog) != nil {
		return
	}
	userns.EndMarks()
	c.threads.Add(1)
	go c.work()
}

// work answers one caller after the other.
func (c *callers) work() {
	goruntime.LockOSThread() // for ever: the thread has a root of its own, and ends with this function
	defer c.threads.Add(-1)
	home, err := unix.Open("/", unix.O_PATH|unix.O_DIRECTORY|unix.O_CLOEXEC, 0)
	if err != nil || unix.Unshare(unix.CLONE_FS) != nil {
		return
	}
	buf := make([]byte, userns.CallLen+1)
	for {
		c.idle.Add(1)
		sock, _, err := unix.Accept4(c.listener, unix.SOCK_CLOEXEC)
		if c.idle.Add(-1) == 0 && int(c.threads.Load()) < goruntime.GOMAXPROCS(0) {
			c.threads.Add(1)
			go c.work()
		}
		if err == unix.EINTR || err == unix.ECONNABORTED {
			continue
		}
		if err != nil {
			return
		}
		back := c.answer(sock, home, buf)
		unix.Close(sock)
		if !back {
			return
		}
	}
}

// answer deals with a caller. false: the thread cannot be used any more.
func (c *callers) answer(sock, home int, buf []byte) (back bool) {
	timeout := unix.Timeval{Sec: callTime}
	unix.SetsockoptTimeval(sock, unix.SOL_SOCKET, unix.SO_RCVTIMEO, &timeout)
	unix.SetsockoptTimeval(sock, unix.SOL_SOCKET, unix.SO_SNDTIMEO, &timeout)
	peer, err := unix.GetsockoptUcred(sock, unix.SOL_SOCKET, unix.SO_PEERCRED)
	if err != nil || int(peer.Uid) != c.clients.uid {
		return true
	}
	oob := make([]byte, unix.CmsgSpace(userns.CallDescriptors*4))
	n, oobn, err := receive(sock, buf, oob, 0)
	if err != nil {
		return true
	}
	fds, err := descriptors(oob[:oobn])
	if err != nil {
		return true
	}
	pidfd := -1
	defer func() {
		for _, fd := range fds {
			if fd != pidfd {
				unix.Close(fd)
			}
		}
	}()
	call, err := userns.DecodeCall(buf[:n])
	if err != nil || len(fds) != userns.CallDescriptors || !isPidfd(fds[userns.CallPidfd]) {
		return true
	}
	plan, ok := -1, false
	if stand(fds[userns.CallRoot], fds[userns.CallDirectory], call.Umask) == nil {
		plan, ok = c.planFor(call)
	}
	back = stand(home, home, 0o022) == nil
	if ok {
		if back && c.clients.arrive(fds[userns.CallPidfd]) {
			pidfd = fds[userns.CallPidfd]
			if unix.Sendmsg(sock, []byte{sentConfig}, unix.UnixRights(plan), nil, unix.MSG_NOSIGNAL) == nil {
				c.send(sock) // a client that is gone is found out by its pidfd
			}
		}
		unix.Close(plan)
	}
	return back
}

// planFor plans; whatever befalls it there, the server has images to serve.
func (c *callers) planFor(call *userns.Call) (plan int, ok bool) {
	defer func() {
		if recover() != nil {
			plan, ok = -1, false
		}
	}()
	return c.plan(call, c.clients.key)
}

// stand moves this thread, which shares its root with no other.
func stand(root, dir, umask int) error {
	if err := unix.Fchdir(root); err != nil {
		return err
	}
	if err := unix.Chroot("."); err != nil {
		return err
	}
	unix.Umask(umask)
	return unix.Fchdir(dir)
}
