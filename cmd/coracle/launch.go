package main

import (
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"time"

	"coracle/image"
	"coracle/runtime"
	"coracle/runtime/env"
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
		program: c.program, action: act, cwd: cwd, env: c.env, global: c.global, exists: exists, readFile: os.ReadFile,
	}, args)
	if err != nil {
		return err
	}
	for _, w := range warnings {
		c.warn(w)
	}
	if image.IsReference(req.Image) && !exists(req.Image) {
		if req.Image, err = c.cachedImage(req.Image, &a.source); err != nil {
			return err
		}
	}
	begin := time.Now()
	plan, err := c.plan(&req)
	if err != nil {
		return err
	}
	c.tell(plan, time.Since(begin))
	if !req.DryRun {
		for _, w := range plan.Warnings {
			c.warn(w)
		}
		return runtime.Launch(plan)
	}
	if !a.json {
		return plan.WriteText(c.out)
	}
	enc := json.NewEncoder(c.out)
	enc.SetIndent("", "  ")
	enc.SetEscapeHTML(false)
	return enc.Encode(plan)
}

// tell prints the plan on standard error where that is wanted: standard output is the payload's.
func (c *cli) tell(plan *runtime.Plan, took time.Duration) {
	if c.global.level() == 0 {
		return
	}
	var text strings.Builder
	plan.WriteText(&text) // a builder takes everything
	for line := range strings.Lines(text.String()) {
		c.line("debug", strings.TrimRight(line, "\n"))
	}
	if c.global.debug {
		c.line("debug", fmt.Sprintf("planned in %v", took.Round(time.Microsecond)))
	}
}

// plan looks at the image and at the host and decides.
func (c *cli) plan(req *runtime.Request) (*runtime.Plan, error) {
	img, err := image.Open(req.Image)
	if err != nil {
		return nil, err
	}
	defer img.Close()
	caller := probe.Self(c.env)
	facts := probe.Facts("", caller)
	if req.Fakeroot && !req.IgnoreSubUID {
		facts.SubIDs = probe.SubIDs("", caller, facts.User)
	}
	facts.Host = image.HostTree("/")
	if err := image.CheckArch(img.Arch, facts.Arch); err != nil {
		return nil, &image.PathError{Path: req.Image, Err: err}
	}
	var data []runtime.Root
	for _, b := range runtime.DataImages(req) {
		d, err := image.OpenData(b.Source, b.ID)
		if err != nil {
			return nil, err
		}
		defer d.Close()
		data = append(data, rootOf(d))
	}
	root := rootOf(img)
	layers, err := openLayers(req, &facts, &root)
	defer layers.close()
	if err != nil {
		return nil, err
	}
	return runtime.New(req, &facts, &root, data)
}

// rootOf is what the runtime needs to know of an image.
func rootOf(img *image.Image) runtime.Root {
	r := runtime.Root{
		Kind: runtime.Squashfs, Path: img.Real, Offset: img.Offset, Size: img.Size, Arch: img.Arch, Detail: img.Detail(),
		Device: img.Device, Inode: img.Inode, Length: img.Length, ModTime: img.ModTime, Tree: img.Tree,
	}
	if img.Format == image.Directory {
		r.Kind = runtime.Sandbox
	}
	return r
}

func exists(path string) bool {
	_, err := os.Lstat(filepath.Clean(path))
	return err == nil
}

// stageFailed tells why a stage of a launch did not become the payload, and returns the exit status.
func stageFailed(err error) int {
	c := &cli{program: "coracle", env: os.Environ(), out: os.Stdout, err: os.Stderr}
	var stage *runtime.StageError
	if errors.As(err, &stage) && stage.Plan != nil {
		c.program, c.global.silent = stage.Plan.Program, stage.Plan.Quiet
	}
	var exit *env.Exit
	if errors.As(err, &exit) {
		if exit.Message != "" && !c.global.silent {
			c.line("note", exit.Message)
		}
		return exit.Status
	}
	return c.report(err)
}
