package server

import (
	"strconv"
	"sync"
	"time"

	"golang.org/x/sys/unix"
)

// The clients of a server: processes that it has sent the mounts, and connections of which it does not
// know more yet. One goroutine waits for all of them with poll(2).
type clients struct {
	listener int    // -1: private to the first client
	key      string // what a greeting has to say
	uid      int
	welcome  func(h *held) error // sends the reply, once the images are ready
	pidfds   []int               // of the clients that are alive
	pending  []pending
	helds    []*held        // what is looked after, and the connections over which more may come
	late     []*held        // what is let go when the images are unused
	work     int            // can be read when the images are ready; -1: they are
	inotify  int            // tells when overlays are gone; -1 none yet
	removals sync.WaitGroup // of what is let go
	arrivals
}

// A pending connection has not said anything yet.
type pending struct {
	sock  int
	until time.Time
}

// greetingTime is how long a connection may stay silent.
const greetingTime = 5 * time.Second

// wait returns when the last client has ended and nothing waits for the end of an overlay. From then on nobody can connect.
func (c *clients) wait() {
	for c.any() || !c.close() {
		c.step()
		c.settle()
	}
	if c.listener >= 0 {
		unix.Close(c.listener)
	}
}

func (c *clients) any() bool { return len(c.pidfds) > 0 || len(c.pending) > 0 || len(c.helds) > 0 }

// attend takes clients in, who have to wait for their images, until done can be read. false: the last of them has gone.
func (c *clients) attend(done int) bool {
	c.work = done
	for c.work >= 0 && c.any() {
		c.step()
		c.settle()
	}
	return c.work < 0
}

// serveWaiting sends those that have waited their images, or what has become of them.
func (c *clients) serveWaiting(failure error) {
	for _, h := range c.helds {
		switch {
		case h.sock < 0 || h.served:
		case failure != nil:
			answer(h.sock, failure, nil, "")
		default:
			c.welcome(h) // a client that is gone is found out by its pidfd
		}
		h.served = true
	}
}

// dismiss tells those that wait what has failed, and removes what they ask for: the first client may have been killed before the
// server was able to answer, and have left something by then.
func (c *clients) dismiss(failure error) {
	c.serveWaiting(failure)
	if c.listener >= 0 {
		unix.Close(c.listener)
	}
	for _, p := range c.pending {
		unix.Close(p.sock)
	}
	c.listener, c.pending = -1, nil
	for len(c.helds) > 0 {
		c.step()
		c.settle()
	}
	c.finish()
}

// step waits for something to happen and deals with it.
func (c *clients) step() {
	set := make([]unix.PollFd, 0, 4+len(c.pidfds)+len(c.pending)+len(c.helds))
	set = append(set, unix.PollFd{Fd: int32(c.listener), Events: unix.POLLIN}) // -1 is passed over
	set = append(set, unix.PollFd{Fd: int32(c.inotify), Events: unix.POLLIN})
	set = append(set, unix.PollFd{Fd: int32(c.work), Events: unix.POLLIN})
	set = append(set, unix.PollFd{Fd: int32(c.bell), Events: unix.POLLIN})
	for _, fd := range c.pidfds {
		set = append(set, unix.PollFd{Fd: int32(fd), Events: unix.POLLIN})
	}
	timeout := -1
	for _, p := range c.pending {
		set = append(set, unix.PollFd{Fd: int32(p.sock), Events: unix.POLLIN})
		timeout = int(greetingTime.Milliseconds())
	}
	for _, h := range c.helds {
		set = append(set, unix.PollFd{Fd: int32(h.sock), Events: unix.POLLIN})
	}
	if n, err := unix.Poll(set, timeout); err != nil || n == 0 && timeout < 0 {
		return
	}
	if set[1].Revents != 0 {
		c.unmounted()
	}
	alive, rest := set[4:4+len(c.pidfds)], set[4+len(c.pidfds):]
	asked, told := rest[:len(c.pending)], rest[len(c.pending):]
	c.heed(told)
	c.hear(asked)
	c.bury(alive)
	if set[3].Revents != 0 {
		c.pidfds = append(c.pidfds, c.take()...)
	}
	if set[0].Revents != 0 {
		c.accept()
	}
	if set[2].Revents != 0 { // at last: who has been heard waits like the others, for nothing is mounted yet
		c.work = -1
	}
}

// heed reads what the clients say after they have got their images.
func (c *clients) heed(polled []unix.PollFd) {
	for i := range polled {
		if h := c.helds[i]; polled[i].Revents != 0 && !c.listen(h) {
			unix.Close(h.sock)
			h.sock = -1
		}
	}
}

// bury forgets the clients that have ended.
func (c *clients) bury(polled []unix.PollFd) {
	left := c.pidfds[:0]
	for i, fd := range c.pidfds {
		if i < len(polled) && polled[i].Revents != 0 {
			unix.Close(fd)
		} else {
			left = append(left, fd)
		}
	}
	c.pidfds = left
}

func (c *clients) accept() {
	sock, _, err := unix.Accept4(c.listener, unix.SOCK_CLOEXEC|unix.SOCK_NONBLOCK)
	if err != nil {
		return
	}
	// Before anything else: whose process is it?
	if peer, err := unix.GetsockoptUcred(sock, unix.SOL_SOCKET, unix.SO_PEERCRED); err != nil || int(peer.Uid) != c.uid {
		unix.Close(sock)
		return
	}
	c.pending = append(c.pending, pending{sock, time.Now().Add(greetingTime)})
}

// hear reads the greetings that have arrived and drops the connections that stay silent.
func (c *clients) hear(polled []unix.PollFd) {
	waiting := c.pending
	c.pending = nil
	for i, p := range waiting {
		switch {
		case i < len(polled) && polled[i].Revents != 0:
			h := &held{sock: p.sock, served: c.work < 0}
			if pidfd := c.greeting(h); pidfd >= 0 {
				c.pidfds = append(c.pidfds, pidfd)
				c.helds = append(c.helds, h)
			} else {
				unix.Close(p.sock)
			}
		case time.Now().After(p.until):
			unix.Close(p.sock)
		default:
			c.pending = append(c.pending, p)
		}
	}
}

// greeting takes a client in and returns its pidfd, or -1.
func (c *clients) greeting(h *held) int {
	sock := h.sock
	buf := make([]byte, len(question)+maxKey+1)
	oob := make([]byte, unix.CmsgSpace(4*4))
	n, oobn, _, _, err := unix.Recvmsg(sock, buf, oob, unix.MSG_CMSG_CLOEXEC)
	if err != nil {
		return -1
	}
	pidfd := onlyDescriptor(oob[:oobn])
	if pidfd < 0 && string(buf[:n]) == question+c.key {
		unix.Sendmsg(sock, []byte(strconv.Itoa(len(c.pidfds))), nil, nil, unix.MSG_NOSIGNAL)
		return -1
	}
	if pidfd < 0 || string(buf[:n]) != c.key || !isPidfd(pidfd) {
		if pidfd >= 0 {
			unix.Close(pidfd)
		}
		unix.Sendmsg(sock, []byte(refusal), nil, nil, unix.MSG_NOSIGNAL)
		return -1
	}
	if unix.Sendmsg(sock, []byte(welcome), nil, nil, unix.MSG_NOSIGNAL) != nil {
		unix.Close(pidfd)
		return -1
	}
	if h.served {
		c.welcome(h) // a client that is gone is found out by its pidfd, and may have something to remove
	}
	return pidfd
}

// onlyDescriptor returns the descriptor that came along, or -1; with several, all are closed.
func onlyDescriptor(oob []byte) int {
	messages, err := unix.ParseSocketControlMessage(oob)
	if err != nil {
		return -1
	}
	var all []int
	for _, m := range messages {
		if fds, err := unix.ParseUnixRights(&m); err == nil {
			all = append(all, fds...)
		}
	}
	if len(all) == 1 {
		return all[0]
	}
	for _, fd := range all {
		unix.Close(fd)
	}
	return -1
}

// isPidfd tells whether fd is a pidfd: only one can be signalled.
func isPidfd(fd int) bool {
	err := unix.PidfdSendSignal(fd, 0, nil, 0)
	return err == nil || err == unix.ESRCH || err == unix.EPERM
}
