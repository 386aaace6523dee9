package server

import (
	"os/exec"
	"strings"
	"testing"

	"golang.org/x/sys/unix"
)

func TestDeadStat(t *testing.T) {
	const rest = " 1 1 1 0 -1 4194560 0 0 0 0 0 0 0 0 20 0 "
	for _, tt := range []struct {
		stat string
		want bool
	}{
		{"7 (sleep) S" + rest + "1 0 99", false},
		{"7 (sleep) Z" + rest + "1 0 99", true},
		{"7 (a) Z) S" + rest + "1 0 99", false},  // a name like that
		{"7 (java) Z" + rest + "12 0 99", false}, // its first thread has ended
		{"7 (x", true},
		{"", true},
	} {
		if got := deadStat(tt.stat); got != tt.want {
			t.Errorf("deadStat(%q) = %v, want %v", tt.stat, got, tt.want)
		}
	}
}

// A process counts until it has ended, even if its parent takes no notice.
func TestInhabited(t *testing.T) {
	proc, err := unix.Open("/proc", unix.O_RDONLY|unix.O_DIRECTORY|unix.O_CLOEXEC, 0)
	if err != nil {
		t.Fatal(err)
	}
	defer unix.Close(proc)
	cmd := exec.Command("unshare", "--user", "sh", "-c", "stat -Lc %i /proc/self/ns/user; read x")
	in, err := cmd.StdinPipe()
	if err != nil {
		t.Fatal(err)
	}
	out, err := cmd.StdoutPipe()
	if err == nil {
		err = cmd.Start()
	}
	if err != nil {
		t.Fatal(err)
	}
	buf := make([]byte, 64)
	n, _ := out.Read(buf)
	var ns uint64
	for _, c := range strings.TrimSpace(string(buf[:n])) {
		ns = ns*10 + uint64(c-'0')
	}
	if ns == 0 {
		cmd.Wait()
		t.Skip("no user namespaces")
	}
	if !inhabited(proc, ns) {
		t.Error("inhabited while a process lives there: false")
	}
	in.Close()
	var info unix.Siginfo
	if err := unix.Waitid(unix.P_PID, cmd.Process.Pid, &info, unix.WEXITED|unix.WNOWAIT, nil); err != nil {
		t.Fatal(err)
	}
	if inhabited(proc, ns) {
		t.Error("inhabited by a dead process: true")
	}
	cmd.Wait()
}
