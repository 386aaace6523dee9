package measure

import (
	"fmt"
	"io/fs"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"syscall"
	"time"
)

// A Cost is what a command took.
type Cost struct {
	Wall time.Duration
	CPU  time.Duration // user and system time, of the children that it waited for too
	Peak int64         // KiB: the largest resident size of one of its processes
}

// Time runs a command. An error has what it wrote to stderr, unless that goes elsewhere.
func Time(cmd *exec.Cmd) (Cost, error) {
	var stderr strings.Builder
	if cmd.Stderr == nil {
		cmd.Stderr = &stderr
	}
	begin := time.Now()
	if err := cmd.Run(); err != nil {
		return Cost{}, fmt.Errorf("%s: %w: %s", cmd.Args[0], err, &stderr)
	}
	wall := time.Since(begin)
	usage := cmd.ProcessState.SysUsage().(*syscall.Rusage)
	return Cost{Wall: wall, CPU: cmd.ProcessState.UserTime() + cmd.ProcessState.SystemTime(), Peak: usage.Maxrss}, nil
}

// Apart keeps Ctrl-C away from a command, a server that has to be unmounted first, say.
func Apart(cmd *exec.Cmd) {
	if cmd.SysProcAttr == nil {
		cmd.SysProcAttr = &syscall.SysProcAttr{}
	}
	cmd.SysProcAttr.Setpgid = true
}

// Anonymous returns the anonymous memory of a process in KiB.
func Anonymous(pid int) (kib int64, err error) {
	m, err := MemoryOf(pid)
	return m.Anonymous, err
}

// A Memory is that of a process, in KiB.
type Memory struct {
	Anonymous int64
	Share     int64 // its proportional set size: with pages of files, those that n processes have mapped by 1/n
}

// MemoryOf asks for the memory of a process. One that is ending has none, which is an error.
func MemoryOf(pid int) (m Memory, err error) {
	data, err := os.ReadFile(fmt.Sprintf("/proc/%d/smaps_rollup", pid))
	if err != nil {
		return m, err
	}
	figures := map[string]*int64{"Anonymous:": &m.Anonymous, "Pss:": &m.Share}
	for line := range strings.Lines(string(data)) {
		f := strings.Fields(line)
		if len(f) != 3 || figures[f[0]] == nil {
			continue
		}
		if *figures[f[0]], err = strconv.ParseInt(f[1], 10, 64); err != nil {
			return m, err
		}
		delete(figures, f[0])
	}
	if len(figures) > 0 {
		return m, fmt.Errorf("process %d has no memory: it is ending", pid)
	}
	return m, nil
}

// Used returns the bytes on disk below a directory.
func Used(dir string) (n int64) {
	_ = filepath.WalkDir(dir, func(path string, _ fs.DirEntry, err error) error {
		var st syscall.Stat_t
		if err == nil && syscall.Lstat(path, &st) == nil {
			n += st.Blocks * 512
		}
		return nil // what has gone meanwhile is not there
	})
	return n
}

// Milliseconds converts a time.
func Milliseconds(d time.Duration) float64 { return float64(d) / float64(time.Millisecond) }

// MiB converts bytes.
func MiB(bytes int64) float64 { return float64(bytes) / (1 << 20) }
