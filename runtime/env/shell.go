package env

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"sync/atomic"

	"mvdan.cc/sh/v3/expand"
	"mvdan.cc/sh/v3/interp"
	"mvdan.cc/sh/v3/syntax"
)

// A shell interprets the image's scripts inside this process and holds their variables.
// It is bash as far as mvdan.cc/sh goes.
type shell struct {
	in     Inside
	params []string // $1 and up
	runner *interp.Runner
	umask  int // set by a script's umask; -1 not set

	calls    atomic.Uint32 // simple commands so far
	runaway  atomic.Bool   // the script has been told to stop
	sourcing atomic.Bool   // the next file to open is a script for the source builtin
	replaced []string      // the argv of an exec that a script called
	exited   bool          // a script called exit
	inner    map[syntax.Pos]bool
	warnings []string
}

// errExec stops the interpreter when a script calls exec.
var errExec = errors.New("the script called exec")

// newShell makes a shell with the given exported variables.
func newShell(in Inside, vars []Var, params []string) (*shell, error) {
	sh := &shell{in: in, params: params, umask: -1}
	runner, err := interp.New(
		interp.StdIO(in.input(), in.output(), in.errput()),
		interp.Env(environ(vars)),
		interp.Interactive(true), // aliases work
		func(r *interp.Runner) error {
			r.Dir = in.dir()
			return nil
		},
		interp.Params(slices.Concat([]string{"--"}, params)...),
		interp.CallHandler(sh.call),
		interp.ExecHandlers(func(interp.ExecHandlerFunc) interp.ExecHandlerFunc { return sh.exec }),
		interp.OpenHandler(sh.open),
		interp.StatHandler(sh.stat),
		interp.AccessHandler(sh.access),
		interp.ReadDirHandler2(sh.readDir),
	)
	sh.runner = runner
	return sh, err
}

// environ turns variables into what the interpreter reads: all of them exported.
func environ(vars []Var) expand.Environ {
	list := make([]string, 0, len(vars))
	for _, v := range vars {
		if identifier(string(v.Name)) {
			list = append(list, string(v.Name)+"="+string(v.Value))
		}
	}
	return expand.ListEnviron(list...)
}

// get returns a variable's value and whether it is set, exported or not.
func (sh *shell) get(name string) (string, bool) {
	vr := sh.runner.Vars[name]
	if !vr.IsSet() {
		return "", false
	}
	return reveal(vr.String()), true
}

// exported lists the variables that commands get.
func (sh *shell) exported() map[string]string {
	vars := make(map[string]string, len(sh.runner.Vars))
	for name, vr := range sh.runner.Vars {
		if vr.IsSet() && vr.Exported && vr.Kind == expand.String {
			vars[name] = reveal(vr.Str)
		}
	}
	return vars
}

// export sets and exports a variable to a value that is not looked into.
func (sh *shell) export(name, value string) {
	word := &syntax.Word{Parts: []syntax.WordPart{&syntax.SglQuoted{Value: value}}}
	sh.do(&syntax.DeclClause{
		Variant: &syntax.Lit{Value: "export"},
		Args:    []*syntax.Assign{{Name: &syntax.Lit{Value: name}, Value: word}},
	})
}

// do runs one command of our own. Its failure (a variable that a script made read-only)
// is a warning.
func (sh *shell) do(cmd syntax.Command) {
	if err := sh.run(cmd); err != nil {
		sh.warn("%v", err)
	}
}

// source evaluates a script of the image in the shell. What goes wrong in it is a
// warning; the error is not nil when the script wants the launch to end or to go
// elsewhere: [*Exit], or errExec.
func (sh *shell) source(name string, text []byte) error {
	file, err := parseScript(name, text)
	if err != nil {
		sh.warn("%v", err)
		return nil
	}
	var node syntax.Node = file
	if returns(file) {
		node = sourceStmt(name)
	}
	sh.inner = innerExecs(file)
	err = sh.run(node)
	var status interp.ExitStatus
	switch {
	case errors.Is(err, errExec):
		return err
	case sh.exited:
		errors.As(err, &status)
		return &Exit{Status: int(status), Message: fmt.Sprintf("%s ended the launch with status %d", name, status)}
	case sh.runner.Exited() && errors.As(err, &status):
		sh.warn("%s: stopped at an error (status %d)", name, status)
	case err != nil && !errors.As(err, &status):
		sh.warn("%s: %v", name, err)
	}
	// Options that a script leaves behind must not end the next one.
	if err := interp.Params("+e", "+u", "+f", "+n", "+x")(sh.runner); err != nil {
		return err
	}
	return nil
}

// run interprets a node. A panic of the interpreter is an error.
func (sh *shell) run(node syntax.Node) (err error) {
	defer func() {
		if p := recover(); p != nil {
			err = fmt.Errorf("the interpreter gave up: %v", p)
		}
	}()
	sh.exited = false
	sh.runaway.Store(false)
	return sh.runner.Run(context.Background(), node)
}

// warn notes something for the user.
func (sh *shell) warn(format string, args ...any) {
	sh.warnings = append(sh.warnings, fmt.Sprintf(format, args...))
}
