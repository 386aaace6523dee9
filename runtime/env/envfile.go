package env

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"slices"
	"strings"

	"mvdan.cc/sh/v3/expand"
	"mvdan.cc/sh/v3/interp"
	"mvdan.cc/sh/v3/syntax"
)

// ErrEnvFile is wrapped by the errors of [ParseFile].
var ErrEnvFile = errors.New("bad environment file")

// ParseFile evaluates the file of --env-file and returns what it sets, "K=V", in the
// order of the first assignments.
//
// The file is a shell script as far as that goes without running anything: assignments
// (NAME=value, with quotes, after export or not), comments, and expansions of the
// caller's variables and of those set before. Conditions and loops work; commands,
// command substitutions and redirections are errors. A byte order mark and carriage
// returns at line ends are dropped.
//
// name is for messages, args are $1 and up, environ is the caller's environment. A
// variable of the caller counts as set by the file only when the file assigns it.
// The error names the line and wraps [ErrEnvFile].
func ParseFile(name string, text []byte, args, environ []string) ([]string, error) {
	clean := strings.TrimPrefix(strings.ReplaceAll(string(text), "\r\n", "\n"), "\ufeff")
	if i := strings.IndexByte(clean, 0); i >= 0 {
		return nil, fmt.Errorf("%w: %s: line %d has a NUL byte", ErrEnvFile, name, 1+strings.Count(clean[:i], "\n"))
	}
	file, err := parseScript(name, []byte(clean))
	if err != nil {
		return nil, fmt.Errorf("%w: %w", ErrEnvFile, err)
	}
	if err := harmless(name, file); err != nil {
		return nil, err
	}
	return evaluateFile(name, file, args, newEnviron(parse(environ), false))
}

// evaluateFile runs a parsed file and returns what it assigned.
func evaluateFile(name string, file *syntax.File, args []string, start environ) (set []string, err error) {
	defer func() {
		if p := recover(); p != nil {
			set, err = nil, fmt.Errorf("%w: %s: the interpreter gave up: %v", ErrEnvFile, name, p)
		}
	}()
	var messages strings.Builder
	runner, err := interp.New(
		interp.Env(start),
		interp.StdIO(nil, io.Discard, &messages),
		interp.Params(slices.Concat([]string{"-a", "-f", "--"}, args)...),
		interp.CallHandler(fileCall),
		interp.OpenHandler(func(context.Context, string, int, os.FileMode) (io.ReadWriteCloser, error) {
			return nil, errors.New("files cannot be opened")
		}),
		interp.ExecHandlers(func(interp.ExecHandlerFunc) interp.ExecHandlerFunc {
			return func(_ context.Context, args []string) error { return notRun(args[0]) }
		}),
	)
	if err != nil {
		return nil, err
	}
	err = runner.Run(context.Background(), file)
	if text := strings.TrimSpace(messages.String()); text != "" {
		return nil, fmt.Errorf("%w: %s: %s", ErrEnvFile, name, strings.ReplaceAll(text, "\n", "; "))
	}
	var status interp.ExitStatus
	if err != nil && !errors.As(err, &status) {
		return nil, fmt.Errorf("%w: %s: %w", ErrEnvFile, name, err)
	}
	for _, name := range assigned(file) {
		if vr := runner.Vars[name]; vr.IsSet() && vr.Kind == expand.String && !fixed(name) {
			set = append(set, name+"="+reveal(vr.Str))
		}
	}
	return set, nil
}

// notRun is the error for a command in an environment file.
func notRun(name string) error {
	return fmt.Errorf("%q is not run: an environment file only sets variables (write NAME=\"value with spaces\")", name)
}

// fileCall lets those builtins through that only work on variables and conditions.
func fileCall(_ context.Context, args []string) ([]string, error) {
	if deep() {
		return nil, errDeep
	}
	switch args[0] {
	case "[", "test", ":", "true", "false", "unset", "set", "shift", "break", "continue", "return", "exit", "echo", "printf":
		return args, nil
	}
	return nil, notRun(args[0])
}

// harmless refuses the parts of the language that start processes or touch files.
func harmless(name string, file *syntax.File) error {
	var err error
	refuse := func(node syntax.Node, what string) {
		if err == nil {
			err = fmt.Errorf("%w: %s:%s: %s is not possible here: an environment file only sets variables", ErrEnvFile, name, node.Pos(), what)
		}
	}
	syntax.Walk(file, func(node syntax.Node) bool {
		switch node := node.(type) {
		case *syntax.CmdSubst:
			refuse(node, "command substitution")
		case *syntax.ProcSubst:
			refuse(node, "process substitution")
		case *syntax.Redirect:
			if node.Op != syntax.Hdoc && node.Op != syntax.DashHdoc && node.Op != syntax.WordHdoc {
				refuse(node, "redirection")
			}
		case *syntax.Stmt:
			if node.Background || node.Coprocess {
				refuse(node, "a background command")
			}
		case *syntax.FuncDecl:
			refuse(node, "a function")
		case *syntax.BinaryCmd:
			if node.Op == syntax.Pipe || node.Op == syntax.PipeAll {
				refuse(node, "a pipeline")
			}
		case *syntax.Assign:
			if node.Name != nil && !identifier(node.Name.Value) {
				refuse(node, fmt.Sprintf("the name %q", node.Name.Value))
			}
		case *syntax.CallExpr:
			// The commonest mistake: NAME=value with spaces, without quotes.
			if len(node.Args) > 0 && len(node.Assigns) > 0 {
				refuse(node.Args[0], fmt.Sprintf("the command %q", printed(node.Args[0])))
			}
		}
		return err == nil
	})
	return err
}

// printed is a word as it stands in the source.
func printed(word *syntax.Word) string {
	var b strings.Builder
	if err := syntax.NewPrinter().Print(&b, word); err != nil {
		return "?"
	}
	return b.String()
}

// assigned lists the names that a file assigns, in order, each once.
func assigned(file *syntax.File) []string {
	var names []string
	seen := map[string]bool{}
	add := func(name string) {
		if !seen[name] {
			seen[name] = true
			names = append(names, name)
		}
	}
	syntax.Walk(file, func(node syntax.Node) bool {
		switch node := node.(type) {
		case *syntax.Assign:
			if node.Name != nil {
				add(node.Name.Value)
			}
		case *syntax.WordIter:
			add(node.Name.Value)
		case *syntax.ParamExp:
			if node.Exp != nil && (node.Exp.Op == syntax.AssignUnset || node.Exp.Op == syntax.AssignUnsetOrNull) && node.Param != nil {
				add(node.Param.Value)
			}
		}
		return true
	})
	return names
}
