package main

import (
	"os"
	"testing"

	"coracle/userns"
)

func BenchmarkPlanFor(b *testing.B) {
	call := &userns.Call{UID: 1008, GID: 1009, Umask: 0o22, Argv: []string{"coracle", "exec", "/tmp/pl/busybox.sif", "/bin/true"}, Env: []string{"HOME=/home/corauser", "USER=corauser", "PATH=/usr/bin:/bin"},
		Namespaces: [3]string{"a", "b", "c"}, Cgroup: "0::/"}
	os.Chdir("/home/corauser")
	b.ReportAllocs()
	p := new(planner)
	for b.Loop() {
		p.planFor(call, "x")
	}
}
