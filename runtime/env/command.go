package env

import (
	"bytes"
	"errors"
	"maps"

	"mvdan.cc/sh/v3/interp"
)

// maxChain is how many scripts may exec one another before it counts as a loop.
const maxChain = 10

// command turns a target into what execve(2) needs. Scripts that cannot run as they are
// (no shell in the image) or that would not keep the arguments as they are (OCI
// runscripts made by Apptainer) are interpreted until they name the real command.
func (s Spec) command(in Inside, cmd Command, t target, vars map[string]string) (Command, error) {
	for range maxChain {
		file, err := in.lookPath(t.argv[0], vars[keyPath])
		if err != nil {
			return cmd, err
		}
		next, err := s.step(in, &cmd, file, t, vars)
		if err != nil {
			return cmd, err
		}
		if next.argv == nil {
			cmd.Path, cmd.Argv, cmd.Env = file, t.argv, list(vars)
			return cmd, nil
		}
		t = next
	}
	return cmd, &ExecError{Name: t.argv[0], Err: errors.New("its scripts start one another without end")}
}

// step looks into a file that is about to be executed. The target is empty when the
// kernel can execute it, else what to execute in its place.
func (s Spec) step(in Inside, cmd *Command, file string, t target, vars map[string]string) (target, error) {
	var buf [256]byte
	head, err := in.readHead(file, buf[:])
	if err != nil {
		return target{}, nil // executable but not readable
	}
	interpreter, ok := shebang(head)
	if t.script && file == runscript {
		text, err := in.readFile(file)
		if err != nil {
			return target{}, &ExecError{Name: file, Err: err}
		}
		if isOCI(text) {
			return s.ociTarget(in, cmd, text, t.argv[1:], vars)
		}
	}
	switch {
	case ok && interpreter != "" && in.kind(interpreter) == missing:
		if !t.script || !shellName(interpreter) {
			return target{}, &ExecError{Name: t.argv[0], Err: ErrInterpreter, Detail: Text(interpreter).Quoted()}
		}
	case ok || !t.script || isELF(head) || in.kind(binSh) != missing:
		return target{}, nil
	}
	text, err := in.readFile(file)
	if err != nil {
		return target{}, &ExecError{Name: file, Err: err}
	}
	return s.interpret(in, cmd, file, text, t.argv[1:], vars)
}

// interpret runs a script in this process until it execs something, which is returned.
// The environment that the script leaves replaces vars. A script that ends otherwise has
// done its work: the error is then an [*Exit] with its status.
func (s Spec) interpret(in Inside, cmd *Command, name string, text []byte, args []string, vars map[string]string) (target, error) {
	file, err := parseScript(name, text)
	if err != nil {
		return target{}, &ExecError{Err: err}
	}
	sh := newShell(in, exportedVars(vars), args)
	sh.inner = innerExecs(file)
	err = sh.run(file)
	if mask := int(sh.umask.Load()); mask >= 0 {
		cmd.Umask = mask
	}
	var status interp.ExitStatus
	switch {
	case errors.Is(err, errExec):
		maps.DeleteFunc(vars, func(name, _ string) bool { return identifier(name) })
		maps.Copy(vars, sh.exported())
		vars["PWD"] = in.dir() // the interpreter has a PWD of its own
		return target{argv: sh.replaced}, nil
	case err == nil || errors.As(err, &status):
		return target{}, &Exit{Status: int(status)}
	}
	return target{}, &ExecError{Name: name, Err: err}
}

// isELF says whether a file is a program of the kernel's own format.
func isELF(head []byte) bool { return bytes.HasPrefix(head, []byte("\x7fELF")) }
