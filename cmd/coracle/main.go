// Command coracle runs container images on shared clusters as an ordinary user.
package main

import (
	"io"
	"os"
	"path/filepath"
	goruntime "runtime"
	"slices"
	"strings"

	"coracle/config"
	"coracle/runtime"
	"coracle/runtime/probe"
	"coracle/userns"
)

// A launch must end on the thread that it began on: the parent-death signal and the
// process's attributes belong to it.
func init() { goruntime.LockOSThread() }

// deepen makes the stack as large as planning needs it, while there is little on it: the Go runtime doubles it four times otherwise, and
// looks at every frame each time.
//
//go:noinline
func deepen() {
	var room [16 << 10]byte
	goruntime.KeepAlive(&room)
}

func main() {
	deepen()
	if isStage, err := runtime.RunStage(new(planner).planFor); isStage {
		os.Exit(stageFailed(err))
	}
	if probe.IsTrial(os.Args) {
		if probe.RunTrial() != nil {
			os.Exit(statusRuntime)
		}
		return
	}
	if isHelper, err := runHelper(os.Args); isHelper {
		if err != nil {
			os.Exit(statusRuntime)
		}
		return
	}
	userns.Mark("Go runtime, package initialisation")
	os.Exit(run(os.Args, userns.Environ(), os.Stdin, os.Stdout, os.Stderr))
}

// A cli is one call of the program.
type cli struct {
	program string   // the name we go by: "coracle", "apptainer" or "singularity"
	env     []string // the whole environment, "K=V"
	in      io.Reader
	out     io.Writer // what was asked for
	err     io.Writer // everything else
	colour  bool      // out is a terminal that wants colour
	global  globalFlags
	conf    config.Config
	set     []string // flags that stand there or have a variable of the environment, where the configuration is read
	call    *call    // the launch is another process's; nil: our own
	given   []string // flags of the command that stand on the command line, by their long names
}

// run carries out one command line and returns the exit status. A launch that works
// does not return.
func run(argv, env []string, in io.Reader, out, errw io.Writer) int {
	program, args := programName(argv)
	c := &cli{program: program, env: env, in: in, out: out, err: errw}
	c.colour = wantsColour(out, env)
	err := c.dispatch(args)
	if err == nil {
		return 0
	}
	return c.report(err)
}

// programName returns the name that we go by, and the arguments. A SIF file that is
// executed itself arrives as `run-singularity IMAGE ARG…`, from its launch line.
func programName(argv []string) (string, []string) {
	if len(argv) == 0 {
		return "coracle", nil
	}
	switch base := filepath.Base(argv[0]); base {
	case "apptainer", "singularity":
		return base, argv[1:]
	case "run-singularity":
		return "singularity", append([]string{"run"}, argv[1:]...)
	}
	return "coracle", argv[1:]
}

// dispatch reads the global flags and hands over to the command.
func (c *cli) dispatch(args []string) error {
	global := c.global.table()
	rest, err := parse(global, args, true)
	if err == errHelp {
		return c.printTopHelp()
	}
	if err != nil {
		return explainFlag(err, "", global)
	}
	if err := fromEnvironment(global, c.env); err != nil {
		return err
	}
	if c.global.noColour {
		c.colour = false
	}
	if c.global.version {
		return c.printVersionLine()
	}
	if len(rest) == 0 {
		return usageErrorf("no command; try: %s help", c.program)
	}
	cmd, ok := findCommand(rest[0])
	if !ok {
		return unknownCommand(rest[0])
	}
	rest = rest[1:]
	if cmd.parts != nil && len(rest) > 0 && !strings.HasPrefix(rest[0], "-") {
		if cmd, err = cmd.part(rest[0]); err != nil {
			return err
		}
		rest = rest[1:]
	}
	return c.runCommand(cmd, rest)
}

// runCommand parses a command's own flags and runs it.
func (c *cli) runCommand(cmd command, args []string) error {
	flags, do := cmd.build()
	rest, err := parse(flags, args, cmd.payload)
	if err == errHelp {
		return c.printHelp(cmd)
	}
	if err != nil {
		return explainFlag(err, cmd.name, flags)
	}
	for _, f := range flags {
		if !f.set {
			continue
		}
		c.given = append(c.given, f.name)
		if f.early != nil {
			if c.call != nil {
				return errNotCalled
			}
			if err := f.early(c); err != nil {
				return err
			}
		}
	}
	if err := fromEnvironment(flags, c.env); err != nil {
		return err
	}
	if err := cmd.checkArgs(len(rest)); err != nil {
		return err
	}
	if cmd.configured || cmd.image || cmd.name == "cache" || cmd.name == "build" || cmd.name == "pull" {
		if err := c.configure(flags); err != nil {
			return err
		}
	}
	if c.call != nil && !slices.Contains(called[:], cmd.name) {
		return errNotCalled
	}
	return do(c, rest)
}
