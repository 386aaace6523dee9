package squash

import (
	"strconv"
	"strings"
)

// CPUs is what a host says about the processors that a process may use.
type CPUs struct {
	Affinity int      // processors in the process's affinity mask (sched_getaffinity)
	Max      []string // contents of cpu.max of the process's cgroup and of those above it
	Slurm    string   // SLURM_CPUS_PER_TASK; "": not set
}

// Workers returns how many goroutines should compress: one at least. What
// cannot be understood is no limit.
//
// Source: Linux Documentation/admin-guide/cgroup-v2.rst, "cpu.max"; sbatch(1).
func (c CPUs) Workers() int {
	n := max(1, c.Affinity)
	for _, s := range c.Max {
		f := strings.Fields(s)
		if len(f) != 2 {
			continue
		}
		quota, err1 := strconv.Atoi(f[0]) // "max" is none
		period, err2 := strconv.Atoi(f[1])
		if err1 == nil && err2 == nil && quota > 0 && period > 0 {
			n = min(n, (quota+period-1)/period)
		}
	}
	if k, err := strconv.Atoi(c.Slurm); err == nil && k > 0 {
		n = min(n, k)
	}
	return n
}
