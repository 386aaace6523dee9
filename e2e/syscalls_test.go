package e2e

import (
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"testing"
	"time"
)

// What the main thread of a launch may ask of the kernel, /bin/true included. Where the launch goes through Go a second time, or reads
// what it need not, there are hundreds more; a new Go release or C library moves the figures by a few dozen. Measured: 345, 1085
// and 985 (Go 1.26, musl 1.2.3).
const (
	plannedCalls   = 390 // the image server plans: no Go runtime starts at all
	writableCalls  = 1250
	directoryCalls = 1180
)

// systemCalls counts those of a command's main thread with strace: all, and by name.
func systemCalls(t *testing.T, args ...string) (total int, calls map[string]int) {
	t.Helper()
	out := filepath.Join(t.TempDir(), "strace")
	traced := launch(t, args...)
	cmd := exec.Command("strace", append([]string{"-c", "-o", out}, traced.Args...)...)
	cmd.Dir = traced.Dir
	if text, err := cmd.CombinedOutput(); err != nil {
		t.Fatalf("%s: %v\n%s", strings.Join(cmd.Args, " "), err, text)
	}
	table, err := os.ReadFile(out)
	if err != nil {
		t.Fatal(err)
	}
	calls = map[string]int{}
	for line := range strings.Lines(string(table)) {
		f := strings.Fields(line) // % time, seconds, usecs/call, calls, errors where there are any, name
		if len(f) < 5 {
			continue
		}
		if n, err := strconv.Atoi(f[3]); err == nil {
			calls[f[len(f)-1]] = n
		}
	}
	return calls["total"], calls
}

// TestSystemCalls keeps a launch as short as it is, without a clock.
func TestSystemCalls(t *testing.T) {
	if os.Getenv(modeKey) != "" {
		t.Skip("the other modes mount entry by entry, or wait for as long as extracting takes")
	}
	if _, err := exec.LookPath("strace"); err != nil && inCI() {
		t.Fatalf("nothing may be skipped in CI: %v", err)
	} else if err != nil {
		t.Skip(err)
	}
	server := launch(t, "exec", busybox(), "cat")
	in, err := server.StdinPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := server.Start(); err != nil {
		t.Fatal(err)
	}
	defer server.Wait()
	defer in.Close()
	time.Sleep(200 * time.Millisecond) // until the server has no affairs of its own any more
	for _, tt := range []struct {
		name       string
		most       int
		executions int // of the program, perhaps of itself again, and of the payload
		pivots     int
		args       []string
	}{
		{"server there", plannedCalls, 2, 0, []string{"exec", busybox(), "true"}},
		{"first launch", plannedCalls, 2, 1, []string{"exec", "--no-share", busybox(), "true"}},
		{"a writable layer", writableCalls, 3, 1, []string{"exec", "--writable-tmpfs", busybox(), "true"}},
		{"directory", directoryCalls, 3, 1, []string{"exec", strings.TrimSuffix(busybox(), ".sif"), "true"}},
	} {
		total, calls := systemCalls(t, tt.args...)
		t.Logf("%s: %d system calls", tt.name, total)
		if total == 0 || total > tt.most {
			t.Errorf("%s: %d system calls, want at most %d: %v", tt.name, total, tt.most, calls)
		}
		if calls["execve"] != tt.executions || calls["pivot_root"] != tt.pivots {
			t.Errorf("%s: %d execve and %d pivot_root, want %d and %d", tt.name, calls["execve"], calls["pivot_root"], tt.executions, tt.pivots)
		}
	}
}
