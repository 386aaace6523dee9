package runtime

import (
	"fmt"
	"slices"
	"strings"
	"testing"

	"coracle/bind"
	"coracle/runtime/env"
	"coracle/userns"
)

// straightPlan is a launch as most are.
func straightPlan() *Plan {
	return &Plan{
		Root: Root{Kind: Squashfs, Path: "/images/app.sif"},
		Layout: bind.Layout{
			Points:  []bind.Point{{Path: "/data", Kind: bind.Directory}, {Path: "/etc/localtime", Kind: bind.File}},
			Parents: []bind.Point{{Path: "/", Kind: bind.Directory, Perm: 0o755}, {Path: "/etc", Kind: bind.Directory, Perm: 0o700}},
			Ops: []bind.Op{
				{Type: bind.Bind, Source: "/proc", Target: "/proc", NoDev: true},
				{Type: bind.Data, Target: "/etc/passwd", Content: []byte("a\x00b"), Optional: true},
				{Type: bind.Tmpfs, Target: "/tmp", Perm: 0o1777},
				{Type: bind.Mkdir, Target: "/tmp/x"},
				{Type: bind.Bind, Source: "/scratch", Target: "/data", ReadOnly: true, NoRec: true, Optional: true},
			},
		},
		Dir: []string{"/work", "/"}, Umask: -1,
		Command: &env.Command{Path: "/bin/true", Argv: []string{"true", ""}, Env: []string{"A=1"}, Umask: 0o27},
	}
}

// The steps do what buildTree does, in its order: sources are opened before anything is mounted over them.
func TestSteps(t *testing.T) {
	var got []string
	for _, s := range straightPlan().steps(provided{}) {
		line := strings.Join(strings.Fields(fmt.Sprintf("%d %s %q %s", s.Kind, s.A, s.B, s.C)), " ")
		got = append(got, strings.ReplaceAll(line, ` ""`, ""))
	}
	want := []string{
		fmt.Sprint(userns.StepTree, " /proc"), fmt.Sprint(userns.StepTree, " /scratch"),
		fmt.Sprint(userns.StepBase, " /mnt"),
		fmt.Sprint(userns.StepDir, " /mnt/root"), fmt.Sprint(userns.StepDir, " /mnt/files"), fmt.Sprint(userns.StepImage),
		fmt.Sprint(userns.StepDir, " /mnt/image"), fmt.Sprint(userns.StepDir, " /mnt/points"), fmt.Sprint(userns.StepPlace, " /mnt/image"),
		fmt.Sprint(userns.StepMode, " /mnt/points"), fmt.Sprint(userns.StepDir, " /mnt/points/etc"),
		fmt.Sprint(userns.StepDir, " /mnt/points/data"), fmt.Sprint(userns.StepFile, " /mnt/points/etc/localtime"),
		fmt.Sprint(userns.StepMount, ` /mnt/root "overlay" lowerdir=/mnt/points:/mnt/image`), fmt.Sprint(userns.StepRoot, " /mnt/root"),
		fmt.Sprint(userns.StepBind, " /proc"),
		fmt.Sprint(userns.StepFile, ` /mnt/files/1 "a\x00b"`), fmt.Sprint(userns.StepTree, " /mnt/files/1"), fmt.Sprint(userns.StepBind, " /etc/passwd"),
		fmt.Sprint(userns.StepNew, ` /tmp "tmpfs" mode=1777`), fmt.Sprint(userns.StepMkdir, ` /tmp "x"`),
		fmt.Sprint(userns.StepBind, " /data"),
		fmt.Sprint(userns.StepEnter, " /mnt/root"), fmt.Sprint(userns.StepChdir, " /work"), fmt.Sprint(userns.StepUmask), fmt.Sprint(userns.StepExec, " /bin/true"),
	}
	if !slices.Equal(got, want) {
		t.Errorf("steps\n%s\nwant\n%s", strings.Join(got, "\n"), strings.Join(want, "\n"))
	}
}

// With an image that has its mount points nothing is laid over it, and where there is an empty tree the list goes there before it mounts.
func TestStepsProvided(t *testing.T) {
	p := straightPlan()
	p.Layout.Ops = slices.DeleteFunc(p.Layout.Ops, isNew)
	kinds := func(from provided) (list []userns.StepKind) {
		for _, s := range p.steps(from) {
			list = append(list, s.Kind)
		}
		return list
	}
	got := kinds(provided{points: true, tree: true})
	if slices.Contains(got, userns.StepMount) || slices.Index(got, userns.StepLeave)+1 != slices.Index(got, userns.StepBase) {
		t.Errorf("steps with all that a server provides: %v", got)
	}
	p.Layout.Ops = append(p.Layout.Ops, bind.Op{Type: bind.Proc, Target: "/proc"})
	if got := kinds(provided{tree: true}); slices.Contains(got, userns.StepLeave) || !slices.Contains(got, userns.StepMount) {
		t.Errorf("steps with a new /proc: %v", got)
	}
}

// What has to look around on the way is left to Go.
func TestNoSteps(t *testing.T) {
	for name, change := range map[string]func(p *Plan){
		"a script of the image":      func(p *Plan) { p.Command = nil },
		"something to say":           func(p *Plan) { p.Command.Notes = []string{"x"} },
		"root inside":                func(p *Plan) { p.Fakeroot = FakerootFilter },
		"a writable layer":           func(p *Plan) { p.Upper.Kind = UpperTmpfs },
		"a layer":                    func(p *Plan) { p.Layers = []Layer{{Path: "/layer"}} },
		"a second image":             func(p *Plan) { p.Images = []Root{{}} },
		"an instance":                func(p *Plan) { p.Instance = "a" },
		"a host name":                func(p *Plan) { p.Hostname = "h" },
		"a network":                  func(p *Plan) { p.Net = true },
		"an underlay":                func(p *Plan) { p.Underlay = true },
		"a mount point on the host":  func(p *Plan) { p.Layout.Make = p.Layout.Points },
		"a bind over the whole root": func(p *Plan) { p.Layout.Ops[0].Target = "/" },
		"a part of an image":         func(p *Plan) { p.Layout.Ops[0].Type = bind.Image },
	} {
		p := straightPlan()
		change(p)
		if got := p.steps(provided{}); got != nil {
			t.Errorf("%s: %d steps", name, len(got))
		}
	}
}
