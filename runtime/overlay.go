package runtime

import (
	"errors"
	"fmt"
)

// ErrNoOverlay: the kernel has no overlay file system for ordinary users.
var ErrNoOverlay = errors.New("this kernel has no overlay file system in user namespaces")

// ErrWriters: there can be one writable layer only.
var ErrWriters = errors.New("only one overlay can be writable")

// ErrNotWritable: an image in a file stays as it is, but for an overlay partition of its own.
var ErrNotWritable = errors.New("an image file without an overlay partition cannot be written to")

// ErrWritableOverlay: what is written can go to one place only.
var ErrWritableOverlay = errors.New("--writable changes the image itself, and an overlay lies over it")

// An UpperError is a place that cannot hold a writable layer.
type UpperError struct {
	Path string
	Why  string // the flag that asks for it
	FS   string // the file system that is in the way, as people call it: "NFS"; "" it is something else
	Err  error  // with FS "": what
}

func (e *UpperError) Error() string {
	if e.FS != "" {
		return fmt.Sprintf("%s %s: the kernel cannot keep a writable layer on %s", e.Why, e.Path, e.FS)
	}
	return fmt.Sprintf("%s %s: %v", e.Why, e.Path, e.Err)
}

// Unwrap returns the cause, if it is the system's.
func (e *UpperError) Unwrap() error { return e.Err }

// An Overlay is one --overlay as the user asks for it.
type Overlay struct {
	Path     string // absolute
	ReadOnly bool
	Why      string // "--overlay"
}

// OverlayFacts say what an --overlay is, or, for a file with several partitions, one part of it.
type OverlayFacts struct {
	Overlay
	Root     Root // Sandbox: a directory
	HasUpper bool // Sandbox, Ext: it has a directory "upper", which holds the files then
	Owner    int  // Ext: the user who owns that directory, or the root of the file system; -1: not known
	Place    Place
}

// A Place is a directory that a writable layer, or an extracted image, is wanted in.
type Place struct {
	Path   string
	FS     string // a file system that cannot hold such a layer, as people call it; "" it may
	NoExec bool   // no program can be executed there
	Denied error  `json:"-"` // why nothing can be made there; nil: it can
}

// A Layer lies over the image and cannot be changed.
type Layer struct {
	Path  string // of the directory or image file on the host
	Image int    `json:",omitempty"` // number of the image in Plan.Images; 0: a directory
	Sub   string `json:",omitempty"` // Image: the directory in it that is the layer; "": all of it
	Why   string
}

// An UpperKind says where what is written goes.
type UpperKind string

// The kinds of writable layer.
const (
	UpperTmpfs   UpperKind = "tmpfs"     // memory, gone with the last process
	UpperScratch UpperKind = "scratch"   // a new directory, gone with the last process
	UpperDir     UpperKind = "directory" // a directory that stays
	UpperImage   UpperKind = "image"     // an ext file system in a file, that stays
)

// An Upper is the writable layer, the topmost of all. The zero value is none.
type Upper struct {
	Kind  UpperKind `json:",omitempty"`
	Path  string    `json:",omitempty"` // UpperDir: the directory that holds upper and work. UpperImage: the file. UpperScratch: where such a directory is made
	Image int       `json:",omitempty"` // UpperImage: number of the image in Plan.Images
	Made  string    `json:",omitempty"` // UpperScratch: its name in Path, once the launch has chosen it
	Size  int64     `json:",omitempty"` // UpperTmpfs: bytes; 0: the kernel's default, half of the memory
	Why   string    `json:",omitempty"`
}

// dir is the directory that holds upper and work.
func (u *Upper) dir() string {
	if u.Kind == UpperScratch {
		return u.Path + "/" + u.Made
	}
	return u.Path
}

// onDisk tells whether an image server has to look after the layer.
func (u *Upper) onDisk() bool { return u.Kind == UpperScratch || u.Kind == UpperDir }

// layered tells whether anything lies over the image but missing mount points.
func (p *Plan) layered() bool { return p.Upper.Kind != "" || len(p.Layers) > 0 }

// stack decides what lies over the image: the layers, topmost first, the images they add to
// those that are there, and the writable one. The last overlay of the request is the topmost, as with Apptainer.
func (p *Plan) stack(req *Request, facts *Facts) error {
	for i := range facts.Overlays {
		o := &facts.Overlays[len(facts.Overlays)-1-i]
		switch {
		case o.Root.Kind == Ext && !o.ReadOnly:
			if err := p.writeExt(o); err != nil {
				return err
			}
		case o.Root.Kind == Ext && o.HasUpper:
			p.Images = append(p.Images, o.Root)
			p.Layers = append(p.Layers, Layer{Path: o.Path, Image: len(p.Images), Sub: "upper", Why: o.Why})
		case o.Root.served():
			p.Images = append(p.Images, o.Root)
			p.Layers = append(p.Layers, Layer{Path: o.Path, Image: len(p.Images), Why: o.Why})
		case !o.ReadOnly:
			if err := p.oneWriter(o); err != nil {
				return err
			}
			p.Upper = Upper{Kind: UpperDir, Path: o.Root.Path, Why: o.Why}
		case o.HasUpper:
			p.Layers = append(p.Layers, Layer{Path: o.Root.Path + "/upper", Why: o.Why})
		default:
			p.Layers = append(p.Layers, Layer{Path: o.Root.Path, Why: o.Why})
		}
	}
	if req.Writable && !p.ownUpper() {
		return p.writable(req, facts)
	}
	if err := p.throwAway(req, facts); err != nil {
		return err
	}
	if !p.layered() {
		return nil
	}
	if !facts.Overlay {
		if len(p.Layers) == 0 && req.TmpfsImplied {
			p.Upper = Upper{}
			p.Warnings = append(p.Warnings, "the container cannot be written to: "+ErrNoOverlay.Error())
			return nil
		}
		return fmt.Errorf("%s: %w (%s)", p.overlayFlag(), ErrNoOverlay, facts.Release)
	}
	p.Underlay = false
	return nil
}

// oneWriter tells whether an overlay can be the writable one.
func (p *Plan) oneWriter(o *OverlayFacts) error {
	if p.Upper.Kind != "" {
		return fmt.Errorf("%w: %s and %s", ErrWriters, o.Path, p.Upper.Path)
	}
	return o.Place.check(o.Why)
}

// writable decides on a sandbox that is written to. Mount points that it lacks are made in it.
func (p *Plan) writable(req *Request, facts *Facts) error {
	switch {
	case p.Root.Kind != Sandbox:
		return fmt.Errorf("--writable %s: %w", req.Image, ErrNotWritable)
	case p.layered():
		return fmt.Errorf("%w: %s", ErrWritableOverlay, p.overlayFlag())
	}
	if facts.Sandbox.Denied != nil && p.Fakeroot != FakerootIDs { // there root may write to what belongs to others
		return &UpperError{Path: p.Root.Path, Why: "--writable", Err: facts.Sandbox.Denied}
	}
	if (req.WritableTmpfs || req.ScratchOverlay != "") && !req.TmpfsImplied {
		p.Warnings = append(p.Warnings, "--writable-tmpfs and --scratch-overlay are ignored: the image itself is writable")
	}
	p.Writable, p.Underlay = true, false
	return nil
}

// throwAway decides on the writable layer that is gone with the last process.
func (p *Plan) throwAway(req *Request, facts *Facts) error {
	why := "--scratch-overlay"
	if req.ScratchOverlay == "" {
		why = "--writable-tmpfs"
	}
	switch {
	case req.ScratchOverlay == "" && !req.WritableTmpfs:
	case p.Upper.Kind != "":
		if !req.TmpfsImplied {
			p.Warnings = append(p.Warnings, why+" is ignored: "+p.Upper.Path+" is writable")
		}
	case req.ScratchOverlay != "":
		if err := facts.Scratch.check(why); err != nil {
			return err
		}
		p.Upper = Upper{Kind: UpperScratch, Path: facts.Scratch.Path, Why: why}
	default:
		size := req.TmpfsSize
		if req.TmpfsPercent > 0 {
			size = facts.Memory / 100 * int64(req.TmpfsPercent)
		} else if size == 0 {
			size = facts.Memory / 2
		}
		if req.TmpfsImplied {
			why = "--compat"
		}
		p.Upper = Upper{Kind: UpperTmpfs, Size: size, Why: why}
	}
	return nil
}

// overlayFlag names the flag that asks for an overlay.
func (p *Plan) overlayFlag() string {
	if p.Upper.Why != "" {
		return p.Upper.Why
	}
	return p.Layers[0].Why
}

func (d *Place) check(why string) error {
	switch {
	case d.FS != "":
		return &UpperError{Path: d.Path, Why: why, FS: d.FS}
	case d.Denied != nil:
		return &UpperError{Path: d.Path, Why: why, Err: d.Denied}
	}
	return nil
}
