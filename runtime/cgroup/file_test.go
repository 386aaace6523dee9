package cgroup

import (
	"strings"
	"testing"

	"golang.org/x/sys/unix"
)

// What the kernel answers, in words that help.
func TestControllerError(t *testing.T) {
	for err, want := range map[error]string{
		unix.ENOENT: "the control group /g has no pids controller",
		unix.EBUSY:  "there are other processes in the control group /g; systemd-run --user --scope -p Delegate=yes gives a command one of its own",
		unix.EACCES: "the pids controller: permission denied",
	} {
		if got := controllerError("/g", "pids", err); got.Error() != want {
			t.Errorf("%v: %v, want %s", err, got, want)
		}
	}
}

func TestParse(t *testing.T) {
	const all = `
[cpu]
shares = 512
quota = 150000
period = 100000
cpus = "0-1"
[memory]
limit = 1073741824
reservation = 1000000
swap = -1
swappiness = 3
[pids]
limit = 100
[blockIO]
weight = 200
[unified]
"memory.high" = "900000000"
"cpu.idle" = "1"
"hugetlb.2MB.max" = "2097152"
[[devices]]
allow = true
`
	l, idle, err := Parse(all)
	want := "cpu.max=150000 100000, cpu.weight=20, cpuset.cpus=0-1, memory.max=1073741824, memory.low=1000000, memory.swap.max=max, " +
		"pids.max=100, io.weight=200, cpu.idle=1, hugetlb.2MB.max=2097152, memory.high=900000000"
	if err != nil || l.String() != want {
		t.Errorf("Parse = %s, %v\nwant %s", l, err, want)
	}
	if got := strings.Join(idle, " "); got != "memory.swappiness devices devices.allow" {
		t.Errorf("without effect: %q", got)
	}
	if got := (Limits{PIDs: 5}).Or(l); got.PIDs != 5 || got.Memory != 1<<30 {
		t.Errorf("flags and file: %+v", got)
	}
	for _, text := range []string{
		"x", "[pids]\nlimit = \"a\"", "[cpu]\ncpus = \"../x\"", "[cpu]\nshares = -1",
		"[unified]\n\"../memory.max\" = \"1\"", "[unified]\n\"cgroup.procs\" = \"1\"", "[unified]\n\"memory.max\" = \"1\\n2\"", "[unified]\n\"memory\" = \"1\"",
	} {
		if l, _, err := Parse(text); err == nil {
			t.Errorf("Parse(%q) = %+v, want an error", text, l)
		}
	}
}
