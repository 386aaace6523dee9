package main

import (
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"syscall"
	"time"

	"coracle/bench/measure"
	"coracle/bench/report"
)

// memory measures the anonymous memory of the image's server: right after the launch, and after every file has been
// looked at.
func memory(r *measure.Run, image string, files float64) error {
	cmd := exec.Command("./coracle", "exec", image, "/bin/busybox", "sh", "-c",
		"echo started; read x; busybox find /data -type f -size +1 -print; echo walked; read x")
	in, err := cmd.StdinPipe()
	if err != nil {
		return err
	}
	out, err := cmd.StdoutPipe()
	if err != nil {
		return err
	}
	cmd.Stderr = os.Stderr
	if err := cmd.Start(); err != nil {
		return err
	}
	defer cmd.Wait()
	defer cmd.Process.Kill()
	for _, step := range []struct{ word, work string }{
		{"started\n", "image server of {x} files, after a launch"},
		{"walked\n", "image server of {x} files, after a look at every file"},
	} {
		word := step.word
		buf := make([]byte, len(word))
		if _, err := out.Read(buf); err != nil {
			return err
		}
		if string(buf) != word {
			return fmt.Errorf("the payload says %q, not %q", buf, word)
		}
		server, err := findServer(cmd.Process.Pid)
		if err != nil {
			return err
		}
		kib, err := measure.Anonymous(server)
		if err != nil {
			return err
		}
		r.Add(report.Key{Work: step.work, X: files, Figure: "anonymous memory", Unit: "MiB"}, "coracle", float64(kib)/1024)
		if _, err := in.Write([]byte("\n")); err != nil {
			return err
		}
	}
	return nil
}

// findServer returns the newest coracle process of this user: no other is started here
// while it runs. Its first argument names its task, which the payload's does not.
func findServer(payload int) (pid int, err error) {
	for deadline := time.Now().Add(time.Second); time.Now().Before(deadline); time.Sleep(time.Millisecond) {
		dirs, _ := filepath.Glob("/proc/[0-9]*")
		for _, d := range dirs {
			n, _ := strconv.Atoi(filepath.Base(d))
			comm, err := os.ReadFile(d + "/comm")
			if err != nil || n == payload || strings.TrimSpace(string(comm)) != "coracle" {
				continue
			}
			var st syscall.Stat_t
			if syscall.Stat(d, &st) == nil && int(st.Uid) == os.Getuid() && n > pid && alive(d) {
				pid = n
			}
		}
		if pid != 0 {
			return pid, nil
		}
	}
	return 0, fmt.Errorf("no image server found")
}

// alive tells a process from a zombie, whose memory map is empty.
func alive(dir string) bool {
	data, err := os.ReadFile(dir + "/smaps_rollup")
	return err == nil && len(data) > 0
}
