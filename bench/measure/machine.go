package measure

import (
	"os"
	"os/exec"
	"regexp"
	"runtime"
	"strings"
	"time"

	"golang.org/x/sys/unix"

	"coracle/bench/report"
)

func machine(part string, quick bool) report.Machine {
	m := report.Machine{Part: part, Date: time.Now().UTC().Format(time.DateOnly), Cores: runtime.NumCPU(), Quick: quick, Peers: map[string]string{}}
	cpu, _ := os.ReadFile("/proc/cpuinfo")
	m.CPU = cpuModel(string(cpu))
	load, _ := os.ReadFile("/proc/loadavg")
	m.Load, _, _ = strings.Cut(string(load), " ")
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
