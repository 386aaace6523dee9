package env

import (
	"path"
)

const (
	runscript   = "/.singularity.d/runscript"
	testscript  = "/.singularity.d/test"
	startscript = "/.singularity.d/startscript"
	legacyRun   = "/singularity" // images of Singularity before 2.3
	appsDir     = "/scif/apps"
	binSh       = "/bin/sh"
	binBash     = "/bin/bash"
)

// A target is what an action comes down to.
type target struct {
	argv   []string
	script bool // argv[0] is one of the image's own scripts
	notes  []string
}

// choose finds what the action runs.
func (s Spec) choose(in Inside, vars map[string]string) (target, error) {
	args := Strings(s.Args)
	switch s.Action {
	case Exec:
		if len(args) == 0 || args[0] == "" {
			return target{}, &ExecError{Err: ErrEmpty}
		}
		return target{argv: args}, nil
	case Shell:
		return s.chooseShell(in, vars)
	case Run:
		return s.chooseRun(in, args)
	case Test:
		return s.chooseTest(in, args)
	}
	if in.executable(startscript) {
		return script(startscript, args), nil
	}
	return target{}, &Exit{Message: "the image has no start script"}
}

// script is a target that is one of the image's own scripts.
func script(name string, args []string) target {
	return target{argv: append([]string{name}, args...), script: true}
}

// chooseShell finds the interactive shell: the one asked for, bash, sh.
func (s Spec) chooseShell(in Inside, vars map[string]string) (target, error) {
	switch {
	case s.Shell != "":
		vars["SHELL"] = string(s.Shell)
		return target{argv: []string{string(s.Shell)}}, nil
	case in.executable(binBash):
		vars["SHELL"] = binBash
		return target{argv: []string{binBash, "--norc"}}, nil
	case in.executable(binSh):
		vars["SHELL"] = binSh
		return target{argv: []string{binSh}}, nil
	}
	return target{}, &ExecError{Err: ErrNoShell}
}

// chooseRun finds the runscript, or the shell where there is none.
func (s Spec) chooseRun(in Inside, args []string) (target, error) {
	if s.App != "" {
		return s.chooseApp(in, "runscript", args)
	}
	for _, name := range [...]string{runscript, legacyRun} {
		if in.executable(name) {
			return script(name, args), nil
		}
	}
	if in.executable(binSh) {
		t := target{argv: append([]string{binSh}, args...)}
		t.notes = []string{"No runscript found in container, executing /bin/sh"}
		return t, nil
	}
	return target{}, &ExecError{Err: ErrNoRunscript}
}

// chooseTest finds the test script; an image without one passes.
func (s Spec) chooseTest(in Inside, args []string) (target, error) {
	if s.App != "" {
		return s.chooseApp(in, "test", args)
	}
	if in.executable(testscript) {
		return script(testscript, args), nil
	}
	return target{}, &Exit{Message: "No test script found in container"}
}

// chooseApp finds the script of an app.
//
// Source: Scientific Filesystem 0.1, /scif/apps/NAME/scif/runscript.
func (s Spec) chooseApp(in Inside, name string, args []string) (target, error) {
	file := path.Join(appsDir, path.Join("/", string(s.App)), "scif", name)
	if in.executable(file) {
		return script(file, args), nil
	}
	return target{}, &ExecError{Name: string(s.App), Err: ErrNoApp, Detail: "no " + file}
}
