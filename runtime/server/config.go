// Package server is the image server: a process that serves squashfs images as FUSE mounts and hands
// them out as descriptors.
//
// It owns a user namespace and a mount namespace with nothing in it but the images. For a client it
// makes a detached clone of each mount and sends it, with its user namespace, over a Unix socket.
// When its last client has ended it detaches its own mounts and goes on serving until the kernel says
// that nobody uses them any more: a background child of the payload keeps its root.
package server

import (
	"errors"
	"fmt"

	"coracle/runtime/stage"
	"coracle/userns"

	"golang.org/x/sys/unix"
)

// An Image says what to serve, and what the launcher saw when it looked at it: an image
// that is another one by now is refused.
type Image struct {
	Path          string // absolute
	Offset, Size  int64  // the squashfs file system in it, in bytes
	Device, Inode uint64
	Length        int64 // of the file, in bytes
	ModTime       int64 // of the file, in ns since 1970
	Ext           bool  `json:",omitempty"` // an ext file system, not squashfs
	Writable      bool  `json:",omitempty"` // Ext: it is written to. Descriptor is open for that, and locked

	// A file without a name: Start sends Descriptor along, and says so by Sent.
	Descriptor int `json:"-"`
	Sent       bool

	Programs []string // paths in the image of what will be executed soon
}

// A Config is what a server is started with.
type Config struct {
	Images   []Image
	Uid      int    // the id that owns what the id map does not reach
	Gid      int    //
	UIDs     int    `json:",omitempty"` // how many ids are mapped, from 0 on; 0: Uid alone
	GIDs     int    `json:",omitempty"` //
	Key      string `json:",omitempty"` // what the launches that share the server have in common; "": it is private
	Dir      string `json:",omitempty"` // a directory in which the images are extracted; "": they are mounted
	ExtMount string `json:",omitempty"` // path of fuse2fs, with images that are Ext
	Timing   bool   `json:",omitempty"` // the first client wants to know how long it took
	Log      string `json:",omitempty"` // a file for what goes wrong while serving; "": the system log

	memory   func() int64 // a standby has begun to find out; nil: nobody has
	foreseen *foresight   // nil: nothing
}

// Set makes the config what other says. What a standby has begun goes on.
func (c *Config) Set(other *Config) {
	memory, foreseen := c.memory, c.foreseen
	*c = *other
	c.memory, c.foreseen = memory, foreseen
}

// Start finds the server that launches with the config's key share, or starts one, with this process as
// its client. It returns the descriptor on which the reply arrives, which is inherited by what this
// process executes. base has what the server's user namespace is made of: the id maps and who writes them.
func Start(c *Config, base userns.Header) (sock int, err error) {
	// A pidfd of ourselves: looking up the peer's pid would race, and fail across pid namespaces.
	pidfd, err := unix.PidfdOpen(unix.Getpid(), 0)
	if err != nil {
		pidfd, c.Key = -1, "" // before Linux 5.3: a private server that detaches at once
	} else {
		defer unix.Close(pidfd)
	}
	listener := -1
	if c.Key != "" {
		sock, listener, err = join(unix.Getuid(), c.Key, pidfd)
		if sock >= 0 {
			return sock, keep(sock)
		}
		if listener < 0 {
			c.Key = "" // somebody else has our names
		} else {
			defer unix.Close(listener)
		}
	}
	return spawn(c, base, pidfd, listener)
}

func spawn(c *Config, h userns.Header, pidfd, listener int) (int, error) {
	if sock := userns.TakeStandby(h); sock >= 0 {
		err := c.send(sock, pidfd, listener)
		if err == nil {
			return sock, keep(sock)
		}
		unix.Close(sock) // it was killed: there is another way
	}
	pair, err := unix.Socketpair(unix.AF_UNIX, unix.SOCK_SEQPACKET|unix.SOCK_CLOEXEC, 0)
	if err != nil {
		return -1, err
	}
	client, own := pair[0], pair[1]
	defer unix.Close(own)
	h.Role, h.Sock, h.Pidfd, h.Listener = userns.Serve, own, pidfd, listener
	fd, err := stage.File(&h, c)
	if err != nil {
		unix.Close(client)
		return -1, err
	}
	defer unix.Close(fd)
	for _, inherited := range []int{own, pidfd, listener} {
		if inherited >= 0 {
			err = errors.Join(err, keep(inherited))
		}
	}
	if err == nil {
		err = c.sendFiles(client)
	}
	if err == nil {
		title := "writable layer"
		if len(c.Images) > 0 {
			title = c.Images[0].Path
		}
		err = stage.Start(fd, "image server", title)
	}
	if err != nil {
		unix.Close(client)
		return -1, err
	}
	return client, keep(client)
}

// sentFile is what comes with a descriptor of an image file.
const sentFile = "file"

// sendFiles sends the server the image files that it cannot open by their names.
func (c *Config) sendFiles(client int) error {
	for _, im := range c.Images {
		if im.Sent {
			if err := unix.Sendmsg(client, []byte(sentFile), unix.UnixRights(im.Descriptor), nil, unix.MSG_NOSIGNAL); err != nil {
				return err
			}
		}
	}
	return nil
}

// many tells whether there are more ids inside than the caller's own: then the image's owners count.
func (c *Config) many() bool { return c.UIDs > 0 }

// keep lets a descriptor be inherited by what is executed.
func keep(fd int) error {
	_, err := unix.FcntlInt(uintptr(fd), unix.F_SETFD, 0)
	return err
}

// Receive waits for the images of a server's client: detached mounts in the order of the config.
func Receive(sock, count int) ([]int, error) {
	buf := make([]byte, userns.ReplyLen)
	oob := make([]byte, unix.CmsgSpace(4*max(count, 1)))
	for {
		n, oobn, flags, _, err := unix.Recvmsg(sock, buf, oob, unix.MSG_CMSG_CLOEXEC)
		switch {
		case err == unix.EINTR:
			continue
		case err == nil && n == 0:
			err = unix.ECONNRESET
		case err == nil && n != userns.ReplyLen:
			err = unix.EPROTO
		}
		if err != nil {
			return nil, fmt.Errorf("wait for the image server: %w", err)
		}
		if err := userns.DecodeReply(buf); err != nil {
			return nil, err
		}
		userns.TakeMarks(buf)
		if count == 0 {
			return nil, nil
		}
		messages, err := unix.ParseSocketControlMessage(oob[:oobn])
		if err != nil || len(messages) != 1 || flags&unix.MSG_CTRUNC != 0 {
			return nil, fmt.Errorf("wait for the image server: descriptors are missing: %w", unix.EPROTO)
		}
		fds, err := unix.ParseUnixRights(&messages[0])
		if err == nil && len(fds) != count {
			err = unix.EPROTO
		}
		return fds, err
	}
}
