package instance

import (
	"bufio"
	"bytes"
	"fmt"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"time"
)

// A Usage is what the processes of an instance have used.
type Usage struct {
	At            time.Time
	Processes     int
	Time          time.Duration // of processors, by processes that are alive
	Memory        int64         // bytes; of pages that several share, a share
	Read, Written int64         // bytes, from and to disks
}

// tick is the unit of processor time in /proc, the same on all machines that Linux runs on today.
const tick = 10 * time.Millisecond

// Usage adds up what the instance's processes use now. Those that come or go meanwhile may be missing.
func (s *State) Usage() Usage {
	u := Usage{At: time.Now()}
	space, err := os.Readlink(fmt.Sprintf("/proc/%d/ns/pid", s.PID))
	if err != nil {
		return u
	}
	dirs, _ := filepath.Glob("/proc/[0-9]*")
	for _, dir := range dirs {
		if link, err := os.Readlink(dir + "/ns/pid"); err != nil || link != space {
			continue
		}
		pid, _ := strconv.Atoi(filepath.Base(dir))
		st, ok := readStat(pid)
		if !ok {
			continue
		}
		u.Processes++
		u.Time += time.Duration(st.ticks) * tick
		u.Memory += number(dir+"/smaps_rollup", "Pss:") << 10
		u.Read += number(dir+"/io", "read_bytes:")
		u.Written += number(dir+"/io", "write_bytes:")
	}
	return u
}

// Percent is the processor time since an earlier moment, in per cent of one processor.
func (u Usage) Percent(before Usage) float64 {
	elapsed := u.At.Sub(before.At)
	if elapsed <= 0 || u.Time < before.Time {
		return 0
	}
	return 100 * float64(u.Time-before.Time) / float64(elapsed)
}

// number returns the number behind a key in a file of /proc, 0 when there is none.
func number(file, key string) int64 {
	text, err := os.ReadFile(file)
	if err != nil {
		return 0
	}
	for lines := bufio.NewScanner(bytes.NewReader(text)); lines.Scan(); {
		if rest, ok := strings.CutPrefix(lines.Text(), key); ok {
			n, _ := strconv.ParseInt(strings.Fields(rest + " 0")[0], 10, 64)
			return n
		}
	}
	return 0
}
