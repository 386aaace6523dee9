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

// imageServers are those of servers that are image servers, but for children that are about to become fuse2fs: to kill that is another matter.
func imageServers(before []process) (list []process) {
	all := map[string]bool{}
	for _, p := range servers(before) {
		if strings.HasPrefix(p.cmdline, "coracle: image server") {
			list = append(list, p)
			all[strconv.Itoa(p.pid)] = true
		}
	}
	return slices.DeleteFunc(list, func(p process) bool {
		status, _ := os.ReadFile(fmt.Sprintf("/proc/%d/status", p.pid))
		_, rest, _ := strings.Cut(string(status), "\nPPid:\t")
		parent, _, _ := strings.Cut(rest, "\n")
		return all[parent]
	})
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

// A server that is killed while fuse2fs comes up for it leaves nobody behind, no lock on the image, and a file system that is clean.
func TestKillServerOfImage(t *testing.T) {
	needOverlay(t)
	if err := features["fuse2fs"](); err != nil && inCI() {
		t.Fatalf("[fuse2fs] is missing, and nothing may be skipped in CI: %v", err)
	} else if err != nil {
		t.Skipf("no fuse2fs: %v", err)
	}
	kills := 60
	if os.Getenv(modeKey) == "unsquash" {
		kills = 10 // each leaves something to remove
	}
	before, others := files(), processes()
	layer := filepath.Join(t.TempDir(), "layer.img")
	if out, err := launch(t, "overlay", "create", "--size", "8", "--sparse", layer).CombinedOutput(); err != nil {
		t.Fatalf("overlay create: %v\n%s", err, out)
	}
	begin := time.Now()
	if out, err := launch(t, "exec", "--overlay", layer, busybox(), "true").CombinedOutput(); err != nil {
		t.Fatalf("exec true: %v\n%s", err, out)
	}
	whole := time.Since(begin)
	for i := range kills {
		delay := whole * time.Duration(i) / time.Duration(kills)
		cmd := launch(t, "exec", "--overlay", layer, busybox(), "sleep", "60")
		if err := cmd.Start(); err != nil {
			t.Fatal(err)
		}
		time.Sleep(delay)
		for _, p := range imageServers(others) {
			syscall.Kill(p.pid, syscall.SIGKILL)
		}
		cmd.Process.Kill()
		cmd.Wait()
		what := fmt.Sprintf("server killed after %v", delay)
		sweep(t)
		gone(t, before, what)
		free(t, layer, what)
	}
}

// free fails the test where an image is locked, or its file system is not clean.
func free(t *testing.T, image, what string) {
	t.Helper()
	f, err := os.Open(image)
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	err = syscall.EWOULDBLOCK
	for deadline := time.Now().Add(patience()); err != nil && time.Now().Before(deadline); time.Sleep(time.Millisecond) {
		err = syscall.Flock(int(f.Fd()), syscall.LOCK_EX|syscall.LOCK_NB) // the kernel closes the files of a killed process a little later
	}
	if err != nil {
		t.Errorf("%s: lock %s: %v", what, image, err)
	}
	state := make([]byte, 2) // s_state of the superblock
	if _, err := f.ReadAt(state, 1024+0x3a); err != nil || state[0]&3 != 1 {
		t.Errorf("%s: the state of the file system in %s: %v, %v; want 1", what, image, state, err)
	}
}
