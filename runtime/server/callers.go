package server

import (
	goruntime "runtime"
	"sync/atomic"
	"time"

	"coracle/runtime/mnt"
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
//	                                         ◀──  user namespace, mounts: as for every client, with the layer
//	                                              of mount points that the launch needs
//	or the end of the connection             ◀──  what needs more than a plan, or has something to say
//
// The launch compares the server's program with its own before it says anything.

// A Planner plans another process's launch. The calling thread has that process's root and working directory. A nil config asks for a launch
// that joins the server with the key; otherwise it is that of a standby, which gets it filled in and starts to serve. ok is false when
// that launch has to plan itself.
type Planner func(call *userns.Call, key string, has Offer, config *Config) (p Planned, ok bool)

// An Offer is what a server can provide beside its images.
type Offer struct {
	Layer func(name string) bool // tells whether it can provide a layer of that name
	Tree  bool                   // a mount namespace with nothing in it but the directory [Space]
}

// Planned is a launch that has been planned.
type Planned struct {
	Plan  int    // the memfd of the second stage, which is the caller's
	Layer *Layer // what is to lie over the image; nil: nothing
}

// callers are the threads that plan for launches.
type callers struct {
	listener int
	plan     Planner
	clients  *clients
	send     func(sock int, root string) error // the user namespace and the images, the first as it is mounted at root
	layers   layers
	proc     int // the host's /proc, until start
	empty    int // a mount namespace to build trees in; -1 none
	procs    int // processors: that many plan at a time
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
	c.proc, _ = unix.Open("/proc", unix.O_PATH|unix.O_DIRECTORY|unix.O_CLOEXEC, 0)
}

// start begins to answer calls. images are where the images are mounted, the first with the restrictions a. The server must have left
// the host's tree.
func (c *callers) start(images []string, a mnt.Attr) {
	if c.listener < 0 { // there may be no images at all
		return
	}
	c.layers.image, c.layers.attr = images[0], a
	c.empty = emptyTree(c.proc, images)
	unix.Close(c.proc)
	if unix.Listen(c.listener, backlog) != nil {
		return
	}
	userns.EndMarks()
	c.threads.Add(1)
	go c.work()
}

// work answers one caller after the other.
func (c *callers) work() {
	goruntime.LockOSThread() // for ever: the thread has a root of its own, and ends with this function
	defer c.end()
	home, err := unix.Open("/", unix.O_PATH|unix.O_DIRECTORY|unix.O_CLOEXEC, 0)
	if err != nil || unix.Unshare(unix.CLONE_FS) != nil {
		return
	}
	buf := make([]byte, userns.CallLen+1)
	for {
		c.idle.Add(1)
		sock, _, err := unix.Accept4(c.listener, unix.SOCK_CLOEXEC)
		if c.idle.Add(-1) == 0 && err == nil && int(c.threads.Load()) < c.procs {
			c.threads.Add(1)
			go c.work()
		}
		switch err {
		case nil:
		case unix.EINTR, unix.ECONNABORTED:
			continue
		case unix.EMFILE, unix.ENFILE, unix.ENOBUFS, unix.ENOMEM: // for now
			time.Sleep(10 * time.Millisecond)
			continue
		default:
			return
		}
		back := c.answer(sock, home, buf)
		unix.Close(sock)
		if !back {
			return
		}
	}
}

// end is called by a thread that plans no more. When it was the last, callers are told at once, and plan themselves.
func (c *callers) end() {
	if c.threads.Add(-1) == 0 {
		unix.Shutdown(c.listener, unix.SHUT_RDWR)
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
	oob := make([]byte, unix.CmsgSpace(userns.CallAnswer*4))
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
	if err != nil || len(fds) != userns.CallAnswer || !isPidfd(fds[userns.CallPidfd]) {
		return true
	}
	p, ok := Planned{}, false
	if stand(fds[userns.CallRoot], fds[userns.CallDirectory], call.Umask) == nil {
		p, ok = c.plan.try(call, c.clients.key, Offer{c.layers.offers, c.empty >= 0}, nil)
	}
	back = stand(home, home, 0o022) == nil
	if ok {
		if back && c.clients.arrive(fds[userns.CallPidfd]) {
			pidfd = fds[userns.CallPidfd]
			c.reply(sock, p)
		}
		unix.Close(p.Plan)
	}
	return back
}

// reply sends what has been planned, and what it needs. A client that is gone is found out by its pidfd.
func (c *callers) reply(sock int, p Planned) {
	root := c.layers.image
	if p.Layer != nil {
		var err error
		if root, err = c.layers.over(p.Layer); err != nil { // it goes on by itself, and mounts its own
			return
		}
	}
	fds := []int{p.Plan}
	if c.empty >= 0 {
		fds = append(fds, c.empty)
	}
	if unix.Sendmsg(sock, []byte{sentConfig}, unix.UnixRights(fds...), nil, unix.MSG_NOSIGNAL) == nil {
		c.send(sock, root)
	}
}

// try plans. Whatever befalls it there, a server has images to serve.
func (p Planner) try(call *userns.Call, key string, has Offer, config *Config) (w Planned, ok bool) {
	defer func() {
		if recover() != nil {
			ok = false
		}
	}()
	return p(call, key, has, config)
}

// emptyTree returns a mount namespace with the server's tree but not what is mounted in it; -1: there is none to be had.
func emptyTree(proc int, mounts []string) int {
	made := make(chan int)
	go func() {
		goruntime.LockOSThread() // for ever: the thread has a namespace of its own, and ends with this function
		if unix.Unshare(unix.CLONE_NEWNS) != nil {
			made <- -1
			return
		}
		for _, at := range mounts {
			mnt.Detach(at)
		}
		fd, _ := unix.Openat(proc, "thread-self/ns/mnt", unix.O_RDONLY|unix.O_CLOEXEC, 0)
		made <- fd
	}()
	return <-made
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
