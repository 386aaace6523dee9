package instance

import (
	"bytes"
	"fmt"
	"os"
	"strconv"
	"strings"

	"golang.org/x/sys/unix"
)

// A Process is a process that cannot be mistaken for a later one with its number.
type Process struct {
	ID    int    `json:"processID"`
	Start uint64 `json:"start"` // when it began, in clock ticks since the machine started
}

// A stat is what /proc/PID/stat says.
type stat struct {
	state  byte
	parent int
	start  uint64
	ticks  uint64 // processor time used, in clock ticks
}

// parseStat reads the text of /proc/PID/stat.
//
// Source: proc_pid_stat(5): fields 3, 4, 14, 15 and 22; the second, in parentheses, may hold anything.
func parseStat(text []byte) (s stat, ok bool) {
	i := bytes.LastIndexByte(text, ')')
	if i < 0 {
		return s, false
	}
	f := strings.Fields(string(text[i+1:]))
	if len(f) < 20 {
		return s, false
	}
	s.state = f[0][0]
	parent, err1 := strconv.Atoi(f[1])
	user, err2 := strconv.ParseUint(f[11], 10, 64)
	system, err3 := strconv.ParseUint(f[12], 10, 64)
	start, err4 := strconv.ParseUint(f[19], 10, 64)
	s.parent, s.ticks, s.start = parent, user+system, start
	return s, err1 == nil && err2 == nil && err3 == nil && err4 == nil
}

func readStat(pid int) (stat, bool) {
	b, err := os.ReadFile(fmt.Sprintf("/proc/%d/stat", pid))
	if err != nil {
		return stat{}, false
	}
	return parseStat(b)
}

// alive tells whether the process is still there. A zombie is not.
func (p Process) alive() bool {
	s, ok := readStat(p.ID)
	return ok && s.start == p.Start && s.state != 'Z' && s.state != 'X'
}

// open returns a pidfd of the process. The error is ESRCH when it has ended.
func (p Process) open() (int, error) {
	fd, err := unix.PidfdOpen(p.ID, 0)
	if err != nil {
		return -1, err
	}
	if !p.alive() { // looked at after opening: the descriptor is of this process or of a dead one
		unix.Close(fd)
		return -1, unix.ESRCH
	}
	return fd, nil
}

// parent returns the process that started pid.
func parent(pid int) (Process, error) {
	s, ok := readStat(pid)
	if !ok {
		return Process{}, unix.ESRCH
	}
	p := Process{ID: s.parent}
	if s, ok = readStat(p.ID); !ok || p.ID <= 1 {
		return Process{}, unix.ESRCH
	}
	p.Start = s.start
	return p, nil
}

// place is where process ids of ours mean something: the pid namespace and the boot.
func place() (pidSpace, boot string) {
	pidSpace, _ = os.Readlink("/proc/self/ns/pid")
	b, _ := os.ReadFile("/proc/sys/kernel/random/boot_id")
	return pidSpace, strings.TrimSpace(string(b))
}
