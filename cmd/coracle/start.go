package main

import (
	"encoding/json"
	"errors"

	"coracle/bind"
	"coracle/image"
	"coracle/runtime"
	"coracle/runtime/env"
)

// rootOf is what the runtime needs to know of an image.
func rootOf(m *image.Image) runtime.Root {
	r := runtime.Root{Kind: runtime.Sandbox, Path: m.Real, Arch: m.Arch, Tree: m.Tree, Detail: m.Detail()}
	if m.Format == image.Directory {
		return r
	}
	r.Kind, r.Offset, r.Size = runtime.Squashfs, m.Offset, m.Size
	st := m.Stamp()
	r.Device, r.Inode, r.Length, r.ModTime = st.Device, st.Inode, st.Length, st.ModTime
	return r
}

// openData opens the images that binds with image-src take their sources from.
func openData(specs []bind.Spec) ([]runtime.Root, error) {
	var roots []runtime.Root
	for _, spec := range specs {
		m, err := image.Open(spec.Source)
		if err != nil {
			return nil, err
		}
		roots = append(roots, rootOf(m)) // stays open: its tree is read while planning
	}
	return roots, nil
}

// start plans and launches. When all is well it does not return.
func (c *cli) start(req runtime.Request, facts runtime.Facts, root runtime.Root, asJSON bool) error {
	data, err := openData(runtime.DataImages(&req))
	if err != nil {
		return err
	}
	plan, err := runtime.New(&req, &facts, &root, data)
	if err != nil {
		return err
	}
	if req.DryRun {
		return c.printPlan(plan, asJSON)
	}
	for _, w := range plan.Warnings {
		c.warn(w)
	}
	return runtime.Launch(plan)
}

func (c *cli) printPlan(plan *runtime.Plan, asJSON bool) error {
	if !asJSON {
		return plan.WriteText(c.out)
	}
	enc := json.NewEncoder(c.out)
	enc.SetEscapeHTML(false)
	enc.SetIndent("", "  ")
	return enc.Encode(plan)
}

// stageFailed reports what went wrong in a later stage of a launch, in the style of the first, and
// returns the exit status.
func stageFailed(c *cli, err error) int {
	var stage *runtime.StageError
	if errors.As(err, &stage) && stage.Plan != nil {
		c.program, c.global.silent = stage.Plan.Program, stage.Plan.Quiet
	}
	var exit *env.Exit
	if errors.As(err, &exit) {
		if exit.Message != "" {
			c.line("info", exit.Message)
		}
		return exit.Status
	}
	return c.report(err)
}

// launchHint says what to type about a launch that failed, or "".
func launchHint(err error) string {
	var source *bind.SourceError
	var point *bind.PointError
	var command *env.ExecError
	switch {
	case errors.As(err, &point) && point.Host != "":
		if point.Kind == bind.File {
			return "make the mount point: touch " + point.Host
		}
		return "make the mount point: mkdir -p " + point.Host
	case errors.As(err, &source):
		return "a bind's source is a path on the host; the path in the container follows after a colon"
	case errors.As(err, &command):
		return commandHint(command)
	}
	return ""
}

func commandHint(e *env.ExecError) string {
	switch {
	case errors.Is(e, env.ErrDirectory), errors.Is(e, env.ErrNotFound), errors.Is(e, env.ErrNoFile):
		return "the command has to be inside the image, or in a directory that is bound into it"
	}
	return ""
}
