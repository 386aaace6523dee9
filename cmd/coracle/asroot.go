package main

import (
	"errors"
	"os"

	"coracle/runtime"
	"coracle/runtime/probe"
	"coracle/userns"
)

// asRoot carries the command line out once more, as root of a user namespace with the caller's subordinate ids, and does not return
// then. Who is root already goes on. The error is a [*runtime.NoIDsError] where there are no such ids.
func (c *cli) asRoot() error {
	if os.Geteuid() == 0 {
		return nil
	}
	caller := probe.Self(c.env)
	facts := probe.Facts("", caller)
	facts.SubIDs = probe.SubIDs("", caller, facts.User)
	return runtime.Remap(c.program, &facts, os.Args, userns.Environ())
}

// asRootIfAny is asRoot for what can be done without: the rest is recorded.
func (c *cli) asRootIfAny() error {
	err := c.asRoot()
	var none *runtime.NoIDsError
	if errors.As(err, &none) {
		c.warn(none.Why + ": owners are recorded, not real")
		return nil
	}
	return err
}
