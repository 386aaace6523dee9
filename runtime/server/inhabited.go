package server

import (
	"os"
	"strconv"
	"strings"
	"time"

	"coracle/runtime/remove"

	"golang.org/x/sys/unix"
)

// The kernel tells nobody when a bind mount is no longer used. But every process that can see one of ours is in the user
// namespace of the server that has handed it out, or in one below it.

// longestLook is how long a server that waits for the last process sleeps at most before it looks again.
const longestLook = time.Second

// awaitNobody returns when no other process lives in the user namespace with the inode ns. proc is an open /proc.
// A child that is born while one looks could be missed, so two looks have to agree.
func awaitNobody(proc int, ns uint64) {
	for pause, empty := 2*time.Millisecond, 0; ; pause = min(2*pause, longestLook) {
		if inhabited(proc, ns) {
			empty = 0
		} else if empty++; empty == 2 {
			return
		} else {
			pause = time.Millisecond
		}
		time.Sleep(pause)
	}
}

// inhabited tells whether a process other than this one lives in the user namespace with the inode ns, or in one below it. Processes
// of others cannot be looked at, and are none of ours.
func inhabited(proc int, ns uint64) bool {
	names, err := remove.List(proc)
	if err != nil {
		return false
	}
	self := selfIn(proc)
	for _, name := range names {
		if _, err := strconv.Atoi(name); err == nil && name != self && livesIn(proc, name, ns) && !dead(proc, name) {
			return true
		}
	}
	return false
}

// dead tells whether a process has ended and waits for its parent to take notice: it still has a user namespace.
func dead(proc int, pid string) bool {
	fd, err := unix.Openat(proc, pid+"/stat", unix.O_RDONLY|unix.O_CLOEXEC, 0)
	if err != nil {
		return true // gone meanwhile
	}
	defer unix.Close(fd)
	buf := make([]byte, 1024)
	n, err := unix.Read(fd, buf)
	return err != nil || deadStat(string(buf[:n]))
}

// deadStat reads /proc/PID/stat. A first thread that has ended is no dead process while there are others.
//
// Source: proc_pid_stat(5): the state is field 3, behind the command in parentheses, the number of threads field 20.
func deadStat(stat string) bool {
	f := strings.Fields(stat[strings.LastIndexByte(stat, ')')+1:])
	return len(f) < 18 || (f[0] == "Z" || f[0] == "X") && f[17] <= "1"
}

// selfIn returns the process id of this process in proc, which may belong to another pid namespace.
func selfIn(proc int) string {
	buf := make([]byte, 32)
	n, err := unix.Readlinkat(proc, "self", buf)
	if err != nil {
		return strconv.Itoa(os.Getpid())
	}
	return string(buf[:n])
}

func livesIn(proc int, pid string, ns uint64) bool {
	fd, err := unix.Openat(proc, pid+"/ns/user", unix.O_RDONLY|unix.O_CLOEXEC, 0)
	for err == nil {
		var st unix.Stat_t
		err = unix.Fstat(fd, &st)
		if err == nil && st.Ino == ns {
			unix.Close(fd)
			return true
		}
		up := -1
		if err == nil {
			up, err = unix.IoctlRetInt(fd, unix.NS_GET_PARENT)
		}
		unix.Close(fd)
		fd = up
	}
	return false
}
