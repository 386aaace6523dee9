package main

import (
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strconv"
	"strings"

	"coracle/bench/measure"
	"coracle/bench/report"
)

// memories measures what is there beside the payloads while 1, 8 and 64 of them run: python3 that has imported numpy.
func memories(r *measure.Run, list []peer) error {
	for _, count := range []int{1, 8, 64} {
		for _, p := range list {
			if len(p.left) == 0 || r.Err() != nil {
				continue
			}
			processes, kib, err := p.beside(count)
			if err != nil {
				return fmt.Errorf("%s: %w", p.name, err)
			}
			key := report.Key{Work: "beside {x} payloads", X: float64(count), Figure: "processes"}
			r.Add(key, p.name, float64(processes))
			key.Figure, key.Unit = "anonymous memory", "MiB"
			r.Add(key, p.name, float64(kib)/1024)
		}
	}
	return nil
}

// beside counts the processes of the peer, payloads left out, and adds their anonymous memory up, in KiB.
func (p peer) beside(count int) (processes int, kib int64, err error) {
	var ends []io.Closer
	var commands []*exec.Cmd
	defer func() {
		for _, end := range ends {
			end.Close()
		}
		for _, cmd := range commands {
			cmd.Wait()
		}
	}()
	for range count {
		cmd := p.command("/usr/bin/python3", "-c", "import numpy, sys; print('ready', flush=True); sys.stdin.read()")
		in, err := cmd.StdinPipe()
		if err != nil {
			return 0, 0, err
		}
		out, err := cmd.StdoutPipe()
		if err != nil {
			return 0, 0, err
		}
		if err := cmd.Start(); err != nil {
			return 0, 0, err
		}
		ends, commands = append(ends, in), append(commands, cmd)
		word := make([]byte, len("ready"))
		if _, err := io.ReadFull(out, word); err != nil || string(word) != "ready" {
			return 0, 0, fmt.Errorf("the payload says %q: %v", word, err)
		}
	}
	dirs, _ := filepath.Glob("/proc/[0-9]*")
	for _, d := range dirs {
		comm, err := os.ReadFile(d + "/comm")
		if err != nil || !slices.Contains(p.left, strings.TrimSpace(string(comm))) {
			continue
		}
		pid, _ := strconv.Atoi(filepath.Base(d))
		n, err := measure.Anonymous(pid)
		if err != nil { // another user's
			continue
		}
		processes++
		kib += n
	}
	return processes, kib, nil
}
