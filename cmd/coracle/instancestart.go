package main

import (
	"bytes"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"time"

	"coracle/runtime"
	"coracle/runtime/instance"
	"coracle/runtime/probe"

	"golang.org/x/sys/unix"
)

// startInstance starts a container that stays. It returns when the start script runs.
func (c *cli) startInstance(act runtime.Action, a *actionFlags, pidFile string, args []string) error {
	name := args[1]
	if err := instance.CheckName(name); err != nil {
		return &usageError{msg: err.Error()}
	}
	if strings.HasPrefix(args[0], instancePrefix) {
		return usageErrorf("%s is an instance already: to start something in it, use exec", args[0])
	}
	req, err := c.request(act, a, append([]string{args[0]}, args[2:]...))
	if err != nil {
		return err
	}
	// Its init is what keeps it; its image server is its own, and ends with it.
	req.Instance, req.PID, req.NoInit, req.NoShare = name, true, false, true
	if req.DryRun {
		return c.carryOut(&req, a, func(p *runtime.Plan) error { return runtime.Launch(p, nil) })
	}
	claim, err := c.store().Claim(name)
	if err != nil {
		return err
	}
	started := false
	defer func() {
		if started {
			claim.Release()
		} else {
			claim.Drop()
		}
	}()
	named := req.Image
	err = c.carryOut(&req, a, func(plan *runtime.Plan) error {
		state := &instance.State{ImageName: named, Home: plan.Home, Fakeroot: string(plan.Fakeroot), App: req.App}
		state.Name, state.Image = name, plan.Root.Path
		for _, b := range req.Binds {
			state.Binds = append(state.Binds, b.Target)
		}
		return c.beginInstance(plan, claim, state)
	})
	if err != nil {
		return err
	}
	if pidFile != "" {
		if err := c.writePID(name, pidFile); err != nil {
			return fmt.Errorf("--pid-file: %w", err)
		}
	}
	started = true
	c.remark("instance started successfully")
	return nil
}

// writePID writes the process id of an instance to a file. An instance whose file cannot be written is ended.
func (c *cli) writePID(name, path string) error {
	s, err := c.store().Find(name)
	if err != nil {
		return err
	}
	if err = os.WriteFile(path, []byte(strconv.Itoa(s.PID)+"\n"), 0o644); err != nil {
		return errors.Join(err, s.Stop(unix.SIGKILL, 0))
	}
	return nil
}

// beginInstance starts the instance's process and waits until its script runs.
func (c *cli) beginInstance(plan *runtime.Plan, claim *instance.Claim, state *instance.State) error {
	host, _ := os.Hostname()
	state.LogErr, state.LogOut = claim.LogPaths(c.configDir(), host, plan.User, state.Name)
	out, err := openLog(state.LogOut)
	if err != nil {
		return err
	}
	defer out.Close()
	errs, err := openLog(state.LogErr)
	if err != nil {
		return err
	}
	defer errs.Close()
	s, err := runtime.StartInstance(plan, out, errs)
	if err != nil {
		return err
	}
	defer s.Close()
	pid, err := s.Ready()
	if err != nil {
		return c.failedStart(err, state)
	}
	if err = state.Known(pid); err == nil {
		if err = claim.Record(state); err == nil {
			if err = s.Go(); err == nil {
				err = s.Run()
			}
		}
	}
	if err != nil {
		if state.Monitor.ID != 0 {
			state.Stop(unix.SIGKILL, 0)
		}
		return c.failedStart(err, state)
	}
	return nil
}

// failedStart makes an error of what an instance said at its end.
func (c *cli) failedStart(err error, state *instance.State) error {
	var failed *runtime.FailedError
	if !errors.As(err, &failed) {
		return err
	}
	if failed.Text != "" {
		fmt.Fprint(c.err, failed.Text)
		return &exitError{failed.Status}
	}
	c.line("error", fmt.Sprintf("instance %q: %v", state.Name, err))
	if !c.global.silent {
		c.line("hint", lastLine(state.LogErr))
	}
	return &exitError{failed.Status}
}

// lastLine says what a start script complained of.
func lastLine(log string) string {
	text, _ := os.ReadFile(log)
	text = bytes.TrimSpace(text[max(0, len(text)-4096):])
	if len(text) == 0 {
		return "it wrote nothing to " + log
	}
	return fmt.Sprintf("%s ends with: %s", log, text[bytes.LastIndexByte(text, '\n')+1:])
}

// configDir is where a user's own things are kept; "" nowhere.
func (c *cli) configDir() string {
	for _, key := range []string{"CORACLE_CONFIGDIR", "APPTAINER_CONFIGDIR", "SINGULARITY_CONFIGDIR"} {
		if dir := getenv(c.env, key); filepath.IsAbs(dir) {
			return dir
		}
	}
	if home := getenv(c.env, "HOME"); filepath.IsAbs(home) {
		return filepath.Join(home, ".coracle")
	}
	return ""
}

// visitFlags are the flags that mean something in a running instance.
var visitFlags = [...]string{
	"cwd", "pwd", "shell", "env", "env-file", "no-env", "cleanenv", "no-eval", "app", "no-umask", "dry-run", "json",
	"userns", "sharens", "no-privs",
}

// visit runs a command in a running instance.
func (c *cli) visit(name string, req *runtime.Request, a *actionFlags) error {
	s, err := c.store().Find(name)
	if err != nil {
		return err
	}
	for _, flag := range c.given {
		if !slices.Contains(visitFlags[:], flag) {
			c.warn(fmt.Sprintf("--%s has no effect: the instance %s runs already", flag, name))
		}
	}
	facts := probe.Facts("", probe.Self(c.env))
	plan := runtime.NewVisit(req, &facts, s)
	return c.finish(req, a, plan, 0*time.Second, func(p *runtime.Plan) error { return runtime.VisitInstance(p, s) })
}
