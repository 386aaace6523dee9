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
)

// patience is how long after the end of the last user nothing may be left.
const patience = 2 * time.Second

// A process is one of this user's processes that run in a container or serve one.
type process struct {
	pid     int
	comm    string
	cmdline string
}

func (p process) String() string { return fmt.Sprintf("process %d %s (%s)", p.pid, p.comm, p.cmdline) }

// isServer reports whether the process is coracle itself and not a payload.
func (p process) isServer() bool { return p.comm == "coracle" }

// processes lists this user's processes that are coracle or whose mount namespace is
// not ours. Zombies, which hold nothing, are left out.
func processes() (list []process) {
	ours, _ := os.Readlink("/proc/self/ns/mnt")
	dirs, _ := filepath.Glob("/proc/[0-9]*")
	for _, d := range dirs {
		var st syscall.Stat_t
		if syscall.Stat(d, &st) != nil || int(st.Uid) != os.Getuid() && st.Uid != 0 {
			continue // a process that may not be dumped belongs to root in /proc
		}
		status, err := os.ReadFile(d + "/status")
		if err != nil || !bytes.Contains(status, fmt.Appendf(nil, "\nUid:\t%d\t", os.Getuid())) || bytes.Contains(status, []byte("\nState:\tZ")) {
			continue
		}
		comm, _ := os.ReadFile(d + "/comm")
		line, _ := os.ReadFile(d + "/cmdline")
		ns, err := os.Readlink(d + "/ns/mnt")
		p := process{comm: strings.TrimSpace(string(comm)), cmdline: string(bytes.ReplaceAll(line, []byte{0}, []byte{' '}))}
		p.pid, _ = strconv.Atoi(filepath.Base(d))
		if p.isServer() || err == nil && ns != ours {
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

// remains waits until no process, mount, socket or file is left but those that were
// there before, and returns what is still there when patience ends.
func remains(before map[string]bool, others []process) (left []string) {
	for deadline := time.Now().Add(patience); ; time.Sleep(5 * time.Millisecond) {
		left = mounts()
		for _, p := range processes() {
			if !slices.Contains(others, p) {
				left = append(left, p.String())
			}
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
