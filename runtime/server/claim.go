package server

import (
	"crypto/rand"
	"os"
	"strings"

	"coracle/runtime/remove"

	"golang.org/x/sys/unix"
)

// Directories that are gone with the last process have a prefix, and somebody who has locked them. One that nobody
// has locked is what a server has left that was killed.

// ClaimDir opens the directory name in dir and locks it, until every copy of the descriptor is closed. The error is
// unix.EWOULDBLOCK or ENOENT where somebody has taken it for an old one just before.
func ClaimDir(dir int, name string) (int, error) {
	fd, err := unix.Openat(dir, name, unix.O_RDONLY|unix.O_DIRECTORY|unix.O_NOFOLLOW|unix.O_CLOEXEC, 0)
	if err != nil {
		return -1, err
	}
	err = unix.Flock(fd, unix.LOCK_EX|unix.LOCK_NB)
	if err == nil && !sameFile(fd, dir, name) { // it was renamed before it could be locked
		err = unix.ENOENT
	}
	if err != nil {
		unix.Close(fd)
		return -1, err
	}
	return fd, nil
}

func sameFile(fd, dir int, name string) bool {
	var a, b unix.Stat_t
	return unix.Fstat(fd, &a) == nil && unix.Fstatat(dir, name, &b, unix.AT_SYMLINK_NOFOLLOW) == nil && a.Dev == b.Dev && a.Ino == b.Ino
}

// Left lists the names in dir that begin with prefix.
func Left(dir int, prefix string) (names []string) {
	all, err := remove.List(dir)
	if err != nil {
		return nil
	}
	for _, name := range all {
		if strings.HasPrefix(name, prefix) {
			names = append(names, name)
		}
	}
	return names
}

// TakeOld gives a directory of ours that nobody has locked another name with the prefix, and returns it. Whoever has made it this
// moment and is about to lock it finds it locked, or gone, and makes another one.
func TakeOld(dir int, prefix, name string) (string, bool) {
	fd, err := ClaimDir(dir, name)
	if err != nil {
		return "", false
	}
	defer unix.Close(fd)
	var st unix.Stat_t
	if unix.Fstat(fd, &st) != nil || int(st.Uid) != os.Getuid() {
		return "", false
	}
	old := prefix + "old-" + RandomName()
	return old, unix.Renameat(dir, name, dir, old) == nil
}

// RandomName is the part of a name that nobody else has.
func RandomName() string { return strings.ToLower(rand.Text()[:10]) }
