package main

import (
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"time"

	"coracle/bench/measure"
	"coracle/bench/report"
)

// memories measures what is there beside the payloads while 1, 8 and 64 of them run: python3 that has imported numpy.
// Peers read copies of the image and the tree that belong to the user and are not in the page cache before.
func memories(r *measure.Run, at places, works []peer) error {
	dir, err := r.TempDir(".") // not in memory, as /tmp may be
	if err != nil {
		return err
	}
	own := places{image: filepath.Join(dir, "image"), tree: filepath.Join(dir, "tree"), mounts: at.mounts}
	if err := errors.Join(ownCopy(at.image, own.image), ownCopy(at.tree, own.tree)); err != nil {
		return err
	}
	var list []peer // ours first: it is what the others are compared with
	for _, p := range peers(own) {
		switch {
		case !slices.ContainsFunc(works, func(w peer) bool { return w.name == p.name }):
		case p.name == ours:
			list = slices.Insert(list, 0, p)
		default:
			list = append(list, p)
		}
	}
	counts := []int{1, 8, 64}
	if r.Quick { // 64 launches that load numpy, one after the other, by each peer: minutes
		counts = counts[:2]
	}
	for _, count := range counts {
		for _, p := range list {
			if r.Err() != nil {
				return nil
			}
			u, err := p.beside(count)
			if err != nil {
				return fmt.Errorf("%s: %w", p.name, err)
			}
			u.add(r.Results, p.name, count)
		}
	}
	return nil
}

// A usage is what is in memory beside payloads.
type usage struct {
	processes        int
	anonymous, share int64 // of the processes, KiB
	image, files     int64 // page cache, bytes: the image file; the files in it, as payloads see them
}

// add notes the figures. What there is for each payload is all of it but the programs' own code, which is next to nothing
// and part of no figure twice.
func (u usage) add(r *report.Results, peer string, count int) {
	anonymous := measure.MiB(u.anonymous << 10)
	for _, f := range []struct {
		figure, unit string
		value        float64
	}{
		{"processes", "", float64(u.processes)},
		{"anonymous memory", "MiB", anonymous},
		{"proportional set size", "MiB", measure.MiB(u.share << 10)},
		{"page cache, image file", "MiB", measure.MiB(u.image)},
		{"page cache, files in it", "MiB", measure.MiB(u.files)},
		{"anonymous memory and page cache, per payload", "MiB", (anonymous + measure.MiB(u.image+u.files)) / float64(count)},
	} {
		r.Add(report.Key{Work: "beside {x} payloads", X: float64(count), Figure: f.figure, Unit: f.unit}, peer, f.value)
	}
}

// beside starts payloads with nothing in the page cache, and looks when all have loaded what they load.
func (p peer) beside(count int) (u usage, err error) {
	if err := p.gone(); err != nil {
		return u, err
	}
	if err := evict(p.source); err != nil {
		return u, err
	}
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
			return u, err
		}
		out, err := cmd.StdoutPipe()
		if err != nil {
			return u, err
		}
		if err := cmd.Start(); err != nil {
			return u, err
		}
		ends, commands = append(ends, in), append(commands, cmd)
		word := make([]byte, len("ready"))
		if _, err := io.ReadFull(out, word); err != nil || string(word) != "ready" {
			return u, fmt.Errorf("the payload says %q: %v", word, err)
		}
	}
	u = processes(p.left)
	if info, err := os.Stat(p.source); err != nil || info.Mode().IsRegular() {
		if u.image, err = measure.Resident(p.source); err != nil { // before the look at its files reads directories
			return u, err
		}
	}
	u.files, err = p.files()
	return u, err
}

// gone waits for the end of the peer's processes of the round before.
func (p peer) gone() error {
	for deadline := time.Now().Add(10 * time.Second); ; time.Sleep(10 * time.Millisecond) {
		n := processes(p.left[:1]).processes
		if n == 0 {
			return nil
		}
		if time.Now().After(deadline) {
			return fmt.Errorf("%d processes %s are there already", n, p.left[0])
		}
	}
}

// processes adds up this user's processes of some names.
func processes(names []string) (u usage) {
	dirs, _ := filepath.Glob("/proc/[0-9]*")
	for _, d := range dirs {
		comm, err := os.ReadFile(d + "/comm")
		if err != nil || !slices.Contains(names, strings.TrimSpace(string(comm))) {
			continue
		}
		pid, _ := strconv.Atoi(filepath.Base(d))
		m, err := measure.MemoryOf(pid)
		if err != nil { // another user's, or one that is ending
			continue
		}
		u.processes++
		u.anonymous += m.Anonymous
		u.share += m.Share
	}
	return u
}
