package e2e

import (
	"bytes"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"syscall"
	"time"

	"coracle/userns"
)

// patience is how long after the end of the last user nothing may be left. An extracted tree takes a while to remove, and on a disk that
// others write to each unlink(2) may take seconds.
func patience() time.Duration {
	if os.Getenv(modeKey) == "unsquash" {
		return 30 * time.Second
	}
	return 10 * time.Second
}

// A process is one of this user's processes that run in a container or serve one.
type process struct {
	pid     int
	comm    string
	cmdline string
}

func (p process) String() string { return fmt.Sprintf("process %d %s (%s)", p.pid, p.comm, p.cmdline) }

// isServer reports whether the process is coracle itself and not a payload.
func (p process) isServer() bool { return p.comm == "coracle" }

// isHelper reports whether the process is one of those that write id maps.
func (p process) isHelper() bool { return p.comm == "newuidmap" || p.comm == "newgidmap" }

// ids are the ids of this user: the own one and the subordinate ones.
type ids []userns.SubRange

func ownIDs() ids {
	text, _ := os.ReadFile("/etc/subuid")
	return append(ids{{First: os.Getuid(), Count: 1}}, userns.ParseSubIDs(string(text), os.Getenv("USER"), os.Getuid())...)
}

func (list ids) has(uid int) bool {
	return slices.ContainsFunc(list, func(r userns.SubRange) bool { return uid >= r.First && uid < r.First+r.Count })
}

func (list ids) sub(uid int) bool { return list[1:].has(uid) }

// realUID finds the real user id in the text of /proc/PID/status; -1 it has none.
func realUID(status []byte) int {
	uid := -1
	if _, line, ok := bytes.Cut(status, []byte("\nUid:\t")); ok {
		fmt.Sscanf(string(line), "%d", &uid)
	}
	return uid
}

// processes lists this user's processes that are coracle, that write its id maps, that have subordinate ids or whose
// mount namespace is not ours. Zombies, which hold nothing, are left out.
func processes() (list []process) {
	ours, _ := os.Readlink("/proc/self/ns/mnt")
	own := ownIDs()
	dirs, _ := filepath.Glob("/proc/[0-9]*")
	for _, d := range dirs {
		var st syscall.Stat_t
		if syscall.Stat(d, &st) != nil || !own.has(int(st.Uid)) && st.Uid != 0 {
			continue // a process that may not be dumped belongs to root in /proc
		}
		status, err := os.ReadFile(d + "/status")
		if err != nil || !own.has(realUID(status)) || bytes.Contains(status, []byte("\nState:\tZ")) {
			continue
		}
		comm, _ := os.ReadFile(d + "/comm")
		line, _ := os.ReadFile(d + "/cmdline")
		ns, err := os.Readlink(d + "/ns/mnt")
		p := process{comm: strings.TrimSpace(string(comm)), cmdline: string(bytes.ReplaceAll(line, []byte{0}, []byte{' '}))}
		p.pid, _ = strconv.Atoi(filepath.Base(d))
		if p.isServer() || p.isHelper() || own.sub(int(st.Uid)) || err == nil && ns != ours {
			list = append(list, p)
		}
	}
	return list
}

// mounts lists FUSE mounts with our name, and this user's sockets with our name: abstract
// ones are seen by everybody on the machine, so the name holds the user id.
func mounts() (list []string) {
	data, _ := os.ReadFile("/proc/self/mountinfo")
	for line := range strings.Lines(string(data)) {
		if strings.Contains(line, " - fuse") && strings.Contains(line, "coracle") {
			list = append(list, "mount "+strings.TrimSpace(line))
		}
	}
	data, _ = os.ReadFile("/proc/net/unix")
	for line := range strings.Lines(string(data)) {
		if strings.Contains(line, fmt.Sprintf("coracle-%d-", os.Getuid())) {
			list = append(list, "socket "+strings.TrimSpace(line))
		}
	}
	return list
}

// files lists what belongs to this user in the directories where programs put
// temporary files.
func files() map[string]bool {
	found := map[string]bool{}
	home, _ := os.UserHomeDir()
	for _, dir := range []string{"/tmp", "/var/tmp", "/dev/shm", "/run/lock", fmt.Sprintf("/run/user/%d", os.Getuid()), home} {
		entries, _ := os.ReadDir(dir)
		for _, e := range entries {
			info, err := e.Info()
			if err != nil {
				continue
			}
			if st, ok := info.Sys().(*syscall.Stat_t); ok && int(st.Uid) == os.Getuid() {
				found[filepath.Join(dir, e.Name())] = true
			}
		}
	}
	return found
}

// bystanders are the processes that were there before any test.
var bystanders []process

// running are this user's processes that are no bystanders.
func running(bystanders []process) []process {
	return slices.DeleteFunc(processes(), func(p process) bool { return slices.Contains(bystanders, p) })
}

// leftRunning waits until no process is left but the bystanders, and returns those that are still there when patience ends.
func leftRunning() (left []process) {
	for deadline := time.Now().Add(patience()); ; time.Sleep(5 * time.Millisecond) {
		if left = running(bystanders); len(left) == 0 || time.Now().After(deadline) {
			return left
		}
	}
}

// remains waits until no process, mount, socket or file is left but those that were
// there before, and returns what is still there when patience ends.
func remains(before map[string]bool, others []process) (left []string) {
	for deadline := time.Now().Add(patience()); ; time.Sleep(5 * time.Millisecond) {
		left = mounts()
		for _, p := range running(others) {
			left = append(left, p.String())
		}
		for f := range files() {
			if !before[f] {
				left = append(left, "file "+f)
			}
		}
		if len(left) == 0 || time.Now().After(deadline) {
			return left
		}
	}
}
