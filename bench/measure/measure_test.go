package measure

import (
	"context"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"

	"coracle/bench/report"
)

func newRun() *Run {
	return &Run{Context: context.Background(), Results: &report.Results{Machine: machine("test", true)}}
}

func TestRounds(t *testing.T) {
	r := newRun()
	ctx, cancel := context.WithCancel(context.Background())
	defer cancel()
	r.Context = ctx
	var seen []int
	for i := range r.Rounds(5) {
		if seen = append(seen, i); i == 2 {
			cancel()
		}
	}
	if len(seen) != 3 {
		t.Errorf("rounds %v, want three: the third one ends them", seen)
	}
}

func TestHave(t *testing.T) {
	dir := t.TempDir()
	for name, text := range map[string]string{"peer": "peer 1.2.3-rc1 of today", "mute": "hello", "apptainer": "apptainer version 1.4.5+coracle.0.1.0"} {
		if err := os.WriteFile(filepath.Join(dir, name), []byte("#!/bin/sh\necho "+text+"\n"), 0o755); err != nil {
			t.Fatal(err)
		}
	}
	t.Setenv("PATH", dir+":"+os.Getenv("PATH"))
	r := newRun()
	for _, tt := range []struct {
		program string
		want    bool
	}{{"peer", true}, {"mute", true}, {"apptainer", false}, {"not-there", false}} {
		if got := r.Have("the "+tt.program, tt.program); got != tt.want {
			t.Errorf("Have(%q) = %v, want %v", tt.program, got, tt.want)
		}
	}
	if v, ok := r.Machine.Peers["mute"]; r.Machine.Peers["peer"] != "1.2.3-rc1" || v != "" || !ok {
		t.Errorf("versions %q", r.Machine.Peers)
	}
	if len(r.Skipped) != 2 || r.Skipped[0] != (report.Skip{What: "the apptainer", Why: "apptainer is coracle"}) {
		t.Errorf("left out %+v", r.Skipped)
	}
}

func TestTime(t *testing.T) {
	c, err := Time(exec.Command("true"))
	if err != nil || c.Wall <= 0 || c.Peak <= 0 {
		t.Errorf("Time(true) = %+v, %v", c, err)
	}
	if _, err := Time(exec.Command("sh", "-c", "echo because >&2; exit 3")); err == nil || !strings.Contains(err.Error(), "because") {
		t.Errorf("Time(exit 3): error %v, want the words of stderr", err)
	}
}

func TestProcess(t *testing.T) {
	if kib, err := Anonymous(os.Getpid()); err != nil || kib < 100 {
		t.Errorf("Anonymous(self) = %d KiB, %v", kib, err)
	}
	dir := t.TempDir()
	if err := os.WriteFile(filepath.Join(dir, "file"), make([]byte, 1<<20), 0o644); err != nil {
		t.Fatal(err)
	}
	if n := Used(dir); n < 1<<20 || n > 1<<21 {
		t.Errorf("Used = %d bytes, want a little more than 1 MiB", n)
	}
}

func TestProcessorTime(t *testing.T) {
	all, idle := processorTime("cpu  10 1 5 100 20 3 1 2 50 0\ncpu0 10 1 5 100 20 3 1 2 50 0\n")
	if all != 142 || idle != 120 {
		t.Errorf("processorTime = %v, %v; want 142, 120", all, idle)
	}
	if all, idle := processorTime(""); all != 0 || idle != 0 {
		t.Errorf("processorTime of nothing = %v, %v", all, idle)
	}
}

func TestCPUModel(t *testing.T) {
	if got := cpuModel("processor\t: 0\nmodel name\t: Some CPU @ 2.00GHz\nmodel name\t: Other\n"); got != "Some CPU @ 2.00GHz" {
		t.Errorf("cpuModel = %q", got)
	}
}

func TestRemove(t *testing.T) {
	dir := filepath.Join(t.TempDir(), "left")
	if err := os.MkdirAll(filepath.Join(dir, "work/work/inside"), 0o755); err != nil {
		t.Fatal(err)
	}
	if err := os.Chmod(filepath.Join(dir, "work/work"), 0); err != nil {
		t.Fatal(err)
	}
	if err := remove(dir); err != nil {
		t.Error(err)
	}
	if _, err := os.Lstat(dir); !os.IsNotExist(err) {
		t.Errorf("still there: %v", err)
	}
}
