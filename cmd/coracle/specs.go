package main

import (
	"fmt"

	"coracle/bind"
	"coracle/runtime/env"

	"golang.org/x/sys/unix"
)

// exists tells whether a path is there on the host. It decides where a bind's source with a colon in
// its name ends.
func exists(path string) bool { return unix.Access(path, unix.F_OK) == nil }

// parseBind parses one value of --bind: specifications SRC[:DST[:OPTS]], separated by commas.
func parseBind(s, cwd string) ([]bind.Spec, error) { return usageOf(bind.ParseBind(s, cwd, exists)) }

// parseMount parses one value of --mount.
func parseMount(s, cwd string) ([]bind.Spec, error) { return usageOf(bind.ParseMount(s, cwd)) }

// parseHome parses the value of --home: SRC[:DST].
func parseHome(s, cwd string) (bind.Spec, error) { return usageOf(bind.ParseHome(s, cwd, exists)) }

// usageOf marks a specification that cannot be understood as an error of the command line.
func usageOf[T any](v T, err error) (T, error) {
	if err != nil {
		return v, usageErrorf("%v", err)
	}
	return v, nil
}

// parseEnvFile returns the variables that a file sets, "K=V".
func parseEnvFile(name string, b []byte, environ []string) ([]string, error) {
	vars, err := env.ParseFile(name, b, nil, environ)
	if err != nil {
		return nil, fmt.Errorf("--env-file %w", err)
	}
	return vars, nil
}
