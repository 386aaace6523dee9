package main

import (
	"errors"
	"fmt"
	"math"
	"os"
	"path/filepath"
	"strconv"
	"strings"

	"coracle/image"
	"coracle/runtime"
	"coracle/runtime/cgroup"
	"coracle/runtime/probe"

	"golang.org/x/sys/unix"
)

// layers resolves what lies over the image and where what is written goes.
func (a *actionFlags) layers(r *runtime.Request, s situation) error {
	r.Writable = a.writable
	for _, v := range a.overlays {
		o := runtime.Overlay{Path: v, Why: "--overlay"}
		if p, ok := strings.CutSuffix(v, ":ro"); ok {
			o.Path, o.ReadOnly = p, true
		} else if p, ok := strings.CutSuffix(v, ":rw"); ok {
			o.Path = p
		}
		if o.Path == "" {
			return usageErrorf("--overlay %s: no path", v)
		}
		o.Path = absolute(o.Path, s.cwd)
		r.Overlays = append(r.Overlays, o)
	}
	if v := a.scratchOverlay; v != "" {
		on, err := parseBool(v)
		switch {
		case err != nil:
			r.ScratchOverlay = absolute(v, s.cwd)
		case on:
			r.ScratchOverlay = scratchDir(s.env)
		}
	}
	return a.tmpfs(r)
}

// scratchDir is where temporary files go.
func scratchDir(env []string) string {
	for _, kv := range env {
		if dir, ok := strings.CutPrefix(kv, "TMPDIR="); ok && filepath.IsAbs(dir) {
			return filepath.Clean(dir)
		}
	}
	return "/tmp"
}

// tmpfs reads --writable-tmpfs: a word for true or false, a size, or a share of the memory.
func (a *actionFlags) tmpfs(r *runtime.Request) error {
	v := a.writableTmpfs
	if v == "" {
		return nil
	}
	if on, err := parseBool(v); err == nil {
		r.WritableTmpfs = on
		return nil
	}
	r.WritableTmpfs = true
	if share, ok := strings.CutSuffix(v, "%"); ok {
		n, err := strconv.Atoi(share)
		if err != nil || n < 1 || n > 100 {
			return usageErrorf("--writable-tmpfs=%s: want 1%% to 100%% of the memory that the job may use", v)
		}
		r.TmpfsPercent = n
		return nil
	}
	var err error
	if r.TmpfsSize, err = tmpfsSize(v); err != nil {
		return usageErrorf("--writable-tmpfs=%s: %v", v, err)
	}
	return nil
}

// tmpfsSize reads a number of bytes with a unit: 64M, 1.5G, 200MiB. Units are powers of 1024.
func tmpfsSize(s string) (int64, error) {
	number := strings.TrimRight(s, "kKmMgGtTiIbB")
	unit := strings.ToUpper(s[len(number):])
	shift, known := map[string]int{"K": 10, "M": 20, "G": 30, "T": 40}[strings.TrimSuffix(strings.TrimSuffix(unit, "B"), "I")]
	n, err := strconv.ParseFloat(number, 64)
	switch {
	case err != nil || math.IsNaN(n):
		return 0, errors.New("want a size as 512M or 16G")
	case !known:
		return 0, fmt.Errorf("want a unit: %sM or %sG", number, number)
	case n <= 0 || n*float64(int64(1)<<shift) > math.MaxInt64/2:
		return 0, errors.New("that is no size of a memory")
	}
	// A tmpfs counts in pages.
	return max(int64(n*float64(int64(1)<<shift)), 4096), nil
}

// An overlayError is an image package's error about an overlay.
type overlayError struct {
	path string
	err  error
}

func (e *overlayError) Error() string {
	err := e.err
	var p *image.PathError
	if errors.As(err, &p) {
		err = p.Err
	}
	return fmt.Sprintf("overlay %q: %v", e.path, err)
}

func (e *overlayError) Unwrap() error { return e.err }

// openedLayers are the image files among the overlays.
type openedLayers []*image.Image

func (l openedLayers) close() {
	for _, img := range l {
		img.Close()
	}
}

// A stack is what lies over the root: the writable layer and those below it, topmost first.
type stack struct {
	upper, lower []image.Layer
}

// openLayers looks at what the request lays over the root, the image img, and fills in the facts about it. root's tree becomes
// the one with everything on top.
func (c *cli) openLayers(req *runtime.Request, facts *runtime.Facts, root *runtime.Root, img *image.Image) (all openedLayers, err error) {
	if req.WritableTmpfs && req.TmpfsSize == 0 {
		facts.Memory = cgroup.Memory("")
	}
	if req.ScratchOverlay != "" {
		facts.Scratch = probe.Place(req.ScratchOverlay)
	}
	own, err := img.OwnOverlays()
	all = append(all, own...)
	if err != nil {
		return all, &overlayError{req.Image, err}
	}
	var s stack
	writable := -1
	if req.Writable && len(req.Overlays) == 0 {
		writable = lastExt(own)
	}
	for i, part := range own {
		o := runtime.Overlay{Path: img.Real, ReadOnly: true, Why: "its overlay partition"}
		if i == writable {
			o.ReadOnly, o.Why = false, "--writable"
		} else if why := c.unfit(part, facts); why != "" {
			c.warn("the overlay partition of " + req.Image + " is left out: " + why)
			continue
		}
		if err := s.add(o, part, facts); err != nil {
			return all, &overlayError{req.Image, err}
		}
	}
	if req.Writable && root.Kind == runtime.Sandbox {
		facts.Sandbox = probe.Place(root.Path)
	}
	for _, o := range req.Overlays {
		parts, err := image.OpenOverlay(o.Path)
		all = append(all, parts...)
		if err != nil {
			return all, &overlayError{o.Path, err}
		}
		last := lastExt(parts)
		for i, part := range parts {
			if part.Format != image.Directory { // what is in a file is an image like another
				if err := c.allowed(part); err != nil {
					return all, err
				}
			}
			o := o
			o.ReadOnly = o.ReadOnly || part.Ext != nil && i != last
			if err := s.add(o, part, facts); err != nil {
				return all, &overlayError{o.Path, err}
			}
		}
	}
	if len(facts.Overlays) > 0 {
		root.Tree = image.LayeredTree(append(append(s.upper, s.lower...), image.Layer{Tree: root.Tree}))
	}
	return all, nil
}

// lastExt is the topmost of the parts of a file that can be written to, or -1.
func lastExt(parts []*image.Image) int {
	for i := len(parts) - 1; i >= 0; i-- {
		if ok, err := parts[i].TakesWrites(); ok || err != nil {
			return i
		}
	}
	return -1
}

// unfit tells why a partition that nobody has asked for cannot lie over its image here, or answers "".
func (c *cli) unfit(part *image.Image, facts *runtime.Facts) string {
	switch {
	case !facts.Overlay:
		return runtime.ErrNoOverlay.Error()
	case part.Ext == nil:
		return ""
	case facts.Fuse != nil:
		return (&runtime.ExtError{Fuse: facts.Fuse}).Error()
	case probe.ExtMount("", c.env) == "":
		return (&runtime.ExtError{}).Error()
	}
	return ""
}

// add puts a layer on top of those before, and the facts about it to theirs.
func (s *stack) add(o runtime.Overlay, img *image.Image, facts *runtime.Facts) error {
	f := runtime.OverlayFacts{Overlay: o, Root: rootOf(img)}
	layer, sub := img.Layer()
	f.HasUpper = sub
	writable := !o.ReadOnly && img.Format == image.Directory
	switch {
	case img.Format == image.Directory:
		f.HasUpper = isDir(filepath.Join(img.Real, "upper"))
		f.Place = probe.Place(img.Real)
		layer.Dir = img.Real
		if f.HasUpper || !o.ReadOnly {
			layer.Dir = filepath.Join(img.Real, "upper")
		}
		layer.Tree = image.HostTree(layer.Dir)
	case img.Ext != nil && !o.ReadOnly:
		if _, err := img.TakesWrites(); err != nil {
			return err
		}
		writable = true
		f.Owner = img.ExtOwner()
		f.Place = runtime.Place{Path: img.Real, Denied: unix.Access(img.Real, unix.W_OK)}
	}
	facts.Overlays = append(facts.Overlays, f)
	switch {
	case writable && (img.Ext == nil || sub):
		s.upper = append(s.upper, layer)
	case !writable:
		s.lower = append([]image.Layer{layer}, s.lower...)
	}
	return nil
}

func isDir(path string) bool {
	fi, err := os.Stat(path)
	return err == nil && fi.IsDir()
}

// layerHint says what to do about a layer that cannot be had.
func layerHint(err error) string {
	var upper *runtime.UpperError
	var busy *runtime.BusyError
	var layer *runtime.LayerError
	var ext *runtime.ExtError
	var foreign *runtime.ForeignError
	var unclean *runtime.UncleanError
	var none *image.NoOverlayError
	var file *overlayError
	var missing *image.MissingError
	var inSIF *sifOverlayError
	switch {
	case errors.As(err, &inSIF):
		return inSIF.hint()
	case errors.Is(err, runtime.ErrNotWritable):
		return "write to a layer over it, --overlay DIR (it stays) or --writable-tmpfs (gone at the end), or into a directory made of it: coracle build --sandbox DIR IMAGE; a SIF file can have a layer in it: coracle overlay create --size MIB IMAGE"
	case errors.Is(err, runtime.ErrWritableOverlay):
		return "leave out --writable: what is written goes to the overlay then"
	case errors.Is(err, runtime.ErrNoOverlay):
		return "it takes Linux 5.11 or later; single directories can be written to without: --scratch DIR or --bind SRC:DST"
	case errors.Is(err, runtime.ErrWriters):
		return "add :ro to all but one"
	case errors.As(err, &file) && errors.Is(err, image.ErrSigned):
		return "write to a layer beside it: coracle overlay create --size MIB FILE, then exec --overlay FILE"
	case errors.As(err, &file) && errors.As(err, &missing) && len(missing.Similar) == 0:
		return "for a new one: coracle overlay create " + file.path + " (a directory; with --size MIB an ext4 file)"
	case errors.As(err, &foreign):
		return foreignHint(foreign)
	case errors.As(err, &unclean):
		return "check it: e2fsck -fy " + unclean.Place()
	case errors.As(err, &ext) && ext.Fuse == nil:
		return "install the package fuse2fs (Debian, Ubuntu) or fuse2fs from e2fsprogs (Red Hat, SUSE), or copy the files into a directory"
	case errors.As(err, &busy) && !isDir(busy.Path): // a file system that changes cannot be read
		return "wait until that one has ended"
	case errors.As(err, &busy):
		return "wait until it has ended, or read what is there: --overlay " + busy.Path + ":ro"
	case errors.As(err, &upper):
		return upperHint(upper)
	case errors.As(err, &layer) && layer.Upper.Path != "":
		return "the file system of " + layer.Upper.Path + " may not be fit for it: try a directory on a local disk (ext4, xfs)"
	case errors.As(err, &none):
		return "siftool list IMAGE shows what it holds"
	}
	return ""
}

func foreignHint(e *runtime.ForeignError) string {
	switch {
	case e.Owner == 0:
		return "with --fakeroot you are; or read it: --overlay " + e.Path + ":ro"
	case e.Owner == os.Getuid():
		return "leave out --fakeroot, or read it: --overlay " + e.Path + ":ro"
	}
	return "read it: --overlay " + e.Path + ":ro"
}

func upperHint(e *runtime.UpperError) string {
	switch {
	case e.Why == "--writable":
		return "write to a layer over it: --overlay DIR (it stays) or --writable-tmpfs (gone at the end)"
	case e.Why == "--scratch-overlay":
		return "name a directory on a disk of this node: --scratch-overlay=DIR, or write to memory: --writable-tmpfs"
	case e.FS != "":
		return "copy it to a disk of this node and use it there, or read it where it is: --overlay " + e.Path + ":ro"
	}
	return "read it only: --overlay " + e.Path + ":ro"
}
