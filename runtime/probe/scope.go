package probe

import (
	"os"
	"strconv"
	"strings"

	"golang.org/x/sys/unix"
)

// jobKeys are the variables in which batch systems name a job, or a step of it: processes of different
// jobs never have all of them in common.
func jobKeys() []string {
	return []string{
		"SLURM_JOB_ID", "SLURM_STEP_ID", "SLURM_STEPID", // Slurm
		"PBS_JOBID",                 // PBS, OpenPBS, Torque
		"LSB_JOBID", "LSB_JOBINDEX", // LSF
		"JOB_ID", "SGE_TASK_ID", // Grid Engine
		"FLUX_JOB_ID",    // Flux
		"_CONDOR_JOB_AD", // HTCondor
		"COBALT_JOBID",   // Cobalt
		"OAR_JOB_ID",     // OAR
	}
}

// scope describes what launches must have in common to share an image server: the job or, outside of one,
// the session; the namespaces that they start from; the security label; and the hard limits. root is
// where the host's /proc is read.
func scope(root string, env []string) string {
	var b strings.Builder
	part := func(name, value string) { b.WriteString(name + "=" + value + "\n") }
	for _, ns := range []string{"user", "mnt", "pid"} {
		link, err := os.Readlink(root + "/proc/self/ns/" + ns)
		if err != nil {
			return "" // nothing to be sure of
		}
		part(ns, link)
	}
	part("label", readLine(root+"/proc/self/attr/current"))
	part("limits", hardLimits())
	part("cgroup", stepCgroup(readLine(root+"/proc/self/cgroup")))
	inJob := false
	for _, key := range jobKeys() {
		if v := lookup(env, key); v != "" {
			part(key, v)
			inJob = true
		}
	}
	if !inJob {
		sid, _ := unix.Getsid(0)
		part("session", strconv.Itoa(sid))
	}
	return b.String()
}

// stepCgroup cuts the cgroups of single tasks off: the ranks of one step share.
//
// Source: Slurm's cgroup plugins, which put a task into …/step_0/user/task_3.
func stepCgroup(text string) string {
	lines := strings.Split(text, "\n")
	for i, line := range lines {
		if dir, task, ok := cutLast(line, "/"); ok && strings.HasPrefix(task, "task_") {
			lines[i] = dir
		}
	}
	return strings.Join(lines, " ")
}

func cutLast(s, sep string) (before, after string, ok bool) {
	i := strings.LastIndex(s, sep)
	if i < 0 {
		return s, "", false
	}
	return s[:i], s[i+len(sep):], true
}

// hardLimits lists the hard resource limits of this process.
func hardLimits() string {
	var list []string
	for resource := range 16 { // RLIM_NLIMITS of Linux
		var rl unix.Rlimit
		if unix.Getrlimit(resource, &rl) == nil {
			list = append(list, strconv.FormatUint(rl.Max, 10))
		}
	}
	return strings.Join(list, " ")
}
