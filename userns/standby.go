package userns

/*
#include "enter.h"
*/
import "C"

import (
	"fmt"

	"golang.org/x/sys/unix"
)

// TakeStandby returns the socket of the image server that the constructor has started on a guess, if it is one that h asks for; then
// it is the caller's. -1: there is none, any more.
func TakeStandby(h Header) int {
	sock := int(C.coracle_standby)
	if sock < 0 || h.Flags&Helpers != 0 || h.UIDMap != ownMap(unix.Getuid()) || h.GIDMap != ownMap(unix.Getgid()) {
		DropStandby()
		return -1
	}
	C.coracle_standby = -1
	return sock
}

// DropStandby lets that server end.
func DropStandby() {
	if C.coracle_standby >= 0 {
		unix.Close(int(C.coracle_standby))
		C.coracle_standby = -1
	}
}

// ownMap is the id map of a user namespace with the caller's id alone.
func ownMap(id int) string { return fmt.Sprintf("%d %d 1\n", id, id) }

// Claim takes the name that says that this user has an image server for the file, and returns the descriptor that holds it; -1: somebody
// has it.
func Claim(device, inode uint64) int {
	return int(C.coracle_claim(C.uint64_t(device), C.uint64_t(inode)))
}
