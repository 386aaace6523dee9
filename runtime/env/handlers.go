package env

import (
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	osexec "os/exec"
	"path"
	goruntime "runtime"
	"slices"
	"strconv"
	"syscall"

	"golang.org/x/sys/unix"
	"mvdan.cc/sh/v3/expand"
	"mvdan.cc/sh/v3/interp"
)

// Bounds on what a script can make the interpreter do.
const (
	maxFrames     = 8_000   // Go stack frames: some hundred nested calls or parentheses
	checkEvery    = 16      // calls between looks at the stack, which take time
	maxGoroutines = 1_000   // pipelines inside pipelines
	maxEval       = 1 << 17 // bytes of text that one eval or trap parses
)

var (
	errDeep = errors.New("it is nested too deeply or calls itself without end")
	errLong = errors.New("the text for eval is too long")
)

// call sees every simple command before it runs.
func (sh *shell) call(ctx context.Context, args []string) ([]string, error) {
	if sh.calls.Add(1)%checkEvery == 0 && (deep() || goruntime.NumGoroutine() > maxGoroutines) {
		sh.runaway.Store(true)
	}
	if sh.in.early != nil && tooEarly(args) {
		return nil, sh.wait()
	}
	if sh.runaway.Load() { // every subshell of the script stops
		return nil, errDeep
	}
	switch args[0] {
	case "exec":
		return sh.callExec(ctx, args)
	case ".", "source":
		sh.sourcing.Store(true)
	case "exit":
		sh.exited.Store(true)
	case "umask":
		return append([]string{umaskCommand}, args[1:]...), nil
	case "eval", "trap":
		total := 0
		for _, arg := range args {
			total += len(arg)
		}
		if total > maxEval {
			return nil, errLong
		}
	}
	return args, nil
}

// umaskCommand is the name under which umask reaches the exec handler; the interpreter
// does not know it.
const umaskCommand = "\x00umask"

// callExec takes note of an exec of the main shell: what it names is the payload. In a
// subshell exec runs the command as usual.
func (sh *shell) callExec(ctx context.Context, args []string) ([]string, error) {
	argv := args[1:]
	if len(argv) > 0 && argv[0] == "--" {
		argv = argv[1:]
	}
	if len(argv) == 0 || sh.inner[interp.HandlerCtx(ctx).Pos] {
		return slices.Concat(args[:1], argv), nil
	}
	sh.replaced = revealAll(slices.Clone(argv))
	return nil, errExec
}

// deep says whether the Go stack has more than maxFrames frames.
func deep() bool {
	var pc [1]uintptr
	return goruntime.Callers(maxFrames, pc[:]) > 0
}

// exec runs an external command of a script inside the container.
func (sh *shell) exec(ctx context.Context, args []string) error {
	hc := interp.HandlerCtx(ctx)
	switch args[0] {
	case umaskCommand:
		return sh.setUmask(hc, args[1:])
	case "hash":
		return nil
	}
	if sh.in.early != nil {
		return sh.wait()
	}
	args = revealAll(slices.Clone(args))
	in := sh.in
	in.Dir = hc.Dir
	dirs := hc.Env.Get(keyPath).String()
	if dirs == "" {
		dirs = DefaultPath // early scripts have none yet
	}
	file, err := in.lookPath(args[0], dirs)
	if err != nil {
		fmt.Fprintln(hc.Stderr, err)
		if errors.Is(err, ErrNotFound) || errors.Is(err, ErrNoFile) {
			return interp.ExitStatus(127)
		}
		return interp.ExitStatus(126)
	}
	run := func(file string, args []string) error {
		cmd := osexec.Cmd{
			Path: in.host(file), Args: args, Env: commandEnv(hc.Env), Dir: in.Root + hc.Dir,
			Stdin: hc.Stdin, Stdout: hc.Stdout, Stderr: hc.Stderr,
		}
		return cmd.Run()
	}
	if err = run(file, args); errors.Is(err, unix.ENOEXEC) { // a script without "#!"
		err = run(binSh, slices.Concat([]string{"sh", file}, args[1:]))
	}
	return exitStatus(hc.Stderr, args[0], err)
}

// exitStatus turns the end of a child into the interpreter's terms.
func exitStatus(stderr io.Writer, name string, err error) error {
	var exit *osexec.ExitError
	switch {
	case err == nil:
		return nil
	case errors.As(err, &exit):
		if status, ok := exit.Sys().(syscall.WaitStatus); ok && status.Signaled() {
			return interp.ExitStatus(128 + uint8(status.Signal()))
		}
		return interp.ExitStatus(uint8(exit.ExitCode()))
	}
	fmt.Fprintf(stderr, "%s: %v\n", name, err)
	return interp.ExitStatus(126)
}

// commandEnv lists the exported variables of a running script.
func commandEnv(env expand.Environ) []string {
	vars := map[string]expand.Variable{}
	for name, vr := range env.Each {
		vars[name] = vr // inner scopes come later and win
	}
	list := make([]string, 0, len(vars))
	for name, vr := range vars {
		if vr.IsSet() && vr.Exported && vr.Kind == expand.String {
			list = append(list, name+"="+reveal(vr.Str))
		}
	}
	slices.Sort(list)
	return list
}

// setUmask is the umask of a script: it shows the mask, or sets it for the payload.
func (sh *shell) setUmask(hc interp.HandlerContext, args []string) error {
	if len(args) == 0 {
		mask := int(sh.umask.Load())
		if mask < 0 {
			mask = unix.Umask(0)
			unix.Umask(mask)
		}
		fmt.Fprintf(hc.Stdout, "%04o\n", mask)
		return nil
	}
	mask, err := strconv.ParseUint(args[0], 8, 16)
	if err != nil || mask > 0o777 {
		fmt.Fprintf(hc.Stderr, "umask: %q: not an octal mask\n", args[0])
		return interp.ExitStatus(1)
	}
	sh.umask.Store(int32(mask))
	return nil
}

// open opens a file for a script.
func (sh *shell) open(ctx context.Context, name string, flag int, perm os.FileMode) (io.ReadWriteCloser, error) {
	name = reveal(name)
	in := sh.in
	in.Dir = interp.HandlerCtx(ctx).Dir
	if sh.sourcing.Swap(false) {
		text, err := in.readFile(name)
		if err != nil {
			return nil, err
		}
		text, _, _ = prepare(name, text) // the builtin reports what does not parse
		return scriptFile{newShallow(text)}, nil
	}
	if sh.in.early != nil {
		return nil, sh.wait()
	}
	f, err := os.OpenFile(in.host(name), flag, perm)
	if err != nil {
		var pe *fs.PathError
		if errors.As(err, &pe) {
			pe.Path = name
		}
		return nil, err
	}
	return f, nil
}

// scriptFile is a script that the source builtin reads.
type scriptFile struct{ io.Reader }

func (scriptFile) Write([]byte) (int, error) { return 0, fs.ErrPermission }
func (scriptFile) Close() error              { return nil }

// stat looks a file up for a script.
func (sh *shell) stat(ctx context.Context, name string, follow bool) (fs.FileInfo, error) {
	in := sh.in
	in.Dir = interp.HandlerCtx(ctx).Dir
	name = reveal(name)
	if in.early != nil {
		return in.early.stat(in.host(name), follow)
	}
	if follow {
		return os.Stat(in.host(name))
	}
	return os.Lstat(in.host(name))
}

// access answers -r, -w and -x of test.
func (sh *shell) access(_ context.Context, name string, mode interp.AccessMode) error {
	if sh.in.early != nil {
		return sh.in.early.access(sh.in.host(reveal(name)), uint32(mode))
	}
	return unix.Access(sh.in.host(reveal(name)), uint32(mode))
}

// readDir lists a directory for globs.
func (sh *shell) readDir(_ context.Context, name string) ([]fs.DirEntry, error) {
	if sh.in.early != nil {
		return nil, sh.wait()
	}
	return os.ReadDir(sh.in.host(path.Clean(reveal(name))))
}

// wait stops a script that the planner cannot evaluate.
func (sh *shell) wait() error {
	sh.runaway.Store(true)
	return sh.in.early.wait()
}
