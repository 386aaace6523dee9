package env

import (
	"bytes"
	"context"
	"io"
	"maps"

	"mvdan.cc/sh/v3/expand"
	"mvdan.cc/sh/v3/interp"
	"mvdan.cc/sh/v3/syntax"
)

// The variables in a converted image's runscript that hold ENTRYPOINT and CMD as shell
// words.
const (
	ociEntrypoint = "OCI_ENTRYPOINT"
	ociCmd        = "OCI_CMD"
)

// isOCI says whether a runscript is one that Apptainer or Singularity wrote for an OCI
// image: it assembles a line of ENTRYPOINT, CMD and arguments and gives it to eval. That
// eval fails on a first word that begins with a dash, and changes arguments with quotes,
// dollar signs and backslashes.
func isOCI(text []byte) bool {
	for line := range bytes.Lines(text) {
		line = bytes.TrimSpace(line)
		if bytes.HasPrefix(line, []byte(`eval "set ${`)) && bytes.Contains(line, []byte(`_OCI_RUN}`)) {
			return true
		}
	}
	return false
}

// ociTarget carries out a converted image's runscript by the OCI rules: the entrypoint,
// then the arguments or, without arguments, CMD. Nothing is evaluated a second time.
func (s Spec) ociTarget(in Inside, cmd *Command, text []byte, args []string, vars map[string]string) (target, error) {
	if !bytes.Contains(text, []byte("_NO_EVAL")) {
		return s.ociWords(in, text, args, vars)
	}
	// Newer scripts have a branch of their own that keeps every word.
	own := maps.Clone(vars)
	for _, family := range [...]string{apptainerPrefix, singularityPrefix} {
		own[family+"NO_EVAL"] = "1"
	}
	t, err := s.interpret(in, cmd, runscript, text, args, own)
	if err != nil {
		return t, err
	}
	for _, family := range [...]string{apptainerPrefix, singularityPrefix} {
		if _, set := vars[family+"NO_EVAL"]; !set {
			delete(own, family+"NO_EVAL")
		}
	}
	clear(vars)
	maps.Copy(vars, own)
	return t, nil
}

// ociWords is for older scripts: ENTRYPOINT and CMD are taken from their assignments.
func (s Spec) ociWords(in Inside, text []byte, args []string, vars map[string]string) (target, error) {
	file, err := parseScript(runscript, text)
	if err != nil {
		return target{}, &ExecError{Err: err}
	}
	values := map[string]string{}
	for _, stmt := range file.Stmts {
		call, ok := stmt.Cmd.(*syntax.CallExpr)
		if !ok || len(call.Args) > 0 {
			continue
		}
		for _, as := range call.Assigns {
			if as.Name == nil || as.Value == nil || (as.Name.Value != ociEntrypoint && as.Name.Value != ociCmd) {
				continue
			}
			if values[as.Name.Value], err = expand.Literal(expandConfig(in, vars), as.Value); err != nil {
				return target{}, &ExecError{Name: runscript, Err: err}
			}
		}
	}
	argv, err := words(in, values[ociEntrypoint], vars)
	if err == nil && len(args) == 0 {
		args, err = words(in, values[ociCmd], vars)
	}
	if err != nil {
		return target{}, &ExecError{Name: runscript, Err: err}
	}
	argv = append(argv, args...)
	if len(argv) == 0 {
		return target{}, &ExecError{Err: ErrEmpty, Detail: "the image has neither an entrypoint nor a command"}
	}
	return target{argv: argv}, nil
}

// words splits shell words.
func words(in Inside, line string, vars map[string]string) (list []string, err error) {
	file, err := parseScript(runscript, []byte("set "+line+"\n"))
	if err != nil {
		return nil, err
	}
	if len(file.Stmts) != 1 {
		return []string{line}, nil
	}
	call, ok := file.Stmts[0].Cmd.(*syntax.CallExpr)
	if !ok {
		return []string{line}, nil
	}
	list, err = expand.Fields(expandConfig(in, vars), call.Args[1:]...)
	return revealAll(list), err
}

// expandConfig expands with the payload's variables; commands in $( … ) run inside.
func expandConfig(in Inside, vars map[string]string) *expand.Config {
	return &expand.Config{
		Env: expand.FuncEnviron(func(name string) string { return vars[name] }),
		CmdSubst: func(w io.Writer, sub *syntax.CmdSubst) error {
			sh := newShell(in, exportedVars(vars), nil)
			if err := sh.start(); err != nil {
				return err
			}
			if err := interp.StdIO(in.input(), w, in.errput())(sh.runner); err != nil {
				return err
			}
			for _, stmt := range sub.Stmts {
				if err := sh.runner.Run(context.Background(), stmt); sh.runner.Exited() {
					return err
				}
			}
			return nil
		},
	}
}
