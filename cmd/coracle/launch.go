package main

import (
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"time"

	"coracle/bind/gpu"
	"coracle/image"
	"coracle/image/output"
	"coracle/runtime"
	"coracle/runtime/cgroup"
	"coracle/runtime/env"
	"coracle/runtime/probe"
	"coracle/userns"

	"golang.org/x/sys/unix"
)

// launch starts an action in an image. When all is well it does not return: the process
// becomes the payload.
func (c *cli) launch(act runtime.Action, a *actionFlags, args []string) error {
	req, err := c.request(act, a, args)
	if err != nil {
		return err
	}
	userns.Mark("flags, configuration")
	if c.call != nil {
		return c.planCall(&req, a)
	}
	if name, ok := strings.CutPrefix(args[0], instancePrefix); ok {
		return c.visit(name, &req, a)
	}
	return c.carryOut(&req, a, func(p *runtime.Plan) error { return runtime.Launch(p, c.waiting(p)) })
}

// request resolves the command line, and prints what is odd about it.
func (c *cli) request(act runtime.Action, a *actionFlags, args []string) (runtime.Request, error) {
	if dir := c.conf.ScratchDir.Text; dir != "" && getenv(c.env, "TMPDIR") == "" {
		if a.scratchOverlay == "true" {
			a.scratchOverlay = dir
		}
		if a.source.tmpDir == "" {
			a.source.tmpDir = dir
		}
	}
	req, warnings, err := a.request(situation{
		program: c.program, action: act, cwd: workingDirectory(c.env), env: c.env, global: c.global, exists: exists, readFile: os.ReadFile,
	}, args)
	for _, w := range warnings {
		c.warn(w)
	}
	if err == nil {
		err = c.defaults(&req)
	}
	return req, err
}

// carryOut opens the image, decides, and does what was decided, or prints it for --dry-run.
func (c *cli) carryOut(req *runtime.Request, a *actionFlags, do func(*runtime.Plan) error) error {
	open := image.Open
	var err error
	if image.IsReference(req.Image) && !exists(req.Image) {
		if open, err = c.fetch(req, &a.source); err != nil {
			return err
		}
	}
	if c.call != nil {
		open = c.call.kept.Open
	}
	begin := time.Now()
	img, err := open(req.Image)
	if err != nil {
		return err
	}
	defer img.Close()
	userns.Mark("image opened")
	if c.call != nil && c.call.conf != nil {
		root := rootOf(img)
		runtime.Foresee(c.call.conf, &root, img.Squash, req)
	}
	if err := c.allowed(img); err != nil {
		return err
	}
	plan, err := c.plan(req, img)
	if err != nil {
		return err
	}
	userns.Mark("planned")
	return c.finish(req, a, plan, time.Since(begin), do)
}

// finish does what a plan says, or prints it.
func (c *cli) finish(req *runtime.Request, a *actionFlags, plan *runtime.Plan, took time.Duration, do func(*runtime.Plan) error) error {
	if req.DryRun || c.global.level() > 0 {
		plan.Ask()
	}
	c.tell(plan, took)
	if !req.DryRun {
		for _, w := range plan.Warnings {
			c.warn(w)
		}
		return do(plan)
	}
	if req.Timing {
		defer userns.ShowMarks()
	}
	if !a.json {
		return plan.WriteText(c.out)
	}
	enc := json.NewEncoder(c.out)
	enc.SetIndent("", "  ")
	enc.SetEscapeHTML(false)
	return enc.Encode(plan)
}

// workingDirectory returns where we are: by the name that the environment has for it, if that is right. A directory that has been removed is
// named as the kernel does, "/dir (deleted)": a launch may well do without it.
func workingDirectory(env []string) string {
	if dir := getenv(env, "PWD"); filepath.IsAbs(dir) {
		here, err := os.Stat(".")
		there, err2 := os.Stat(dir)
		if err == nil && err2 == nil && os.SameFile(here, there) {
			return dir
		}
	}
	dir, err := unix.Getwd()
	if err != nil {
		dir, _ = os.Readlink("/proc/thread-self/cwd")
	}
	if !filepath.IsAbs(dir) { // not even that can be known: it lies outside of our tree
		return "/"
	}
	return dir
}

// fetch makes a file of the request's image, and returns what opens it: a file of the cache, whose path
// replaces the reference, or one that nobody else can see and that ends with the launch.
func (c *cli) fetch(req *runtime.Request, s *sourceFlags) (func(path string) (*image.Image, error), error) {
	if !s.disableCache {
		path, err := c.cachedImage(req.Image, s)
		req.Image = path
		return image.Open, err
	}
	f, err := output.Nameless(s.temp(c))
	if err != nil {
		return nil, fmt.Errorf("a file for %s: %w", req.Image, err)
	}
	if err := c.writeImage(f, req.Image, s); err != nil {
		f.Close()
		return nil, err
	}
	return func(path string) (*image.Image, error) {
		defer f.Close()
		return image.OpenFile(f, path)
	}, nil
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

// plan looks at the host and decides.
func (c *cli) plan(req *runtime.Request, img *image.Image) (*runtime.Plan, error) {
	caller := c.caller()
	facts := probe.Facts("", caller)
	if caller.Foreign && facts.User == "" {
		return nil, errNotCalled // somebody has to be asked
	}
	if req.Fakeroot && !req.IgnoreSubUID {
		facts.SubIDs = probe.SubIDs("", caller, facts.User)
	}
	if facts.Fuse != nil || req.Unsquash {
		facts.Room = c.room(req)
	}
	if req.Instance != "" {
		facts.TTY = "" // it has no terminal
	}
	if err := c.devices(req, &facts); err != nil {
		return nil, err
	}
	if !req.Limits.Zero() {
		facts.Group = cgroup.Look("", facts.UID)
	}
	facts.Host = image.HostTree("/")
	userns.Mark("facts of the host")
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
		if err := c.allowed(d); err != nil {
			return nil, err
		}
		data = append(data, rootOf(d))
	}
	root := rootOf(img)
	layers, err := c.openLayers(req, &facts, &root, img)
	defer layers.close()
	if err != nil {
		return nil, err
	}
	if needsExtMount(&root, &facts, data) {
		facts.ExtMount = probe.ExtMount("", c.env)
	}
	return runtime.New(req, &facts, &root, data)
}

// devices looks for the drivers and devices that are asked for.
func (c *cli) devices(req *runtime.Request, facts *runtime.Facts) error {
	var kinds []gpu.Kind
	if req.NV {
		kinds = append(kinds, gpu.NVIDIA())
	}
	if req.ROCm {
		kinds = append(kinds, gpu.ROCm())
	}
	if len(kinds) > 0 {
		facts.GPUs, facts.NoGPUs = probe.GPUs("", facts.Arch, kinds)
	}
	if len(req.Devices) == 0 {
		return nil
	}
	dirs := req.CDIDirs
	if len(dirs) == 0 {
		dirs = probe.CDIDirs()
	}
	found, err := probe.Devices("", facts.Arch, dirs, req.Devices)
	facts.GPUs = append(facts.GPUs, found)
	req.SetEnv = append(found.Env, req.SetEnv...) // the user's own values win
	return err
}

// rootOf is what the runtime needs to know of an image.
func rootOf(img *image.Image) runtime.Root {
	r := runtime.Root{
		Kind: runtime.Squashfs, Path: img.Real, Offset: img.Offset, Size: img.Size, Arch: img.Arch, Detail: img.Detail(),
		Device: img.Device, Inode: img.Inode, Length: img.Length, ModTime: img.ModTime, Tree: img.Tree, Descriptor: img.Descriptor,
	}
	switch {
	case img.Format == image.Directory:
		r.Kind = runtime.Sandbox
	case img.Ext != nil:
		r.Kind = runtime.Ext
	}
	return r
}

// needsExtMount tells whether there is an ext file system among the images.
func needsExtMount(root *runtime.Root, facts *runtime.Facts, data []runtime.Root) bool {
	return root.Kind == runtime.Ext ||
		slices.ContainsFunc(data, func(r runtime.Root) bool { return r.Kind == runtime.Ext }) ||
		slices.ContainsFunc(facts.Overlays, func(o runtime.OverlayFacts) bool { return o.Root.Kind == runtime.Ext })
}

func exists(path string) bool {
	_, err := os.Lstat(filepath.Clean(path))
	return err == nil
}

// stageFailed tells why a stage of a launch did not become the payload, and returns the exit status.
func stageFailed(err error) int {
	c := &cli{program: "coracle", env: userns.Environ(), out: os.Stdout, err: os.Stderr}
	var stage *runtime.StageError
	if errors.As(err, &stage) && stage.Plan != nil {
		c.program, c.global.silent = stage.Plan.Program, stage.Plan.Quiet
	}
	if stage == nil || stage.Report == nil {
		return c.stageStatus(err)
	}
	var text strings.Builder
	c.err = io.MultiWriter(os.Stderr, &text) // for the log, and for whoever started the instance
	status := c.stageStatus(err)
	stage.Report(status, text.String())
	return status
}

func (c *cli) stageStatus(err error) int {
	var exit *env.Exit
	if errors.As(err, &exit) {
		if exit.Message != "" && !c.global.silent {
			c.line("note", exit.Message)
		}
		return exit.Status
	}
	return c.report(err)
}
