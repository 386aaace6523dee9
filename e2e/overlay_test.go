package e2e

import (
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"syscall"
	"testing"
	"time"
)

// needOverlay skips where overlays cannot be mounted.
func needOverlay(t *testing.T) {
	t.Helper()
	if err := features["overlay"](); err != nil && inCI() {
		t.Fatalf("[overlay] is missing, and nothing may be skipped in CI: %v", err)
	} else if err != nil {
		t.Skipf("no overlay: %v", err)
	}
}

// writer starts a payload that writes without end, and waits until it does.
func writer(t *testing.T, flags ...string) *exec.Cmd {
	t.Helper()
	args := append(append([]string{"exec"}, flags...), busybox(), "sh", "-c",
		"i=0; while :; do echo $i >/opt/f$i; rm -f /opt/f$((i-50)); cp /bin/busybox /opt/big; i=$((i+1)); [ $i != 20 ] || : >started; done")
	cmd := launch(t, args...)
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		cmd.Process.Kill()
		cmd.Wait()
	})
	for deadline := time.Now().Add(10 * time.Second); time.Now().Before(deadline); time.Sleep(2 * time.Millisecond) {
		if _, err := os.Stat(filepath.Join(cmd.Dir, "started")); err == nil {
			return cmd
		}
	}
	t.Fatal("nothing written after 10 s")
	return nil
}

// servers lists the image servers that were not there before.
func servers(before []process) (list []process) {
	for _, p := range processes() {
		if p.isServer() && !slices.Contains(before, p) {
			list = append(list, p)
		}
	}
	return list
}

// empty waits until dir has nothing in it.
func empty(t *testing.T, dir, what string) {
	t.Helper()
	var names []os.DirEntry
	for deadline := time.Now().Add(patience()); time.Now().Before(deadline); time.Sleep(5 * time.Millisecond) {
		var err error
		if names, err = os.ReadDir(dir); err != nil {
			t.Fatal(err)
		}
		if len(names) == 0 {
			return
		}
	}
	t.Fatalf("%s: left in %s: %v", what, dir, names)
}

// A payload that is killed while it writes leaves no memory, no directory and no lock, and the
// overlay directory can be used at once.
func TestKillWriter(t *testing.T) {
	needOverlay(t)
	before := files()
	scratch, layer := t.TempDir(), t.TempDir()
	for _, flag := range []string{"--writable-tmpfs", "--scratch-overlay=" + scratch, "--overlay=" + layer} {
		cmd := writer(t, flag)
		cmd.Process.Kill()
		cmd.Wait()
		if out, err := launch(t, "exec", "--overlay", layer, busybox(), "sh", "-c", ": >/opt/after && ls /opt").CombinedOutput(); err != nil {
			t.Fatalf("%s, killed: the next one: %v\n%s", flag, err, out)
		}
		empty(t, scratch, flag)
		gone(t, before, flag)
	}
	if _, err := os.Stat(filepath.Join(layer, "upper/opt/f10")); err != nil {
		t.Errorf("what was written is not in the layer: %v", err)
	}
}

// Everything is killed at once while the payload writes: no lock stays, and the directory that
// nobody was left to remove goes with the next launch.
func TestKillWriterAndServer(t *testing.T) {
	needOverlay(t)
	before := files()
	scratch, layer := t.TempDir(), t.TempDir()
	for _, flag := range []string{"--scratch-overlay=" + scratch, "--overlay=" + layer} {
		others := processes()
		cmd := writer(t, flag)
		for _, p := range servers(others) {
			syscall.Kill(p.pid, syscall.SIGKILL)
		}
		cmd.Process.Kill()
		cmd.Wait()
		sweep(t)
		gone(t, before, flag+", all killed")
		for _, next := range []string{"--overlay=" + layer, "--scratch-overlay=" + scratch} {
			if out, err := launch(t, "exec", next, busybox(), "true").CombinedOutput(); err != nil {
				t.Fatalf("%s, all killed: %s: %v\n%s", flag, next, err, out)
			}
		}
		empty(t, scratch, flag)
	}
}

// A launch with a writable layer on disk that is killed at any moment leaves nothing.
func TestKillLaunchScratch(t *testing.T) {
	needOverlay(t)
	const kills = 30
	before := files()
	scratch := t.TempDir()
	begin := time.Now()
	if out, err := launch(t, "exec", "--scratch-overlay="+scratch, busybox(), "true").CombinedOutput(); err != nil {
		t.Fatalf("exec true: %v\n%s", err, out)
	}
	whole := max(time.Since(begin), 2*time.Millisecond)
	for i := range kills {
		delay := whole * 2 * time.Duration(i) / kills
		cmd := launch(t, "exec", "--scratch-overlay="+scratch, busybox(), "sleep", "60")
		if err := cmd.Start(); err != nil {
			t.Fatal(err)
		}
		time.Sleep(delay)
		cmd.Process.Kill()
		cmd.Wait()
		what := fmt.Sprintf("killed after %v", delay)
		empty(t, scratch, what)
		gone(t, before, what)
	}
}
