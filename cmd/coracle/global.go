package main

import (
	"io"
	"os"

	"golang.org/x/sys/unix"
)

// globalFlags stand before the command.
type globalFlags struct {
	debug, quiet, silent, noColour, version bool
	verbose                                 int
	config                                  string
}

func (g *globalFlags) table() []flag {
	return []flag{
		{name: "debug", short: 'd', on: &g.debug, group: "Global flags, before the command", help: "print the plan before it is carried out, and how long planning took"},
		{name: "verbose", short: 'v', count: &g.verbose, help: "print the plan before it is carried out"},
		{name: "quiet", short: 'q', on: &g.quiet, help: "no progress, no closing lines"},
		{name: "silent", short: 's', on: &g.silent, help: "errors only, no warnings"},
		{name: "nocolor", on: &g.noColour, help: "no colour (NO_COLOR does the same)"},
		{name: "config", short: 'c', arg: "FILE", str: &g.config, keys: []string{"CONFIG_FILE"}, hidden: true},
		{name: "version", on: &g.version, keys: []string{}, help: "print name and version"},
	}
}

// level is how much the runtime tells: 0 warnings only.
func (g *globalFlags) level() int {
	if g.debug {
		return max(g.verbose, 3)
	}
	return g.verbose
}

// wantsColour reports whether w is a terminal and nothing in env speaks against colour.
func wantsColour(w io.Writer, env []string) bool {
	f, ok := w.(*os.File)
	if !ok || getenv(env, "NO_COLOR") != "" || getenv(env, "TERM") == "dumb" {
		return false
	}
	_, err := unix.IoctlGetTermios(int(f.Fd()), unix.TCGETS)
	return err == nil
}

// getenv returns the value of key in env, or "".
func getenv(env []string, key string) string {
	for i := len(env) - 1; i >= 0; i-- {
		if kv := env[i]; len(kv) > len(key) && kv[len(key)] == '=' && kv[:len(key)] == key {
			return kv[len(key)+1:]
		}
	}
	return ""
}
