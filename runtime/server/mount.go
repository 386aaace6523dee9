package server

import (
	"fmt"
	"os"
	"path/filepath"
	"strconv"
	"strings"

	"coracle/runtime/mnt"
	"coracle/userns"

	"golang.org/x/sys/unix"
)

// Space is a directory in the server's tree on which launches mount what they build in, each in its own copy of an empty one.
const Space = "/space"

// mount mounts the images on directories of a tmpfs, base.
func mount(images []*served, c *Config) (base string, err error) {
	base, err = mnt.Base("mode=0755,size=1m", nil)
	if err != nil {
		return "", err
	}
	if err := os.Mkdir(base+Space, 0o755); err != nil {
		return "", err
	}
	for i, s := range images {
		s.mount = filepath.Join(base, strconv.Itoa(i))
		if err := os.Mkdir(s.mount, 0o755); err != nil {
			return "", err
		}
		if err := s.appear(c); err != nil {
			return "", err
		}
	}
	return base, nil
}

// passTime is how long a server waits with its own affairs for its first client, in milliseconds.
const passTime = 20

// letClientPass waits until the first client has become its payload, or wants something else, or another one comes: leaving the host's
// tree takes locks that a launch needs too.
func letClientPass(listener int) {
	set := []unix.PollFd{{Fd: userns.ServerSock, Events: unix.POLLIN}, {Fd: int32(listener), Events: unix.POLLIN}}
	unix.Poll(set, passTime) // whatever comes of it, the time has come
}

// isolate leaves the host's tree, so that the server pins nothing of it.
func isolate(images []*served, base string) error {
	if err := mnt.Enter(base); err != nil {
		return err
	}
	for _, s := range images {
		s.mount = strings.TrimPrefix(s.mount, base)
	}
	return nil
}

// appear makes an image appear at s.mount.
func (s *served) appear(c *Config) error {
	switch {
	case s.image.Ext:
		return s.mountExt(c)
	case s.tree >= 0:
		return s.bindTree(c)
	}
	return s.mountFuse(c, c.imageAttr())
}

// mountFuse mounts a file system that this process serves on s.dev.
func (s *served) mountFuse(c *Config, a mnt.Attr) error {
	data := fmt.Sprintf("fd=%d,rootmode=40755,user_id=%d,group_id=%d", s.dev, c.Uid, c.Gid)
	if c.many() {
		data += ",allow_other,default_permissions" // for all the ids inside; nobody else gets in
	}
	return mnt.NewAt("coracle", "fuse.coracle", s.mount, a, data)
}

// imageAttr are the restrictions on an image.
func (c *Config) imageAttr() mnt.Attr {
	return mnt.Attr{ReadOnly: true, NoSuid: !c.many(), NoDev: true}
}
