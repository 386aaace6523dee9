package e2e

import (
	"bytes"
	"context"
	"errors"
	"math/rand/v2"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"sync"
	"sync/atomic"
	"syscall"
	"testing"
	"time"
)

// soakKey names the environment variable that says how long TestSoak goes on; empty: not at all.
const soakKey = "CORACLE_SOAK"

// A soak is a run of random launches by one user.
type soak struct {
	t        *testing.T
	end      time.Time
	env      []string
	scratch  string
	launches atomic.Int64
	killed   atomic.Int64
	shot     atomic.Int64 // twice the image servers that were killed: launches of the same moments may fail
}

// TestSoak launches at random, kills at random and looks whether a launch failed that nobody killed, and what is left.
// `make soak` runs it as two users at once.
func TestSoak(t *testing.T) {
	d, err := time.ParseDuration(os.Getenv(soakKey))
	if err != nil {
		t.Skipf("%s is not set (make soak)", soakKey)
	}
	before, others := files(), processes()
	dir := t.TempDir()
	for _, sub := range []string{"run", "scratch", "config"} {
		if err := os.Mkdir(filepath.Join(dir, sub), 0o700); err != nil {
			t.Fatal(err)
		}
	}
	s := &soak{t: t, end: time.Now().Add(d), scratch: filepath.Join(dir, "scratch"), env: append(os.Environ(),
		"XDG_RUNTIME_DIR="+filepath.Join(dir, "run"), "CORACLE_CONFIGDIR="+filepath.Join(dir, "config"), "TMPDIR="+filepath.Join(dir, "scratch"))}
	seed := uint64(time.Now().UnixNano())
	t.Logf("seed %d", seed)
	var workers sync.WaitGroup
	for i := range 4 {
		workers.Go(func() { s.work(i, rand.New(rand.NewPCG(seed, uint64(i)))) })
	}
	workers.Wait()
	s.coracle("instance", "stop", "--all", "--timeout", "2").Run()
	t.Logf("%d launches, %d of them killed, %d image servers killed", s.launches.Load(), s.killed.Load(), s.shot.Load()/2)
	for _, sub := range []string{"run", "scratch"} {
		for deadline := time.Now().Add(patience()); ; time.Sleep(10 * time.Millisecond) {
			left, _ := os.ReadDir(filepath.Join(dir, sub))
			if len(left) == 0 {
				break
			}
			if time.Now().After(deadline) {
				t.Errorf("left behind in %s: %v", sub, left)
				break
			}
		}
	}
	for _, l := range remains(withDir(before, dir), others) {
		t.Errorf("left behind: %s", l)
	}
}

// withDir leaves the test's own directories out of account.
func withDir(before map[string]bool, dir string) map[string]bool {
	for ; dir != "/" && dir != "."; dir = filepath.Dir(dir) {
		before[dir] = true
	}
	return before
}

func (s *soak) coracle(args ...string) *exec.Cmd {
	cmd := exec.Command(filepath.Join(os.Getenv(stageKey), "coracle"), args...)
	cmd.Env = s.env
	cmd.SysProcAttr = &syscall.SysProcAttr{Setpgid: true}
	return cmd
}

// work launches one after another.
func (s *soak) work(worker int, r *rand.Rand) {
	for n := 0; time.Now().Before(s.end) && !s.t.Failed(); n++ {
		switch dice := r.IntN(100); {
		case dice < 60:
			s.run(s.coracle(s.command(r, "echo fine")...), "fine\n", s.shot.Load())
		case dice < 85:
			s.kill(r)
		case dice < 97:
			s.instance(r, "soak-"+strconv.Itoa(worker)+"-"+strconv.Itoa(n))
		default:
			s.shootServer()
		}
	}
}

// command is a random way to run a shell script.
func (s *soak) command(r *rand.Rand, script string) []string {
	f := filepath.Join(os.Getenv(stageKey), "fixtures")
	images := []string{"busybox.sif", "busybox.sif", "debian-zstd.sif", "busybox", "debian-gzip.sif"}
	flags := [][]string{nil, nil, nil, {"--contain"}, {"--containall"}, {"--pid"}, {"--fakeroot"}, {"--writable-tmpfs=16M"},
		{"--scratch-overlay=" + s.scratch}, {"--no-share"}, {"--cleanenv", "--ipc"}, {"--net"}}
	args := append([]string{"exec"}, flags[r.IntN(len(flags))]...)
	return append(args, filepath.Join(f, images[r.IntN(len(images))]), "sh", "-c", script)
}

// run runs a command that has to work, unless an image server was killed since there were shot of them.
func (s *soak) run(cmd *exec.Cmd, want string, shot int64) {
	var stderr bytes.Buffer
	cmd.Stderr = &stderr
	s.launches.Add(1)
	hangs := time.AfterFunc(time.Minute, func() { s.t.Errorf("%q: hangs", cmd.Args) })
	defer hangs.Stop()
	out, err := cmd.Output()
	if (err != nil || string(out) != want) && s.shot.Load() == shot {
		s.t.Errorf("%q: %v, %q, %s", cmd.Args, err, out, &stderr)
	}
}

// kill starts something that takes longer, and kills it at any moment: the process, or all of its group.
func (s *soak) kill(r *rand.Rand) {
	cmd := s.coracle(s.command(r, "touch /dev/null; sleep 30 & sleep 30")...)
	s.launches.Add(1)
	s.killed.Add(1)
	if err := cmd.Start(); err != nil {
		s.t.Error(err)
		return
	}
	time.Sleep(time.Duration(r.ExpFloat64() * 20 * float64(time.Millisecond)))
	signals := []syscall.Signal{syscall.SIGKILL, syscall.SIGKILL, syscall.SIGTERM, syscall.SIGINT, syscall.SIGHUP}
	syscall.Kill(-cmd.Process.Pid, signals[r.IntN(len(signals))])
	timer := time.AfterFunc(time.Second, func() { syscall.Kill(-cmd.Process.Pid, syscall.SIGKILL) })
	cmd.Wait()
	timer.Stop()
	syscall.Kill(-cmd.Process.Pid, syscall.SIGKILL) // its background child
}

// instance starts an instance, uses it and stops it, or kills it, or its starter.
func (s *soak) instance(r *rand.Rand, name string) {
	image := filepath.Join(os.Getenv(stageKey), "fixtures", "busybox.sif")
	start := s.coracle("instance", "start", image, name, "sleep", "60")
	if r.IntN(4) == 0 {
		ctx, cancel := context.WithTimeout(context.Background(), time.Duration(r.IntN(40))*time.Millisecond)
		defer cancel()
		killed := s.coracle(start.Args[1:]...)
		if err := killed.Start(); err != nil {
			s.t.Error(err)
			return
		}
		<-ctx.Done()
		killed.Process.Kill()
		killed.Wait()
		s.launches.Add(1)
		s.killed.Add(1)
	} else {
		shot := s.shot.Load()
		s.run(start, "", shot)
		s.run(s.coracle("exec", "instance://"+name, "echo", "inside"), "inside\n", shot)
	}
	stop := s.coracle("instance", "stop", "--timeout", "5", name)
	if err := stop.Run(); err != nil && !errors.As(err, new(*exec.ExitError)) {
		s.t.Error(err)
	}
}

// shootServer kills an image server of this user.
func (s *soak) shootServer() {
	for _, p := range processes() {
		if p.isServer() && bytes.HasPrefix([]byte(p.cmdline), []byte("coracle: image server")) {
			s.shot.Add(1)
			syscall.Kill(p.pid, syscall.SIGKILL)
			time.Sleep(50 * time.Millisecond)
			s.shot.Add(1) // launches that began meanwhile
			return
		}
	}
}
