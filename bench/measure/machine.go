package measure

import (
	"math"
	"os"
	"os/exec"
	"regexp"
	"runtime"
	"strconv"
	"strings"
	"time"

	"golang.org/x/sys/unix"

	"coracle/bench/report"
)

func machine(part string, quick bool) report.Machine {
	m := report.Machine{Part: part, Date: time.Now().UTC().Format(time.DateOnly), Cores: runtime.NumCPU(), Quick: quick, Peers: map[string]string{}}
	cpu, _ := os.ReadFile("/proc/cpuinfo")
	m.CPU = cpuModel(string(cpu))
	patience := 10 // seconds: what came before may still be on its way to the disk
	if quick {
		patience = 1
	}
	for range patience {
		if m.Busy = busyFor(time.Second); m.Busy < 0.1 {
			break
		}
	}
	var info unix.Sysinfo_t
	if unix.Sysinfo(&info) == nil {
		m.Memory = int64(info.Totalram) * int64(info.Unit)
	}
	var name unix.Utsname
	if unix.Uname(&name) == nil {
		m.Kernel = unix.ByteSliceToString(name.Release[:])
	}
	return m
}

// busyFor returns how many processors have something to do while it waits. (The load average would count what a benchmark before
// this one has done.)
func busyFor(d time.Duration) float64 {
	before, _ := os.ReadFile("/proc/stat")
	time.Sleep(d)
	after, _ := os.ReadFile("/proc/stat")
	all, idle := processorTime(string(after))
	all0, idle0 := processorTime(string(before))
	if all == all0 {
		return 0
	}
	return math.Round(float64(runtime.NumCPU())*(1-(idle-idle0)/(all-all0))*100) / 100
}

// processorTime reads the first line of /proc/stat: the time of all processors, and what of it they had nothing to do, in ticks.
//
// Source: proc_stat(5).
func processorTime(stat string) (all, idle float64) {
	line, _, _ := strings.Cut(stat, "\n")
	f := strings.Fields(line)
	for i, word := range f {
		n, err := strconv.ParseFloat(word, 64)
		if err != nil || i > 8 { // from the ninth on it is counted in others already
			continue
		}
		all += n
		if i == 4 || i == 5 { // idle, iowait
			idle += n
		}
	}
	return all, idle
}

// cpuModel finds the first processor's name in the text of /proc/cpuinfo; other architectures than x86 have none.
func cpuModel(cpuinfo string) string {
	for line := range strings.Lines(cpuinfo) {
		if key, value, ok := strings.Cut(line, ":"); ok && strings.TrimSpace(key) == "model name" {
			return strings.TrimSpace(value)
		}
	}
	return runtime.GOARCH
}

var versionNumber = regexp.MustCompile(`\d+(\.\d+)+\S*`)

// version asks a program for its version: the first word that looks like one in what it says without an error, or,
// squashfuse's way, in its help. It is "" if the program does not say.
func version(program string) string {
	for _, flag := range []string{"--version", "-version", "--help"} {
		cmd := exec.Command(program, flag)
		cmd.Env = append(os.Environ(), "USER=bench") // ch-run insists on one
		out, err := cmd.CombinedOutput()
		if strings.Contains(string(out), "coracle") {
			return "coracle"
		}
		if v := versionNumber.FindString(string(out)); v != "" && (err == nil || flag == "--help") {
			return v
		}
	}
	return ""
}
