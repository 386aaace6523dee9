package main

import (
	"fmt"
	"strconv"
	"strings"

	"coracle/runtime/cgroup"
)

// resourceFlags ask for limits of the container's own.
type resourceFlags struct {
	cpus, shares, cpuset, memset string
	memory, reservation, swap    string
	pids, blkio                  string
	oomKillDisable, nv, nvccli   bool
	file                         string
	devices, cdiDirs             []string
	rocm                         bool
}

func (f *resourceFlags) table() []flag {
	return []flag{
		{name: "nv", on: &f.nv, help: "the host's NVIDIA driver: libraries, programs, devices (--rocm: AMD's)"},
		{name: "nvccli", on: &f.nvccli, hidden: true},
		{name: "rocm", on: &f.rocm, hidden: true},
		{name: "device", arg: "VENDOR/CLASS=NAME", list: &f.devices, comma: true, hidden: true, help: "a device that the host has a CDI specification of"},
		{name: "cdi-dirs", arg: "DIR", list: &f.cdiDirs, comma: true, hidden: true, help: "where specifications are looked for (/etc/cdi, /var/run/cdi)"},
		{name: "memory", arg: "SIZE", str: &f.memory, help: "limits of its own, in a control group (also --cpus N, --pids-limit N)"},
		{name: "cpus", arg: "N", str: &f.cpus, hidden: true},
		{name: "pids-limit", arg: "N", str: &f.pids, hidden: true},
		{name: "cpu-shares", arg: "N", str: &f.shares, hidden: true},
		{name: "cpuset-cpus", arg: "LIST", str: &f.cpuset, hidden: true},
		{name: "cpuset-mems", arg: "LIST", str: &f.memset, hidden: true},
		{name: "memory-reservation", arg: "SIZE", str: &f.reservation, hidden: true},
		{name: "memory-swap", arg: "SIZE", str: &f.swap, hidden: true},
		{name: "blkio-weight", arg: "N", str: &f.blkio, hidden: true},
		{name: "apply-cgroups", arg: "FILE", str: &f.file, hidden: true, help: "the same limits, and others, from a TOML file"},
		{name: "oom-kill-disable", on: &f.oomKillDisable, hidden: true},
	}
}

// limits reads the values.
func (f *resourceFlags) limits() (l cgroup.Limits, err error) {
	bad := func(name, value, want string) error { return usageErrorf("--%s %s: want %s", name, value, want) }
	if f.cpus != "" {
		if l.CPUs, err = strconv.ParseFloat(f.cpus, 64); err != nil || !(l.CPUs > 0 && l.CPUs < 1e6) {
			return l, bad("cpus", f.cpus, "a number of processors, as 1.5")
		}
	}
	for _, n := range []struct {
		name, text string
		to         *uint64
	}{{"cpu-shares", f.shares, &l.Shares}, {"blkio-weight", f.blkio, &l.BlkIO}} {
		if n.text != "" {
			if *n.to, err = strconv.ParseUint(n.text, 10, 32); err != nil {
				return l, bad(n.name, n.text, "a number")
			}
		}
	}
	for _, n := range []struct {
		name, text string
		to         *int64
		minus      bool // -1 is no limit
	}{{"memory", f.memory, &l.Memory, false}, {"memory-reservation", f.reservation, &l.Reservation, false}, {"memory-swap", f.swap, &l.Swap, true}} {
		if n.text == "-1" && n.minus {
			*n.to = -1
		} else if n.text != "" {
			if *n.to, err = memorySize(n.text); err != nil {
				return l, bad(n.name, n.text, "a size, as 512M or 2G")
			}
		}
	}
	if f.pids != "" {
		if l.PIDs, err = strconv.ParseInt(f.pids, 10, 32); err != nil || l.PIDs < -1 {
			return l, bad("pids-limit", f.pids, "a number, or -1")
		}
	}
	for _, n := range []struct{ name, text string }{{"cpuset-cpus", f.cpuset}, {"cpuset-mems", f.memset}} {
		if strings.Trim(n.text, "0123456789,-") != "" {
			return l, bad(n.name, n.text, "a list, as 0-3,6")
		}
	}
	l.CPUSet, l.MemSet = f.cpuset, f.memset
	return l, nil
}

// fileLimits reads the file of --apply-cgroups. The warnings name what has no effect.
func (f *resourceFlags) fileLimits(s situation) (l cgroup.Limits, warnings []string, err error) {
	if f.file == "" {
		return l, nil, nil
	}
	b, err := s.readFile(absolute(f.file, s.cwd))
	if err != nil {
		return l, nil, fmt.Errorf("--apply-cgroups: %w", err)
	}
	l, idle, err := cgroup.Parse(string(b))
	if err != nil {
		return l, nil, fmt.Errorf("--apply-cgroups %s: %w", f.file, err)
	}
	if len(idle) > 0 {
		warnings = append(warnings, fmt.Sprintf("--apply-cgroups %s: without effect: %s", f.file, strings.Join(idle, " ")))
	}
	return l, warnings, nil
}

// memorySize is tmpfsSize for texts that may lack a unit: bytes.
func memorySize(s string) (int64, error) {
	if n, err := strconv.ParseInt(strings.TrimRight(s, "bB"), 10, 64); err == nil && n > 0 {
		return n, nil
	}
	return tmpfsSize(s)
}
