// Package cgroup puts a launch under limits of its own, in a control group below the caller's.
//
// That takes version 2 of control groups and a group that has been handed to the user (delegated): one that the user may make
// groups in. systemd does that for user@UID.service, and for `systemd-run --user --scope -p Delegate=yes`.
package cgroup

import (
	"errors"
	"fmt"
	"math"
	"os"
	"path/filepath"
	"strconv"
	"strings"

	"golang.org/x/sys/unix"
)

// Limits are what is asked for. Zero values mean no limit.
type Limits struct {
	CPUs        float64 `json:",omitempty"` // processors
	Shares      uint64  `json:",omitempty"` // of processor time, 1024 the usual
	CPUSet      string  `json:",omitempty"` // which processors: 0-3,5
	MemSet      string  `json:",omitempty"` // which memory nodes
	Memory      int64   `json:",omitempty"` // bytes
	Reservation int64   `json:",omitempty"` // bytes that are taken last
	Swap        int64   `json:",omitempty"` // bytes of memory and swap together; -1 as much swap as there is
	PIDs        int64   `json:",omitempty"` // processes and threads; -1 as many as the caller may
	BlkIO       uint64  `json:",omitempty"` // weight of disk traffic, 10 to 1000
	Unified     string  `json:",omitempty"` // lines "memory.high=1000000": what goes into further files of the group, as it is
}

// Zero tells whether nothing is asked for.
func (l Limits) Zero() bool { return l == Limits{} }

// period is the usual one of processor time, in µs.
const period = 100000

// A setting is a file of a group and what goes into it.
type setting struct{ controller, file, value string }

// settings translates limits into version 2.
func (l Limits) settings() []setting {
	var list []setting
	add := func(controller, file, value string) { list = append(list, setting{controller, file, value}) }
	if l.CPUs > 0 {
		add("cpu", "cpu.max", fmt.Sprintf("%d %d", max(1000, int64(math.Round(l.CPUs*period))), period))
	}
	if l.Shares > 0 {
		// Source: runc's conversion: 2..262144 of version 1 to 1..10000.
		add("cpu", "cpu.weight", strconv.FormatUint(1+(min(max(l.Shares, 2), 262144)-2)*9999/262142, 10))
	}
	if l.CPUSet != "" {
		add("cpuset", "cpuset.cpus", l.CPUSet)
	}
	if l.MemSet != "" {
		add("cpuset", "cpuset.mems", l.MemSet)
	}
	if l.Memory > 0 {
		add("memory", "memory.max", strconv.FormatInt(l.Memory, 10))
	}
	if l.Reservation > 0 {
		add("memory", "memory.low", strconv.FormatInt(l.Reservation, 10))
	}
	switch {
	case l.Swap < 0:
		add("memory", "memory.swap.max", "max")
	case l.Swap > 0:
		add("memory", "memory.swap.max", strconv.FormatInt(max(0, l.Swap-l.Memory), 10))
	}
	switch {
	case l.PIDs < 0:
		add("pids", "pids.max", "max")
	case l.PIDs > 0:
		add("pids", "pids.max", strconv.FormatInt(l.PIDs, 10))
	}
	if l.BlkIO > 0 {
		add("io", "io.weight", strconv.FormatUint(min(max(l.BlkIO, 1), 10000), 10))
	}
	for line := range strings.Lines(l.Unified) {
		name, value, _ := strings.Cut(strings.TrimSuffix(line, "\n"), "=")
		controller, _, _ := strings.Cut(name, ".")
		add(controller, name, value)
	}
	return list
}

// String lists the limits as the files of a control group have them.
func (l Limits) String() string {
	var list []string
	for _, s := range l.settings() {
		list = append(list, s.file+"="+s.value)
	}
	return strings.Join(list, ", ")
}

// A Place is the caller's group.
type Place struct {
	Dir   string // of the group; "" there is none of version 2
	Alone bool   // there is nobody else in it
	Why   string // why no group can be made in it; "" it can
}

// Look finds the caller's group. root is where the host's files are read.
func Look(root string, uid int) Place {
	mount := ""
	for _, dir := range []string{"/sys/fs/cgroup", "/sys/fs/cgroup/unified"} {
		if _, err := os.Stat(root + dir + "/cgroup.controllers"); err == nil {
			mount = root + dir
			break
		}
	}
	if mount == "" {
		return Place{Why: "this host has no control groups of version 2"}
	}
	text, _ := os.ReadFile(root + "/proc/self/cgroup")
	for line := range strings.Lines(string(text)) {
		path, ok := strings.CutPrefix(strings.TrimSpace(line), "0::")
		if !ok {
			continue
		}
		p := Place{Dir: filepath.Join(mount, filepath.Clean("/"+path))}
		var st unix.Stat_t
		if err := unix.Stat(p.Dir, &st); err != nil || int(st.Uid) != uid || unix.Access(filepath.Join(p.Dir, "cgroup.procs"), unix.W_OK) != nil {
			p.Why = "the control group " + path + " has not been delegated to this user"
		}
		procs, _ := os.ReadFile(filepath.Join(p.Dir, "cgroup.procs"))
		p.Alone = len(strings.Fields(string(procs))) == 1
		return p
	}
	return Place{Why: "this process is in no control group of version 2"}
}

// Prefix begins the names of groups of ours.
const Prefix = "coracle-"

// Enter makes a group below place with the limits and moves this process into it. What could not be had is
// in the error; the process is where it was then.
func Enter(place Place, l Limits) error {
	if place.Why != "" {
		return errors.New(place.Why)
	}
	sweep(place.Dir)
	dir := filepath.Join(place.Dir, Prefix+strconv.Itoa(os.Getpid()))
	if err := os.Mkdir(dir, 0o755); err != nil && !errors.Is(err, os.ErrExist) {
		return err
	}
	err := enter(place, dir, l.settings())
	if err != nil {
		set(place.Dir, "cgroup.procs", strconv.Itoa(os.Getpid()))
		os.Remove(dir)
	}
	return err
}

func enter(place Place, dir string, settings []setting) error {
	// A group with processes in it hands no controllers on: alone in it, this process leaves first.
	if place.Alone {
		if err := set(dir, "cgroup.procs", strconv.Itoa(os.Getpid())); err != nil {
			return err
		}
	}
	for _, s := range settings {
		if _, err := os.Stat(filepath.Join(dir, s.file)); err == nil {
			continue
		}
		if err := set(place.Dir, "cgroup.subtree_control", "+"+s.controller); err != nil {
			return controllerError(place.Dir, s.controller, err)
		}
	}
	for _, s := range settings {
		if err := set(dir, s.file, s.value); err != nil {
			return err
		}
	}
	if place.Alone {
		return nil
	}
	return set(dir, "cgroup.procs", strconv.Itoa(os.Getpid()))
}

// controllerError says why the kernel does not hand a controller on to the groups in dir.
func controllerError(dir, controller string, err error) error {
	switch {
	case errors.Is(err, unix.ENOENT):
		return fmt.Errorf("the control group %s has no %s controller", dir, controller)
	case errors.Is(err, unix.EBUSY):
		return fmt.Errorf("there are other processes in the control group %s; systemd-run --user --scope -p Delegate=yes gives a command one of its own", dir)
	}
	return fmt.Errorf("the %s controller: %w", controller, err)
}

func set(dir, file, value string) error {
	f, err := os.OpenFile(filepath.Join(dir, file), os.O_WRONLY, 0)
	if err != nil {
		return err
	}
	_, err = f.WriteString(value)
	return errors.Join(err, f.Close())
}

// sweep removes groups of ours that have nobody in them any more: the kernel refuses the others.
func sweep(dir string) {
	old, _ := filepath.Glob(filepath.Join(dir, Prefix+"*"))
	for _, d := range old {
		unix.Rmdir(d)
	}
}
