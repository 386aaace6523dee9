// Package server is the image server: a process that serves squashfs images as FUSE mounts and hands
// them out as descriptors.
//
// It owns a user namespace and a mount namespace with nothing in it but the images. For a client it
// makes a detached clone of each mount and sends it, with its user namespace, over a Unix socket.
// When its last client has ended it detaches its own mounts and goes on serving until the kernel says
// that nobody uses them any more: a background child of the payload keeps its root.
package server

import (
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
}

// A Config is what a server is started with.
type Config struct {
	Images []Image
	Uid    int      // the id that owns what the id map does not reach
	Gid    int      //
	UIDs   []uint32 `json:",omitempty"` // ids inside the namespace that exist; nil: only Uid
	Log    string   `json:",omitempty"` // a file for what goes wrong while serving; "": the system log
}

// Start starts a server for one client, this process, and returns the descriptor on which it answers.
// The descriptor is inherited by what this process executes.
func Start(c *Config, uidMap, gidMap string) (sock int, err error) {
	pair, err := unix.Socketpair(unix.AF_UNIX, unix.SOCK_SEQPACKET|unix.SOCK_CLOEXEC, 0)
	if err != nil {
		return -1, err
	}
	client, own := pair[0], pair[1]
	defer unix.Close(own)
	// A pidfd of ourselves: looking up the peer's pid would race, and fail across pid namespaces.
	pidfd, err := unix.PidfdOpen(unix.Getpid(), 0)
	if err != nil {
		pidfd = -1 // before Linux 5.3; the server then detaches at once
	} else {
		defer unix.Close(pidfd)
	}
	fd, err := stage.File(&userns.Header{Role: userns.Serve, Sock: own, Pidfd: pidfd, UIDMap: uidMap, GIDMap: gidMap}, c)
	if err != nil {
		unix.Close(client)
		return -1, err
	}
	defer unix.Close(fd)
	inherit(own, true)
	inherit(pidfd, true)
	if err := stage.Start(fd, "image server", c.Images[0].Path); err != nil {
		unix.Close(client)
		return -1, err
	}
	inherit(client, true)
	return client, nil
}

func inherit(fd int, on bool) {
	if fd >= 0 && on {
		unix.FcntlInt(uintptr(fd), unix.F_SETFD, 0)
	}
}
