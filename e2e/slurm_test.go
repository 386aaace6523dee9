package e2e

import (
	"crypto/rand"
	"fmt"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/rogpeppe/go-internal/testscript"
)

// TestSlurm runs testdata/slurm/*.txtar with a Slurm of their own: munge, slurmctld and two slurmd, all of them this
// user's, so that a job can span two "nodes" of one machine.
func TestSlurm(t *testing.T) {
	if err := features["slurm"](); err != nil && inCI() {
		t.Fatalf("[slurm] is missing, and nothing may be skipped in CI: %v", err)
	} else if err != nil {
		t.Skip(err)
	}
	scripts, err := filepath.Glob("testdata/slurm/*.txtar")
	if err != nil || len(scripts) == 0 {
		t.Fatalf("no scripts: %v", err)
	}
	before := files()
	conf := startSlurm(t)
	for _, script := range scripts {
		runScript(t, script, func(env *testscript.Env) error {
			env.Setenv("SLURM_CONF", conf)
			before[filepath.Dir(env.WorkDir)] = true
			return setup(env)
		})
	}
	before[filepath.Dir(conf)] = true
	gone(t, before, "after the jobs")
}

// slurmConf is what Slurm is told: names and addresses are put in by startSlurm.
const slurmConf = `ClusterName=e2e
SlurmctldHost=HOST(127.0.0.1)
SlurmUser=USER
SlurmdUser=USER
AuthType=auth/munge
AuthInfo=socket=DIR/munge.socket
CredType=cred/munge
ProctrackType=proctrack/linuxproc
TaskPlugin=task/none
SwitchType=switch/none
MpiDefault=none
SelectType=select/cons_tres
SelectTypeParameters=CR_CPU_Memory
SlurmctldPort=PORT0
SlurmctldPidFile=DIR/slurmctld.pid
SlurmdPidFile=DIR/slurmd-%n.pid
SlurmdSpoolDir=DIR/%n
TmpFS=DIR/%n/tmp
StateSaveLocation=DIR/state
SlurmctldLogFile=DIR/slurmctld.log
SlurmdLogFile=DIR/slurmd-%n.log
SlurmdParameters=config_overrides
ReturnToService=2
JobAcctGatherType=jobacct_gather/linux
JobAcctGatherFrequency=1
JobAcctGatherParams=OverMemoryKill
KillWait=2
SchedulerParameters=sched_interval=1,batch_sched_delay=0
NodeName=n1 NodeHostname=HOST NodeAddr=127.0.0.1 Port=PORT1 CPUs=4 RealMemory=2000
NodeName=n2 NodeHostname=HOST NodeAddr=127.0.0.1 Port=PORT2 CPUs=4 RealMemory=2000
PartitionName=all Nodes=n1,n2 Default=YES State=UP
`

// ociConf is how Slurm runs bundles in coracle. It is what docs/slurm.md shows.
const ociConf = `RunTimeRun="exec /apps/coracle/bin/coracle exec --oci-config '%b/config.json' '%r'"
RunTimeQuery="echo '{}'"
RunTimeKill="true"
RunTimeDelete="true"
`

// startSlurm starts the daemons, which end with the test, and returns the path of their configuration.
func startSlurm(t *testing.T) (conf string) {
	t.Helper()
	dir, err := os.MkdirTemp("/tmp", "coracle-slurm-") // a short path: there will be a socket
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { os.RemoveAll(dir) })
	for _, d := range []string{"state", "n1/tmp", "n2/tmp"} {
		if err := os.MkdirAll(filepath.Join(dir, d), 0o755); err != nil {
			t.Fatal(err)
		}
	}
	host, err := os.Hostname()
	if err != nil {
		t.Fatal(err)
	}
	host, _, _ = strings.Cut(host, ".")
	put := []string{"HOST", host, "USER", os.Getenv("USER"), "DIR", dir}
	for i, port := range freePorts(t, 3) {
		put = append(put, fmt.Sprintf("PORT%d", i), fmt.Sprint(port))
	}
	conf = filepath.Join(dir, "slurm.conf")
	key := make([]byte, 128)
	rand.Read(key)
	for path, data := range map[string]string{
		conf:                            strings.NewReplacer(put...).Replace(slurmConf),
		filepath.Join(dir, "oci.conf"):  strings.ReplaceAll(ociConf, "/apps/coracle/bin", os.Getenv(stageKey)),
		filepath.Join(dir, "munge.key"): string(key),
	} {
		if err := os.WriteFile(path, []byte(data), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	in := func(name string) string { return filepath.Join(dir, name) }
	daemon(t, conf, "munged", "--foreground", "--force", "--num-threads=2", "--key-file="+in("munge.key"), "--socket="+in("munge.socket"),
		"--pid-file="+in("munged.pid"), "--log-file="+in("munged.log"), "--seed-file="+in("munge.seed"))
	until(t, dir, "munge's socket", func() bool { return file(in("munge.socket")) == nil })
	daemon(t, conf, "slurmctld", "-D", "-i", "-f", conf)
	daemon(t, conf, "slurmd", "-D", "-N", "n1", "-f", conf)
	daemon(t, conf, "slurmd", "-D", "-N", "n2", "-f", conf)
	until(t, dir, "two idle nodes", func() bool {
		cmd := exec.Command("sinfo", "--noheader", "--Node", "--format=%t")
		cmd.Env = append(os.Environ(), "SLURM_CONF="+conf)
		out, _ := cmd.Output()
		return string(out) == "idle\nidle\n"
	})
	return conf
}

// daemon starts a program that is stopped when the test has ended.
func daemon(t *testing.T, conf, name string, args ...string) {
	t.Helper()
	cmd := exec.Command(name, args...)
	cmd.Env = append(os.Environ(), "SLURM_CONF="+conf)
	cmd.SysProcAttr = &syscall.SysProcAttr{Pdeathsig: syscall.SIGKILL}
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		cmd.Process.Signal(syscall.SIGTERM)
		end := time.AfterFunc(5*time.Second, func() { cmd.Process.Kill() })
		cmd.Wait()
		end.Stop()
	})
}

// until waits for something that Slurm's daemons do; their logs tell why it did not happen.
func until(t *testing.T, dir, what string, done func() bool) {
	t.Helper()
	for deadline := time.Now().Add(30 * time.Second); !done(); time.Sleep(50 * time.Millisecond) {
		if time.Now().After(deadline) {
			logs, _ := filepath.Glob(filepath.Join(dir, "*.log"))
			for _, name := range logs {
				text, _ := os.ReadFile(name)
				t.Logf("%s:\n%s", filepath.Base(name), text)
			}
			t.Fatalf("no %s after half a minute", what)
		}
	}
}

// freePorts returns ports that nobody listens on.
func freePorts(t *testing.T, n int) (ports []int) {
	t.Helper()
	for range n {
		l, err := net.Listen("tcp", "127.0.0.1:0")
		if err != nil {
			t.Fatal(err)
		}
		defer l.Close()
		ports = append(ports, l.Addr().(*net.TCPAddr).Port)
	}
	return ports
}
