package main

import (
	"errors"

	"coracle/runtime"
)

// start plans and launches.
func (c *cli) start(req runtime.Request, facts runtime.Facts, root runtime.Root, asJSON bool) error {
	return errors.New("launching is not linked in yet")
}
