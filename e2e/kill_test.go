package e2e

import (
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"syscall"
	"testing"
	"time"
)

// launch prepares `coracle ARGUMENTS...` in a process group of its own, in the mode of this run.
func launch(t *testing.T, args ...string) *exec.Cmd {
	t.Helper()
	for name, probe := range map[string]func() error{"fuse": features["fuse"], "userns": features["userns"]} {
		if err := probe(); err != nil && inCI() {
			t.Fatalf("[%s] is missing, and nothing may be skipped in CI: %v", name, err)
		} else if err != nil {
			t.Skipf("no %s: %v", name, err)
		}
	}
	cmd := exec.Command(filepath.Join(os.Getenv(stageKey), "coracle"), args...)
	cmd.Dir = t.TempDir()
	cmd.SysProcAttr = &syscall.SysProcAttr{Setpgid: true}
	cmd.Env = os.Environ()
	if name, err := modeVariable(); err != nil {
		t.Fatal(err)
	} else if name != "" {
		cmd.Env = append(cmd.Env, name+"=1")
	}
	return cmd
}

// sweep makes the next launch after servers were killed: where images are extracted, it removes what they have left.
func sweep(t *testing.T) {
	t.Helper()
	if os.Getenv(modeKey) != "unsquash" {
		return
	}
	left := filepath.Join(os.TempDir(), "coracle-image-"+strconv.Itoa(os.Getuid())+"-*")
	for range 10 {
		if out, err := launch(t, "exec", busybox(), "true").CombinedOutput(); err != nil {
			t.Errorf("the launch after a server was killed: %v\n%s", err, out)
		}
		time.Sleep(50 * time.Millisecond) // what it makes itself goes, too
		if names, _ := filepath.Glob(left); len(names) == 0 {
			return
		}
		time.Sleep(200 * time.Millisecond) // the kernel closes the files of a killed process, and so its locks, a little later
	}
}

func busybox() string { return filepath.Join(os.Getenv(stageKey), "fixtures", "busybox.sif") }

// gone fails the test when something is left when patience ends.
func gone(t *testing.T, before map[string]bool, what string) {
	t.Helper()
	if left := remains(before, nil); len(left) > 0 {
		t.Fatalf("%s: left behind after %v:\n%s", what, patience(), strings.Join(left, "\n"))
	}
}

// A launch that is killed at any moment leaves no process, mount, socket or file. The
// moments are spread over twice the time that a launch takes.
func TestKillLaunch(t *testing.T) {
	const kills = 40
	begin := time.Now()
	if out, err := launch(t, "exec", busybox(), "true").CombinedOutput(); err != nil {
		t.Fatalf("exec true: %v\n%s", err, out)
	}
	whole := max(time.Since(begin), 2*time.Millisecond)
	for _, flags := range [][]string{nil, {"--containall"}, {"--underlay"}, {"--fakeroot"}, {"--fakeroot", "--pid"}} {
		t.Run(strings.Join(append([]string{"exec"}, flags...), " "), func(t *testing.T) {
			before := files()
			for i := range kills {
				delay := whole * 2 * time.Duration(i) / kills
				args := append(append([]string{"exec"}, flags...), busybox(), "sleep", "60")
				cmd := launch(t, args...)
				if err := cmd.Start(); err != nil {
					t.Fatal(err)
				}
				time.Sleep(delay)
				cmd.Process.Kill()
				cmd.Wait()
				gone(t, before, fmt.Sprintf("killed after %v", delay))
			}
		})
	}
}

// payload starts a sleeping payload and waits until it is there.
func payload(t *testing.T, flags ...string) *exec.Cmd {
	t.Helper()
	cmd := launch(t, append(append([]string{"exec"}, flags...), busybox(), "sleep", "60")...)
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		cmd.Process.Kill()
		cmd.Wait()
	})
	for deadline := time.Now().Add(10 * time.Second); time.Now().Before(deadline); time.Sleep(time.Millisecond) {
		if slices.ContainsFunc(processes(), func(p process) bool { return p.comm == "sleep" }) {
			return cmd
		}
	}
	t.Fatal("no payload after 10 s")
	return nil
}

// A server that is killed takes nothing down but the image: the payload goes on, and
// after its end nothing is left.
func TestKillServer(t *testing.T) {
	before := files()
	cmd := payload(t)
	for _, p := range processes() {
		if p.isServer() {
			syscall.Kill(p.pid, syscall.SIGKILL)
		}
	}
	time.Sleep(50 * time.Millisecond)
	if err := cmd.Process.Signal(syscall.Signal(0)); err != nil {
		t.Errorf("the payload ended with its server: %v", err)
	}
	// The next launch has a fresh one.
	if out, err := launch(t, "exec", busybox(), "echo", "fresh").CombinedOutput(); err != nil || string(out) != "fresh\n" {
		t.Errorf("a launch after the server was killed: %v, %q", err, out)
	}
	cmd.Process.Kill()
	cmd.Wait()
	sweep(t)
	gone(t, before, "server killed")
}

// A server that is killed while it plans a launch, and mounts what that needs over the image, holds nobody up: the launch fails, or goes on
// with a server of its own.
func TestKillPlanner(t *testing.T) {
	const kills = 60
	before := files()
	for i := range kills {
		others := processes()
		holder := payload(t)
		time.Sleep(25 * time.Millisecond) // until its server plans
		joined := launch(t, "exec", busybox(), "true")
		if err := joined.Start(); err != nil {
			t.Fatal(err)
		}
		delay := time.Duration(i) * 100 * time.Microsecond
		time.Sleep(delay)
		for _, p := range servers(others) {
			syscall.Kill(p.pid, syscall.SIGKILL)
		}
		ended := make(chan error, 1)
		go func() { ended <- joined.Wait() }()
		select {
		case <-ended:
		case <-time.After(15 * time.Second):
			t.Fatalf("the server killed after %v: the launch hangs", delay)
		}
		holder.Process.Kill()
		holder.Wait()
	}
	sweep(t)
	gone(t, before, "servers killed while they planned")
}

// Everything killed at once, as a batch system does.
func TestKillAll(t *testing.T) {
	before := files()
	cmd := payload(t)
	for _, p := range processes() {
		syscall.Kill(p.pid, syscall.SIGKILL)
	}
	cmd.Wait()
	sweep(t)
	gone(t, before, "all killed")
}

// An init that is killed takes its pid namespace with it.
func TestKillInit(t *testing.T) {
	if err := features["pidns"](); err != nil && !inCI() {
		t.Skipf("no pid namespaces: %v", err)
	}
	before := files()
	cmd := payload(t, "--containall")
	cmd.Process.Kill()
	cmd.Wait()
	gone(t, before, "the caller's child killed")
}

// Many launches at once: none fails, none is left.
func TestManyAtOnce(t *testing.T) {
	const many = 64
	before := files()
	cmds := make([]*exec.Cmd, many)
	for i := range cmds {
		cmds[i] = launch(t, "exec", busybox(), "cat", "/etc/issue")
		if err := cmds[i].Start(); err != nil {
			t.Fatal(err)
		}
	}
	for i, cmd := range cmds {
		if err := cmd.Wait(); err != nil {
			t.Errorf("launch %d of %d: %v", i, many, err)
		}
	}
	gone(t, before, "64 at once")
}
