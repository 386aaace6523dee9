package main

import (
	"fmt"
	"os"

	"coracle/image"
	"coracle/runtime"
	"coracle/runtime/probe"
)

// launch starts an action in an image. When all is well it does not return: the process
// becomes the payload.
func (c *cli) launch(act runtime.Action, a *actionFlags, args []string) error {
	cwd, err := os.Getwd()
	if err != nil {
		return fmt.Errorf("working directory: %w", err)
	}
	req, warnings, err := a.request(situation{
		program: c.program, action: act, cwd: cwd, env: c.env, global: c.global, readFile: os.ReadFile,
	}, args)
	if err != nil {
		return err
	}
	for _, w := range warnings {
		c.warn(w)
	}
	img, err := image.Open(req.Image)
	if err != nil {
		return err
	}
	defer img.Close()
	facts := probe.Facts("", probe.Self(c.env))
	facts.Host = image.HostTree("/")
	root := rootOf(img)
	if err := image.CheckArch(root.Arch, facts.Arch); err != nil {
		return &image.PathError{Path: req.Image, Err: err}
	}
	return c.start(req, facts, root, a.json)
}
