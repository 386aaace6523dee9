package server

import (
	"fmt"
	"strings"
	"unsafe"

	"coracle/runtime/remove"

	"golang.org/x/sys/unix"
)

// A server outlives the processes of a container and so looks after what a container has on the host's disks:
// a lock on a directory, and a directory that is to be removed. Over the connection on which it
// has got its images a client sends
//
//	remove NAME   with a descriptor of the directory that NAME is in: at the end, remove NAME and what is in it
//	keep          with a descriptor: keep it open until the end (a flock(2) belongs to the open file)
//	discard NAME  as remove, but now
//	watch         with a descriptor of the root of an overlay: the end is when that file system is gone
//
// Without a watch the end is when the client closes the connection: it had no overlay, or has been killed.
// With one it is when the kernel has taken the overlay down, because the last process that used it has gone and
// so has the last mount. A message is sent before what it is about is made, so that a client
// can be killed at any moment.

// Remove has NAME in the directory parent removed at the end.
func Remove(sock, parent int, name string) error { return tell(sock, "remove "+name, parent) }

// Discard has NAME in the directory parent removed now.
func Discard(sock, parent int, name string) error { return tell(sock, "discard "+name, parent) }

// Keep has the file behind fd kept open until the end.
func Keep(sock, fd int) error { return tell(sock, "keep", fd) }

// Watch says that the end is when the file system with the root directory fd is gone.
func Watch(sock, root int) error { return tell(sock, "watch", root) }

func tell(sock int, text string, fd int) error {
	if err := unix.Sendmsg(sock, []byte(text), unix.UnixRights(fd), nil, unix.MSG_NOSIGNAL); err != nil {
		return fmt.Errorf("tell the image server to %s: %w", text, err)
	}
	return nil
}

// A held is what a server looks after for one client.
type held struct {
	sock   int   // -1: the client has closed the connection
	kept   []int // descriptors
	remove []entry
	watch  int  // watch descriptor of the overlay's root; 0 none
	served bool // it has been sent its images
}

// An entry is a name in an open directory.
type entry struct {
	dir  int
	name string
}

// maxText bounds a message, in bytes: a file name and a word.
const maxText = 512

// listen reads one message of a client and tells whether the connection goes on.
func (c *clients) listen(h *held) bool {
	buf := make([]byte, maxText)
	oob := make([]byte, unix.CmsgSpace(4*4))
	n, oobn, err := receive(h.sock, buf, oob, unix.MSG_DONTWAIT)
	if err == unix.EAGAIN {
		return true
	}
	if err != nil || n == 0 {
		return false
	}
	fd := onlyDescriptor(oob[:oobn])
	if fd < 0 {
		return false
	}
	word, name, _ := strings.Cut(string(buf[:n]), " ")
	valid := name != "" && name != "." && name != ".." && !strings.ContainsAny(name, "/\x00")
	switch {
	case word == "keep":
		h.kept = append(h.kept, fd)
	case word == "remove" && valid:
		h.remove = append(h.remove, entry{fd, name})
	case word == "discard" && valid:
		c.discard([]entry{{fd, name}}, nil)
	case word == "watch" && h.watch == 0:
		h.watch = c.watch(fd)
		unix.Close(fd) // or the overlay would never end
	case word == sentFile:
		unix.Close(fd) // too late
	default:
		unix.Close(fd)
		return false
	}
	return true
}

// receive reads a message of a client. The kernel says once, and first, that a client was killed before it read our answer
// (ECONNRESET); what it has sent before comes after that.
func receive(sock int, buf, oob []byte, flags int) (n, oobn int, err error) {
	for {
		n, oobn, _, _, err = unix.Recvmsg(sock, buf, oob, flags|unix.MSG_CMSG_CLOEXEC)
		if err != unix.EINTR && err != unix.ECONNRESET {
			return n, oobn, err
		}
	}
}

// watch asks for word of the end of the file system that the directory fd is the root of. A kernel that
// gives no watch answers -1: what is held is held as long as the images are. The calling goroutine must be locked to its thread.
func (c *clients) watch(fd int) int {
	if c.inotify < 0 {
		var err error
		if c.inotify, err = unix.InotifyInit1(unix.IN_CLOEXEC | unix.IN_NONBLOCK); err != nil {
			c.inotify = -1
			return -1
		}
	}
	// There is no /proc here to name the descriptor with. But no other thread may stand there meanwhile: one that then takes a working
	// directory of its own would keep the overlay for ever.
	if unix.Unshare(unix.CLONE_FS) != nil || unix.Fchdir(fd) != nil {
		return -1
	}
	defer unix.Chdir("/")
	wd, err := unix.InotifyAddWatch(c.inotify, ".", unix.IN_DELETE_SELF) // IN_UNMOUNT comes unasked
	if err != nil {
		return -1
	}
	return wd
}

// unmounted reads which overlays are gone.
func (c *clients) unmounted() {
	buf := make([]byte, 4096)
	n, err := unix.Read(c.inotify, buf)
	if err != nil {
		return
	}
	for buf = buf[:n]; len(buf) >= unix.SizeofInotifyEvent; {
		e := (*unix.InotifyEvent)(unsafe.Pointer(&buf[0]))
		if e.Mask&(unix.IN_UNMOUNT|unix.IN_IGNORED) != 0 {
			for _, h := range c.helds {
				if h.watch == int(e.Wd) {
					h.watch = 0
				}
			}
		}
		buf = buf[min(len(buf), unix.SizeofInotifyEvent+int(e.Len)):]
	}
}

// settle lets go of what has come to its end.
func (c *clients) settle() {
	left := c.helds[:0]
	for _, h := range c.helds {
		switch {
		case h.sock >= 0 || h.watch > 0:
			left = append(left, h)
		case h.watch < 0:
			c.late = append(c.late, h)
		default:
			c.release(h)
		}
	}
	c.helds = left
}

// finish lets go of everything, when the images are unused, and waits until it is removed.
func (c *clients) finish() {
	for _, h := range c.late {
		c.release(h)
	}
	c.removals.Wait()
}

func (c *clients) release(h *held) { c.discard(h.remove, h.kept) }

// discard removes entries beside the loop, as there may be many files below them, and then closes the kept descriptors.
func (c *clients) discard(entries []entry, kept []int) {
	c.removals.Go(func() {
		for _, e := range entries {
			remove.Tree(e.dir, e.name)
			unix.Close(e.dir)
		}
		for _, fd := range kept {
			unix.Close(fd)
		}
	})
}
