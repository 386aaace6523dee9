package runtime

import (
	"errors"
	"reflect"
	"testing"

	"golang.org/x/sys/unix"
)

func TestStack(t *testing.T) {
	dir := func(path string, ro, upper bool) OverlayFacts {
		return OverlayFacts{Overlay: Overlay{path, ro, "--overlay"}, Root: Root{Kind: Sandbox, Path: path}, HasUpper: upper, Place: Place{Path: path}}
	}
	file := func(path string) OverlayFacts {
		return OverlayFacts{Overlay: Overlay{path, false, "--overlay"}, Root: Root{Kind: Squashfs, Path: path}}
	}
	ext := func(path string, ro bool) OverlayFacts {
		return OverlayFacts{Overlay: Overlay{path, ro, "--overlay"}, Root: Root{Kind: Ext, Path: path}, HasUpper: true, Owner: 1000}
	}
	data := Root{Kind: Squashfs, Path: "/data.sif"}
	for _, tt := range []struct {
		name   string
		req    Request
		over   []OverlayFacts
		layers []Layer // topmost first
		upper  Upper
		warn   []string
	}{
		{name: "nothing"},
		{name: "the last one on top", over: []OverlayFacts{dir("/a", true, true), file("/b.sif"), dir("/c", true, false)},
			layers: []Layer{{Path: "/c", Why: "--overlay"}, {Path: "/b.sif", Image: 2, Why: "--overlay"}, {Path: "/a/upper", Why: "--overlay"}}},
		{name: "the writable one above all", over: []OverlayFacts{dir("/a", false, true), file("/b.sif")},
			layers: []Layer{{Path: "/b.sif", Image: 2, Why: "--overlay"}}, upper: Upper{Kind: UpperDir, Path: "/a", Why: "--overlay"}},
		{name: "ext file systems", over: []OverlayFacts{ext("/a", false), ext("/b", true)},
			layers: []Layer{{Path: "/b", Image: 2, Sub: "upper", Why: "--overlay"}}, upper: Upper{Kind: UpperImage, Path: "/a", Image: 3, Why: "--overlay"}},
		{name: "half of the memory", req: Request{WritableTmpfs: true}, upper: Upper{Kind: UpperTmpfs, Size: 500, Why: "--writable-tmpfs"}},
		{name: "a share of it", req: Request{WritableTmpfs: true, TmpfsPercent: 10}, upper: Upper{Kind: UpperTmpfs, Size: 100, Why: "--writable-tmpfs"}},
		{name: "a size", req: Request{WritableTmpfs: true, TmpfsSize: 7}, upper: Upper{Kind: UpperTmpfs, Size: 7, Why: "--writable-tmpfs"}},
		{name: "implied", req: Request{WritableTmpfs: true, TmpfsImplied: true}, upper: Upper{Kind: UpperTmpfs, Size: 500, Why: "--compat"}},
		{name: "implied beside a directory", req: Request{WritableTmpfs: true, TmpfsImplied: true}, over: []OverlayFacts{dir("/a", false, false)},
			upper: Upper{Kind: UpperDir, Path: "/a", Why: "--overlay"}},
		{name: "both asked for", req: Request{WritableTmpfs: true}, over: []OverlayFacts{dir("/a", false, false)},
			upper: Upper{Kind: UpperDir, Path: "/a", Why: "--overlay"}, warn: []string{"--writable-tmpfs is ignored: /a is writable"}},
		{name: "scratch goes before memory", req: Request{WritableTmpfs: true, ScratchOverlay: "/s"},
			upper: Upper{Kind: UpperScratch, Path: "/s", Why: "--scratch-overlay"}},
	} {
		p := Plan{Images: []Root{data}, Underlay: true, UIDs: []IDRange{{Inside: 1000, Outside: 1000, Count: 1}}}
		err := p.stack(&tt.req, &Facts{Overlay: true, Memory: 1000, Scratch: Place{Path: "/s"}, Overlays: tt.over})
		if err != nil || !reflect.DeepEqual(p.Layers, tt.layers) || p.Upper != tt.upper || !reflect.DeepEqual(p.Warnings, tt.warn) {
			t.Errorf("%s: %v, layers %+v, upper %+v, warnings %q\nwant %+v, %+v, %q", tt.name, err, p.Layers, p.Upper, p.Warnings, tt.layers, tt.upper, tt.warn)
		}
		if p.Underlay == p.layered() {
			t.Errorf("%s: underlay %v with layers %v", tt.name, p.Underlay, p.layered())
		}
	}
}

func TestStackErrors(t *testing.T) {
	on := func(fs string, denied error) []OverlayFacts {
		return []OverlayFacts{{Overlay: Overlay{"/a", false, "--overlay"}, Root: Root{Kind: Sandbox, Path: "/a"}, Place: Place{Path: "/a", FS: fs, Denied: denied}}}
	}
	ext := func(owner int) []OverlayFacts {
		return []OverlayFacts{{Overlay: Overlay{"/a", false, "--overlay"}, Root: Root{Kind: Ext, Path: "/a"}, Owner: owner}}
	}
	for _, tt := range []struct {
		name  string
		root  RootKind
		req   Request
		facts Facts
		is    error
		want  string
	}{
		{"two writers", "", Request{}, Facts{Overlay: true, Overlays: append(on("", nil), on("", nil)...)}, ErrWriters, "only one overlay can be writable: /a and /a"},
		{"two writers, one in a file", "", Request{}, Facts{Overlay: true, Overlays: append(on("", nil), ext(1000)...)}, ErrWriters, "only one overlay can be writable: /a and /a"},
		{"somebody else's file", "", Request{}, Facts{Overlay: true, Overlays: ext(0)}, nil, "overlay /a: it belongs to uid 0, and you are uid 1000 in the container"},
		{"network", "", Request{}, Facts{Overlay: true, Overlays: on("NFS", nil)}, nil, "--overlay /a: the kernel cannot keep a writable layer on NFS"},
		{"read-only", "", Request{}, Facts{Overlay: true, Overlays: on("", unix.EROFS)}, unix.EROFS, "--overlay /a: read-only file system"},
		{"scratch on the network", "", Request{ScratchOverlay: "/s"}, Facts{Overlay: true, Scratch: Place{Path: "/s", FS: "Lustre"}}, nil,
			"--scratch-overlay /s: the kernel cannot keep a writable layer on Lustre"},
		{"a file", Squashfs, Request{Writable: true, Image: "a.sif"}, Facts{Overlay: true}, ErrNotWritable, "--writable a.sif: an image file without an overlay partition cannot be written to"},
		{"a sandbox below an overlay", Sandbox, Request{Writable: true}, Facts{Overlay: true, Overlays: on("", nil)}, ErrWritableOverlay,
			"--writable changes the image itself, and an overlay lies over it: --overlay"},
		{"somebody else's sandbox", Sandbox, Request{Writable: true}, Facts{Sandbox: Place{Path: "/box", FS: "NFS", Denied: unix.EACCES}}, unix.EACCES, "--writable /box: permission denied"},
		{"an old kernel", "", Request{WritableTmpfs: true}, Facts{Release: "5.4.0"}, ErrNoOverlay,
			"--writable-tmpfs: this kernel has no overlay file system in user namespaces (5.4.0)"},
	} {
		err := (&Plan{Root: Root{Kind: tt.root, Path: "/box"}, UIDs: []IDRange{{Inside: 1000, Outside: 1000, Count: 1}}}).stack(&tt.req, &tt.facts)
		if err == nil || err.Error() != tt.want || tt.is != nil && !errors.Is(err, tt.is) {
			t.Errorf("%s: %v, want %s", tt.name, err, tt.want)
		}
	}
	// The overlay partition of the image's own file is what --writable means there.
	own := Plan{Root: Root{Kind: Squashfs, Device: 1, Inode: 2}, UIDs: []IDRange{{Inside: 0, Outside: 1000, Count: 1}}}
	part := OverlayFacts{Overlay: Overlay{"/x.sif", false, "--writable"}, Root: Root{Kind: Ext, Path: "/x.sif", Device: 1, Inode: 2, Offset: 4096}}
	if err := own.stack(&Request{Writable: true}, &Facts{Overlay: true, Overlays: []OverlayFacts{part}}); err != nil || own.Writable || own.Upper.Kind != UpperImage || own.Upper.Image != 1 {
		t.Errorf("--writable with a partition: %v, %+v", err, own)
	}
	// A sandbox needs no overlay, and may be on a network file system.
	w := Plan{Root: Root{Kind: Sandbox}, Underlay: true}
	if err := w.stack(&Request{Writable: true, WritableTmpfs: true}, &Facts{Sandbox: Place{Path: "/box", FS: "NFS"}}); err != nil || !w.Writable || w.layered() || len(w.Warnings) != 1 {
		t.Errorf("--writable --writable-tmpfs: %v, %+v", err, w)
	}
	// Where nobody asked for it by name, the container is read-only as it would be without.
	p := Plan{Underlay: true}
	if err := p.stack(&Request{WritableTmpfs: true, TmpfsImplied: true}, &Facts{}); err != nil || p.layered() || len(p.Warnings) != 1 || !p.Underlay {
		t.Errorf("--compat on an old kernel: %v, %+v; want a warning", err, p)
	}
}
