package userns

import (
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"

	"golang.org/x/sys/unix"
)

// tellOutcome prints what a stage has come to.
func tellOutcome(o Outcome) {
	if err := o.Err(); err != nil {
		fmt.Println("error:", err)
		return
	}
	uids, _ := os.ReadFile("/proc/self/uid_map")
	gids, _ := os.ReadFile("/proc/self/gid_map")
	words := strings.Fields(string(uids) + string(gids))
	_, err := unix.Wait4(-1, nil, unix.WNOHANG|unix.WALL, nil)
	fmt.Println(o.Small, strings.Join(words, " "), err, o.Step)
}

// enterWith starts the test binary as a stage in a new user namespace whose maps these programs shall write.
func enterWith(t *testing.T, newUIDMap, newGIDMap string) *exec.Cmd {
	t.Helper()
	h := Header{Role: Enter, Flags: NewUser | Helpers, Sock: -1, Pidfd: -1, Listener: -1, NewUIDMap: newUIDMap, NewGIDMap: newGIDMap,
		UIDMap: fmt.Sprintf("0 %d 1\n1 100000 65536\n", os.Getuid()), GIDMap: fmt.Sprintf("0 %d 1\n1 200000 65536\n", os.Getgid())}
	b, err := h.Encode()
	if err != nil {
		t.Fatal(err)
	}
	file := filepath.Join(t.TempDir(), "header")
	if err := os.WriteFile(file, b, 0o600); err != nil {
		t.Fatal(err)
	}
	f, err := os.Open(file)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { f.Close() })
	cmd := exec.Command(self(t))
	cmd.Args = []string{StagePrefix + "enter", "3"}
	cmd.ExtraFiles = []*os.File{f}
	return cmd
}

func helper(t *testing.T, script string) string {
	t.Helper()
	path := filepath.Join(t.TempDir(), "helper")
	if err := os.WriteFile(path, []byte("#!/bin/sh\n"+script), 0o755); err != nil {
		t.Fatal(err)
	}
	return path
}

// Helpers that do not do their work leave a namespace with the caller's own ids, no child, and a reason.
func TestHelpersFail(t *testing.T) {
	if err := exec.Command("unshare", "--user", "true").Run(); err != nil {
		t.Skipf("no user namespaces: %v", err)
	}
	small := fmt.Sprintf("true 0 %d 1 0 %d 1 no child processes ", os.Getuid(), os.Getgid())
	for _, tt := range []struct{ name, uids, gids, want string }{
		{"silent", "/bin/false", "/bin/false", small + "newuidmap or newgidmap failed"},
		{"missing", "/nowhere/newuidmap", "/nowhere/newuidmap", small + "/nowhere/newuidmap: No such file or directory"},
		{"words", helper(t, "echo 'newuidmap: not allowed' >&2; echo more >&2; exit 1"), "/bin/false", small + "newuidmap: not allowed"},
		{"killed", helper(t, "kill -KILL $$"), "/bin/false", small + "newuidmap or newgidmap failed"},
		{"keeper killed", helper(t, "kill -KILL $PPID"), helper(t, "exec sleep 0.1"), small + "newuidmap or newgidmap failed"},
		{"arguments", helper(t, `shift; echo "$@" >&2; exit 1`), "/bin/false", small + fmt.Sprintf("0 %d 1 1 100000 65536", os.Getuid())},
	} {
		out, err := enterWith(t, tt.uids, tt.gids).CombinedOutput()
		if got := strings.TrimSpace(string(out)); err != nil || got != tt.want {
			t.Errorf("%s: %q, %v; want %q", tt.name, got, err, tt.want)
		}
	}
}

// A stage that is killed while its helpers work takes the process with it that waits for them.
func TestHelpersKilled(t *testing.T) {
	pid := filepath.Join(t.TempDir(), "pid")
	cmd := enterWith(t, helper(t, "echo $PPID >"+pid+".new; mv "+pid+".new "+pid+"; exec sleep 2"), "/bin/false")
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	var keeper int
	for deadline := time.Now().Add(10 * time.Second); keeper == 0 && time.Now().Before(deadline); time.Sleep(time.Millisecond) {
		text, _ := os.ReadFile(pid)
		fmt.Sscan(string(text), &keeper)
	}
	cmd.Process.Kill()
	cmd.Wait()
	if keeper == 0 {
		t.Skip("no user namespaces: the helpers were not started")
	}
	for deadline := time.Now().Add(10 * time.Second); ; time.Sleep(time.Millisecond) {
		status, err := os.ReadFile(fmt.Sprintf("/proc/%d/status", keeper))
		if err != nil || strings.Contains(string(status), "\nState:\tZ") || syscall.Kill(keeper, 0) != nil {
			return
		}
		if time.Now().After(deadline) {
			t.Fatalf("process %d is still there:\n%s", keeper, status)
		}
	}
}
