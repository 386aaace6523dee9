package env

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"maps"
	"slices"
	"sync/atomic"

	"mvdan.cc/sh/v3/expand"
	"mvdan.cc/sh/v3/interp"
	"mvdan.cc/sh/v3/syntax"
)

// A shell evaluates the image's scripts inside this process and holds their variables.
// It starts with what [parsePlain] understands; the first script that needs more starts
// the interpreter, which is bash as far as mvdan.cc/sh goes and then keeps the variables.
type shell struct {
	in     Inside
	params []string       // $1 and up
	vars   environ        // the variables, until there is a runner
	runner *interp.Runner // nil until a script needs it
	umask  atomic.Int32   // set by a script's umask; -1 not set

	calls    atomic.Uint32 // simple commands so far
	runaway  atomic.Bool   // the script has been told to stop
	sourcing atomic.Bool   // the next file to open is a script for the source builtin
	replaced []string      // the argv of an exec that a script called
	exited   atomic.Bool   // a script called exit, perhaps in a subshell
	inner    map[syntax.Pos]bool
	warnings []string
}

// errExec stops the interpreter when a script calls exec.
var errExec = errors.New("the script called exec")

// newShell makes a shell with the given variables. It takes the map over.
func newShell(in Inside, vars environ, params []string) *shell {
	sh := &shell{in: in, params: params, vars: vars}
	sh.umask.Store(-1)
	return sh
}

// start makes the interpreter, once.
func (sh *shell) start() error {
	if sh.runner != nil {
		return nil
	}
	stdio := interp.StdIO(sh.in.input(), sh.in.output(), sh.in.errput())
	if sh.in.early != nil {
		stdio = interp.StdIO(nil, sh.in.early, sh.in.early)
	}
	runner, err := interp.New(
		stdio,
		interp.Env(sh.vars),
		interp.Interactive(true), // aliases work
		func(r *interp.Runner) error {
			r.Dir = sh.in.dir()
			return nil
		},
		interp.Params(slices.Concat([]string{"--"}, sh.params)...),
		interp.CallHandler(sh.call),
		interp.ExecHandlers(func(interp.ExecHandlerFunc) interp.ExecHandlerFunc { return sh.exec }),
		interp.OpenHandler(sh.open),
		interp.StatHandler(sh.stat),
		interp.AccessHandler(sh.access),
		interp.ReadDirHandler2(sh.readDir),
	)
	if err == nil {
		sh.runner = runner
	}
	return err
}

// get returns a variable's value and whether it is set, exported or not.
func (sh *shell) get(name string) (string, bool) {
	if sh.runner != nil {
		if vr, known := sh.runner.Vars[name]; known {
			return reveal(vr.String()), vr.IsSet()
		}
	}
	v, ok := sh.vars[name]
	return v.text, ok
}

// exported lists the variables that commands get.
func (sh *shell) exported() map[string]string {
	vars := make(map[string]string, len(sh.vars))
	for name, v := range sh.vars {
		if v.exported {
			vars[name] = v.text
		}
	}
	if sh.runner == nil {
		return vars
	}
	for name, vr := range sh.runner.Vars {
		delete(vars, name)
		if vr.IsSet() && vr.Exported && vr.Kind == expand.String {
			vars[name] = reveal(vr.Str)
		}
	}
	return vars
}

// export sets and exports a variable to a value that is not looked into.
func (sh *shell) export(name, text string) {
	if sh.runner == nil {
		sh.vars[name] = value{text, true}
		return
	}
	if sh.runner.Vars[name].ReadOnly {
		sh.warn("%s cannot be set: a script of the image made it read-only", name)
		return
	}
	word := &syntax.Word{Parts: []syntax.WordPart{&syntax.SglQuoted{Value: text}}}
	err := sh.run(&syntax.DeclClause{
		Variant: &syntax.Lit{Value: "export"},
		Args:    []*syntax.Assign{{Name: &syntax.Lit{Value: name}, Value: word}},
	})
	if err != nil {
		sh.warn("set %s: %v", name, err)
	}
}

// plain evaluates a script without the interpreter, if that is possible.
func (sh *shell) plain(text []byte) bool {
	if sh.runner != nil {
		return false
	}
	script, ok := parsePlain(text)
	if !ok {
		return false
	}
	state := plainState{sh: sh, changed: map[string]value{}}
	if !state.run(script) {
		return false // nothing has happened yet
	}
	maps.Copy(sh.vars, state.changed)
	return true
}

// source evaluates a script of the image in the shell. What goes wrong in it is a
// warning; the error is not nil when the script wants the launch to end or to go
// elsewhere: [*Exit], or errExec.
func (sh *shell) source(name string, text []byte) error {
	if sh.plain(text) {
		return nil
	}
	if sh.in.early != nil && bytes.Contains(text, []byte("[[")) && bytes.Contains(text, []byte("-t")) { // a terminal?
		return sh.in.early.wait()
	}
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
	case sh.runner == nil:
		return err
	case sh.exited.Load() && sh.runner.Exited():
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
	if err := sh.start(); err != nil {
		return err
	}
	sh.exited.Store(false)
	sh.runaway.Store(false)
	return sh.runner.Run(context.Background(), node)
}

// warn notes something for the user.
func (sh *shell) warn(format string, args ...any) {
	sh.warnings = append(sh.warnings, fmt.Sprintf(format, args...))
}
