package probe

import (
	"fmt"
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

// A Job is what the kernel says of a process that tells whether another one is of the same job.
type Job struct {
	Namespaces [3]string // what /proc/self/ns/ user, mnt and pid lead to; "" unknown
	Program    string    // this program, down to the identity of its file
	Label      string    // of the security module
	Limits     string    // hard resource limits
	Groups     []int     // supplementary groups
	Cgroup     string    // /proc/self/cgroup
	Session    int
}

// ownJob is this process's. root is where the host's /proc is read.
func ownJob(root string) Job {
	j := Job{Program: ownProgram(root), Label: readLine(root + "/proc/self/attr/current"), Cgroup: readLine(root + "/proc/self/cgroup")}
	for i, ns := range []string{"user", "mnt", "pid"} {
		j.Namespaces[i], _ = os.Readlink(root + "/proc/self/ns/" + ns)
	}
	var hard []uint64
	for resource := range 16 { // RLIM_NLIMITS of Linux
		var rl unix.Rlimit
		if unix.Getrlimit(resource, &rl) != nil {
			rl.Max = 0
		}
		hard = append(hard, rl.Max)
	}
	j.Limits = listLimits(hard)
	j.Groups, _ = os.Getgroups()
	j.Session, _ = unix.Getsid(0)
	return j
}

func ownProgram(root string) string {
	var self unix.Stat_t
	if unix.Stat(root+"/proc/self/exe", &self) != nil {
		return ""
	}
	return fmt.Sprintf("%d:%d:%d", self.Dev, self.Ino, self.Mtim.Nano())
}

func listLimits(hard []uint64) string {
	var list []string
	for _, limit := range hard {
		list = append(list, strconv.FormatUint(limit, 10))
	}
	return strings.Join(list, " ")
}

// scope describes what launches must have in common to share an image server: the job or, outside of one,
// the session; the namespaces that they start from; the security label; the groups; and the hard limits. root is
// where the host's /proc is read.
func (j *Job) scope(root string, env []string) string {
	var b strings.Builder
	part := func(name, value string) { b.WriteString(name + "=" + value + "\n") }
	for i, ns := range []string{"user", "mnt", "pid"} {
		if j.Namespaces[i] == "" {
			return "" // nothing to be sure of
		}
		part(ns, j.Namespaces[i])
	}
	part("program", j.Program) // another build may speak to its servers in another way
	part("label", j.Label)
	part("groups", fmt.Sprint(j.Groups))
	part("limits", j.Limits)
	part("cgroup", stepCgroup(j.Cgroup))
	inJob := false
	for _, key := range jobKeys() {
		if v := lookup(env, key); v != "" {
			part(key, v)
			inJob = true
		}
	}
	if !inJob {
		part(launchScope(root, j.Session, env))
	}
	return b.String()
}

// launchScope names what starts that belong together have in common outside of a batch job: the parallel
// launch, whose ranks share memory, or else the session.
//
// MPICH's process manager and its relatives (Hydra) make every rank the leader of a session of its own
// and say only which descriptor leads to them; what the ranks share is the process that started those
// sessions.
func launchScope(root string, sid int, env []string) (name, value string) {
	if v := lookup(env, "PMIX_NAMESPACE"); v != "" {
		return "pmix", v + " " + lookup(env, "PMIX_SERVER_TMPDIR")
	}
	if v := lookup(env, "PMI_PORT"); v != "" {
		return "pmi", v
	}
	if lookup(env, "PMI_FD") != "" {
		if parent := statField(root, sid, statParent); parent != "" {
			pid, _ := strconv.Atoi(parent)
			return "pmi", parent + " " + statField(root, pid, statStart)
		}
	}
	return "session", strconv.Itoa(sid)
}

// Fields of /proc/PID/stat after the command's name (proc(5)).
const (
	statParent = 1
	statStart  = 19
)

// statField returns a field of a process's stat file; empty when there is no such process.
func statField(root string, pid, field int) string {
	_, rest, _ := cutLast(readLine(fmt.Sprintf("%s/proc/%d/stat", root, pid)), ")")
	if fields := strings.Fields(rest); field < len(fields) {
		return fields[field]
	}
	return ""
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
