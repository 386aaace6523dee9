package main

import (
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"strconv"
	"strings"
	"sync"
	"text/tabwriter"
	"time"

	"coracle/runtime"
	"coracle/runtime/instance"

	"golang.org/x/sys/unix"
)

// instancePrefix begins the name of a running instance where an image could stand.
const instancePrefix = "instance://"

func instanceCommand() command {
	return command{
		name: "instance", args: "start|run|list|stop|stats …", short: "containers that run in the background",
		about: "start runs an image's start script in a container that stays; run does so with the runscript. What runs is\n" +
			"shown by list and stats, entered with exec, run or shell instance://NAME, and ended by stop.\n" +
			"Each has its own help: instance start --help.",
		examples: []string{
			`instance start -B /scratch db.sif db`,
			`exec instance://db psql -c 'select 1'`,
			`instance stop db`,
		},
		min: 1, max: 0,
		build: func() ([]flag, action) {
			return nil, func(*cli, []string) error { return nil } // never without a part
		},
		parts: func() []command {
			return []command{
				startCommand(runtime.Start, "start", "start a container that stays, and its start script"),
				startCommand(runtime.Run, "run", "start a container that stays, and its runscript"),
				listCommand(), stopCommand(), statsCommand(),
			}
		},
	}
}

func startCommand(act runtime.Action, word, short string) command {
	return command{
		name: "instance " + word, args: "IMAGE NAME [ARG…]", short: short,
		about: "It ends with `instance stop NAME`, whatever becomes of the script. Without a start script it just stays.",
		examples: []string{
			`instance ` + word + ` db.sif db`,
			`instance ` + word + ` -C -B /scratch:/data db.sif db --port 5433`,
		},
		min: 2, max: -1, payload: true, image: true,
		build: func() ([]flag, action) {
			a := &actionFlags{}
			var pidFile string
			t := append(a.table(false), flag{name: "pid-file", arg: "FILE", str: &pidFile, keys: []string{"PID_FILE"}, help: "write the process id of its init to FILE"})
			return t, func(c *cli, args []string) error { return c.startInstance(act, a, pidFile, args) }
		},
	}
}

// store is where the records of instances are.
func (c *cli) store() *instance.Store {
	return instance.Open(func(key string) string { return getenv(c.env, key) })
}

func listCommand() command {
	return command{
		name: "instance list", args: "[PATTERN]", short: "list running instances",
		examples: []string{`instance list`, `instance list --json 'db*'`},
		max:      1,
		build: func() ([]flag, action) {
			var asJSON, logs, all bool
			none := []string{}
			return []flag{
					{name: "json", short: 'j', on: &asJSON, keys: none, group: "Output", help: "as JSON"},
					{name: "logs", short: 'l', on: &logs, keys: none, help: "where their output goes"},
					{name: "all", short: 'a', on: &all, keys: none, hidden: true},
				}, func(c *cli, args []string) error {
					list := c.store().List(strings.Join(args, ""))
					if asJSON {
						return c.instancesJSON(list)
					}
					return c.instancesTable(list, logs)
				}
		},
	}
}

func (c *cli) instancesJSON(list []*instance.State) error {
	out := struct {
		Instances []instance.Instance `json:"instances"`
	}{make([]instance.Instance, 0, len(list))}
	for _, s := range list {
		out.Instances = append(out.Instances, s.Instance)
	}
	enc := json.NewEncoder(c.out)
	enc.SetIndent("", "\t")
	enc.SetEscapeHTML(false)
	return enc.Encode(out)
}

func (c *cli) instancesTable(list []*instance.State, logs bool) error {
	t := tabwriter.NewWriter(c.out, 0, 0, 4, ' ', 0)
	if logs {
		fmt.Fprintln(t, "INSTANCE NAME\tPID\tLOGS")
	} else {
		fmt.Fprintln(t, "INSTANCE NAME\tPID\tIP\tIMAGE")
	}
	for _, s := range list {
		if logs {
			fmt.Fprintf(t, "%s\t%d\t%s\n\t\t%s\n", s.Name, s.PID, s.LogErr, s.LogOut)
		} else {
			fmt.Fprintf(t, "%s\t%d\t%s\t%s\n", s.Name, s.PID, s.IP, oneLine(s.Image))
		}
	}
	return t.Flush()
}

// stopFlags are those of instance stop.
type stopFlags struct {
	all, force      bool
	signal, timeout string
}

func stopCommand() command {
	return command{
		name: "instance stop", args: "NAME… | --all", short: "end instances",
		about:    "Everything in the instance gets the signal; what is left after the timeout is killed. NAME may be a pattern.",
		examples: []string{`instance stop db`, `instance stop --signal INT --timeout 60 'db*'`, `instance stop --all`},
		max:      -1,
		build: func() ([]flag, action) {
			f := &stopFlags{signal: "TERM", timeout: "10"}
			none := []string{}
			return []flag{
				{name: "all", short: 'a', on: &f.all, keys: none, group: "Which", help: "all of this user"},
				{name: "signal", short: 's', arg: "NAME", str: &f.signal, keys: none, group: "How", help: "TERM unless given"},
				{name: "timeout", short: 't', arg: "SECONDS", str: &f.timeout, keys: none, help: "10 unless given"},
				{name: "force", short: 'F', on: &f.force, keys: none, help: "kill at once"},
			}, f.run
		},
	}
}

func (f *stopFlags) run(c *cli, args []string) error {
	if len(args) == 0 == !f.all {
		return usageErrorf("instance stop: want names, or --all")
	}
	sig, err := parseSignal(f.signal)
	if err != nil {
		return err
	}
	if f.force {
		sig = unix.SIGKILL
	}
	seconds, err := strconv.ParseFloat(f.timeout, 64)
	if err != nil || seconds < 0 || seconds > 1e6 {
		return usageErrorf("instance stop: --timeout %s: want seconds", f.timeout)
	}
	list, err := c.named(args)
	if err != nil {
		return err
	}
	errs := make([]error, len(list))
	var stopping sync.WaitGroup
	for i, s := range list {
		c.remark(fmt.Sprintf("Stopping %s instance of %s (PID=%d)", s.Name, s.Image, s.PID))
		stopping.Go(func() {
			if err := s.Stop(sig, time.Duration(seconds*float64(time.Second))); err != nil {
				errs[i] = fmt.Errorf("stop the instance %q: %w", s.Name, err)
			}
		})
	}
	stopping.Wait()
	c.store().List("") // takes their records away
	return errors.Join(errs...)
}

// named returns the running instances that names and patterns stand for; without any, all.
func (c *cli) named(names []string) ([]*instance.State, error) {
	if len(names) == 0 {
		return c.store().List(""), nil
	}
	var list []*instance.State
	for _, name := range names {
		if !strings.ContainsAny(name, "*?[") {
			s, err := c.store().Find(name)
			if err != nil {
				return nil, err
			}
			list = append(list, s)
			continue
		}
		some := c.store().List(name)
		if len(some) == 0 {
			missing := &instance.MissingError{Name: name}
			for _, s := range c.store().List("") {
				missing.Running = append(missing.Running, s.Name)
			}
			return nil, missing
		}
		list = append(list, some...)
	}
	return list, nil
}

// remark prints what callers of Apptainer see and others need not.
func (c *cli) remark(text string) {
	if c.program != "coracle" && !c.global.quiet && !c.global.silent {
		c.line("note", text)
	}
}

// parseSignal reads a signal: TERM, SIGTERM or 15.
func parseSignal(name string) (unix.Signal, error) {
	if n, err := strconv.Atoi(name); err == nil && n > 0 && n <= 64 {
		return unix.Signal(n), nil
	}
	upper := strings.ToUpper(name)
	if !strings.HasPrefix(upper, "SIG") {
		upper = "SIG" + upper
	}
	if sig := unix.SignalNum(upper); sig != 0 {
		return sig, nil
	}
	return 0, usageErrorf("%q is no signal", name)
}

func statsCommand() command {
	return command{
		name: "instance stats", args: "NAME", short: "what an instance uses",
		about:    "One line a second; processor time is in per cent of one core, memory is what the instance alone has (PSS).",
		examples: []string{`instance stats db`, `instance stats --no-stream --json db`},
		min:      1, max: 1,
		build: func() ([]flag, action) {
			var asJSON, once bool
			none := []string{}
			return []flag{
				{name: "json", short: 'j', on: &asJSON, keys: none, group: "Output", help: "as JSON, once"},
				{name: "no-stream", on: &once, keys: none, help: "one line"},
			}, func(c *cli, args []string) error { return c.printStats(args[0], asJSON, once) }
		},
	}
}

// interval is how long processor time is measured.
const interval = time.Second

func (c *cli) printStats(name string, asJSON, once bool) error {
	s, err := c.store().Find(name)
	if err != nil {
		return err
	}
	before := s.Usage()
	if !asJSON {
		fmt.Fprintf(c.out, "%-24s %10s %12s %12s %12s %8s\n", "INSTANCE NAME", "CPU USAGE", "MEM USAGE", "READ", "WRITTEN", "PIDS")
	}
	for s.Running() {
		wait := interval
		if asJSON || once {
			wait /= 4
		}
		time.Sleep(wait)
		now := s.Usage()
		cpu := now.Percent(before)
		if asJSON {
			return json.NewEncoder(c.out).Encode(map[string]any{
				"instance": name, "cpuPercent": cpu, "memory": now.Memory, "read": now.Read, "written": now.Written, "pids": now.Processes,
			})
		}
		if _, err := fmt.Fprintf(c.out, "%-24s %9.1f%% %8.1f MiB %8.1f MiB %8.1f MiB %8d\n",
			name, cpu, mebi(now.Memory), mebi(now.Read), mebi(now.Written), now.Processes); err != nil || once {
			return err
		}
		before = now
	}
	return nil
}

func mebi(n int64) float64 { return float64(n) / (1 << 20) }

// openLog opens a log of an instance, empty.
func openLog(path string) (*os.File, error) {
	return os.OpenFile(path, os.O_WRONLY|os.O_CREATE|os.O_TRUNC|os.O_APPEND|unix.O_NOFOLLOW, 0o600)
}
