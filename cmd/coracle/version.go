package main

import "fmt"

// version is coracle's own version; the build sets it with -ldflags "-X main.version=…".
var version = "0.1.0"

// The versions of the programs whose command line we speak under their names: callers
// read them to choose features.
const (
	asApptainer   = "1.4.5"
	asSingularity = "3.11.5"
)

// versionNumber is the bare number that `version` prints.
func (c *cli) versionNumber() string {
	switch c.program {
	case "apptainer":
		return asApptainer + "+coracle." + version
	case "singularity":
		return asSingularity + "+coracle." + version
	}
	return version
}

// printVersionLine answers --version: one line that every caller's parser understands.
func (c *cli) printVersionLine() error {
	_, err := fmt.Fprintf(c.out, "%s version %s\n", c.program, c.versionNumber())
	return err
}

func buildVersion() ([]flag, action) {
	return nil, func(c *cli, _ []string) error {
		_, err := fmt.Fprintln(c.out, c.versionNumber())
		return err
	}
}
