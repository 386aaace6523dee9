package e2e

import (
	"os"
	"os/exec"
	"syscall"
	"time"

	"github.com/rogpeppe/go-internal/testscript"
)

// In the mode "joined" every launch of the two usual images finds an image server running, which plans for it.

// holders are the containers that keep those servers alive during a script.
type holders struct {
	env  []string
	held []*exec.Cmd
}

type holdersKey struct{}

// hold starts them, and sees to their end.
func hold(env *testscript.Env) error {
	h := &holders{env: append(env.Vars[:len(env.Vars):len(env.Vars)], "CORACLE_UNSQUASH=", "CORACLE_UNDERLAY=")}
	env.Values[holdersKey{}] = h
	env.Defer(h.stop)
	return h.start()
}

func (h *holders) start() error {
	fixtures := os.Getenv(stageKey) + "/fixtures/"
	for _, image := range []string{"busybox.sif", "debian-zstd.sif"} {
		cmd := exec.Command(os.Getenv(stageKey)+"/coracle", "exec", "--no-home", fixtures+image, "sleep", "1000")
		cmd.Env, cmd.Dir = h.env, "/"
		cmd.SysProcAttr = &syscall.SysProcAttr{Pdeathsig: syscall.SIGKILL}
		if err := cmd.Start(); err != nil {
			return err
		}
		h.held = append(h.held, cmd)
	}
	time.Sleep(300 * time.Millisecond) // until the servers plan
	return nil
}

func (h *holders) stop() {
	for _, cmd := range h.held {
		cmd.Process.Kill()
		cmd.Wait()
	}
	h.held = nil
}

// pause has what a script does go on without them.
func pause(ts *testscript.TestScript, what func()) {
	h, ok := ts.Value(holdersKey{}).(*holders)
	if !ok {
		what()
		return
	}
	h.stop()
	what()
	ts.Check(h.start())
}
