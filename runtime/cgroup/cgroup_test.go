package cgroup

import (
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
)

func TestSettings(t *testing.T) {
	for _, tt := range []struct {
		l    Limits
		want string
	}{
		{Limits{}, ""},
		{Limits{CPUs: 1.5}, "cpu.max=150000 100000"},
		{Limits{CPUs: 0.001}, "cpu.max=1000 100000"}, // the kernel's least
		{Limits{Shares: 1024}, "cpu.weight=39"},
		{Limits{Memory: 1 << 30, Swap: 3 << 29}, "memory.max=1073741824 memory.swap.max=536870912"},
		{Limits{Memory: 1 << 30, Swap: -1}, "memory.max=1073741824 memory.swap.max=max"},
		{Limits{PIDs: 100, CPUSet: "0-1"}, "cpuset.cpus=0-1 pids.max=100"},
		{Limits{PIDs: -1}, "pids.max=max"},
	} {
		var got []string
		for _, s := range tt.l.settings() {
			got = append(got, s.file+"="+s.value)
		}
		if strings.Join(got, " ") != tt.want {
			t.Errorf("%+v: %q, want %q", tt.l, got, tt.want)
		}
	}
}

// A recorded tree stands for the host's: what would be written where.
func TestEnter(t *testing.T) {
	root := t.TempDir()
	group := filepath.Join(root, "sys/fs/cgroup/job")
	ours := filepath.Join(group, Prefix+"x")
	for _, dir := range []string{ours, filepath.Join(root, "proc/self")} {
		if err := os.MkdirAll(dir, 0o755); err != nil {
			t.Fatal(err)
		}
	}
	for name, text := range map[string]string{
		"sys/fs/cgroup/cgroup.controllers": "cpu memory pids\n", "proc/self/cgroup": "1:name=systemd:/\n0::/job\n",
		"sys/fs/cgroup/job/cgroup.procs": "17\n", "sys/fs/cgroup/job/cgroup.subtree_control": "",
		"sys/fs/cgroup/job/coracle-x/cgroup.procs": "", "sys/fs/cgroup/job/coracle-x/memory.max": "max",
	} {
		if err := os.WriteFile(filepath.Join(root, name), []byte(text), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	p := Look(root, os.Getuid())
	if p.Dir != group || !p.Alone || p.Why != "" {
		t.Fatalf("Look = %+v", p)
	}
	if err := enter(p, ours, Limits{Memory: 4096}.settings()); err != nil {
		t.Fatal(err)
	}
	if b, _ := os.ReadFile(filepath.Join(ours, "memory.max")); !strings.HasPrefix(string(b), "4096") {
		t.Errorf("memory.max = %q", b)
	}
	if other := Look(root, os.Getuid()+1); !strings.Contains(other.Why, "not been delegated") {
		t.Errorf("another user's group: %+v", other)
	}
	if none := Look(t.TempDir(), 0); !slices.Contains([]string{"this host has no control groups of version 2"}, none.Why) {
		t.Errorf("no groups: %+v", none)
	}
}
