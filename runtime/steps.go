package runtime

import (
	"path"
	"slices"
	"strconv"
	"strings"

	"coracle/bind"
	"coracle/runtime/mnt"
	"coracle/runtime/server"
	"coracle/userns"
)

// Most launches come down to a list of system calls that the constructor can make before the Go runtime has started, and
// then need not start it. What has to look around, or has other ways to try, is left to [buildTree]: that is also
// where a list ends that fails.

// provided is what an image server that has planned a launch has for it.
type provided struct {
	points bool // the image comes with its mount points
	tree   bool // an empty mount namespace comes with the plan
}

// steps returns the plan as such a list; nil when it is none of that kind.
func (p *Plan) steps(from provided) []userns.Step {
	if !p.straight() {
		return nil
	}
	s := stepList{base: mnt.FirstBase(p.hostPaths()), slots: 1} // slot 0 is the image's
	for _, op := range p.Layout.Ops {
		if op.Type == bind.Bind {
			s.add(userns.Step{Kind: userns.StepTree, Slot: s.slots, A: op.Source, Rec: !op.NoRec, Optional: op.Optional})
			s.slots++
		}
	}
	if p.Root.Kind == Sandbox {
		s.add(userns.Step{Kind: userns.StepTree, A: p.Root.Path, Rec: true})
	}
	if from.tree && !slices.ContainsFunc(p.Layout.Ops, isNew) { // which need to see the host's /proc
		s.add(userns.Step{Kind: userns.StepLeave})
		s.base = server.Space
	}
	s.add(userns.Step{Kind: userns.StepBase, A: s.base})
	s.dirs("root", "files")
	s.root(p, from.points || len(p.Layout.Points) == 0)
	s.slots = 1
	for _, op := range p.Layout.Ops {
		if !s.op(op) {
			return nil
		}
	}
	if s.slots > userns.Slots {
		return nil
	}
	s.add(userns.Step{Kind: userns.StepEnter, A: s.base + "/root"}, userns.Step{Kind: userns.StepChdir, A: p.Dir[0]})
	if umask := p.umask(*p.Command); umask >= 0 {
		s.add(userns.Step{Kind: userns.StepUmask, Mode: uint32(umask)})
	}
	s.add(userns.Step{Kind: userns.StepExec, A: p.Command.Path, Argv: p.Command.Argv, Env: p.Command.Env})
	return s.list
}

// straight tells whether nothing in the plan depends on what is found on the way.
func (p *Plan) straight() bool {
	switch {
	case p.Command == nil, len(p.Dir) == 0, !p.Quiet && len(p.Command.Notes)+len(p.Command.Warnings) > 0:
		return false // the container has to be seen first, or there is something to say
	case p.Visit, p.Instance != "", p.Fakeroot != "", p.Net, p.Hostname != "":
		return false
	case p.Writable && len(p.Layout.Points) > 0: // what is made in a sandbox is looked at
		return false
	case p.layered(), len(p.Images) > 0, len(p.Layout.Make) > 0, p.Underlay && len(p.Layout.Points) > 0:
		return false
	}
	return p.Root.served() || p.Root.Kind == Sandbox
}

type stepList struct {
	list  []userns.Step
	base  string
	slots int // how many are in use
	files int // how many generated files there are
}

func (s *stepList) add(steps ...userns.Step) { s.list = append(s.list, steps...) }

// dirs makes directories of the session's tmpfs.
func (s *stepList) dirs(names ...string) {
	for _, name := range names {
		s.add(userns.Step{Kind: userns.StepDir, A: s.base + "/" + name, Mode: 0o755})
	}
}

// root places the image, and, where that does not have all of them, the layer of missing mount points over it.
func (s *stepList) root(p *Plan, whole bool) {
	if p.Root.served() {
		s.add(userns.Step{Kind: userns.StepImage})
	}
	place := userns.Step{Kind: userns.StepPlace, A: s.base + "/root", Rec: true}
	attr := (&tree{}).imageAttr()
	if p.Root.Kind == Sandbox {
		attr.ReadOnly = !p.Writable
		place.Flags = uintptr(attr.Flags())
	}
	if whole {
		s.add(place)
	} else {
		s.dirs("image", "points")
		place.A = s.base + "/image"
		s.add(place)
		for _, pt := range p.Layout.Parents {
			if pt.Path == "/" {
				s.add(userns.Step{Kind: userns.StepMode, A: s.base + "/points", Mode: perm(pt.Perm, 0o755)})
			} else {
				s.point(pt)
			}
		}
		for _, pt := range p.Layout.Points {
			s.point(pt)
		}
		s.add(userns.Step{Kind: userns.StepMount, A: s.base + "/root", B: "overlay", Flags: attr.MountFlags(),
			C: "lowerdir=" + s.base + "/points:" + s.base + "/image"})
	}
	s.add(userns.Step{Kind: userns.StepRoot, A: s.base + "/root"})
}

func (s *stepList) point(pt bind.Point) {
	step := userns.Step{Kind: userns.StepDir, A: s.base + "/points" + pt.Path, Mode: perm(pt.Perm, 0o755)}
	if pt.Kind != bind.Directory {
		step.Kind, step.Mode = userns.StepFile, perm(pt.Perm, 0o644)
	}
	s.add(step)
}

// op adds an operation; false: it is none for a list.
func (s *stepList) op(op bind.Op) bool {
	if op.Target == "/" || strings.ContainsRune(op.Target+op.Source, 0) {
		return false
	}
	attr := opAttr(op)
	inside := userns.Step{A: path.Dir(op.Target), B: path.Base(op.Target), Optional: op.Optional}
	switch op.Type {
	case bind.Bind:
		s.add(userns.Step{Kind: userns.StepBind, Slot: s.slots, A: op.Target, Flags: uintptr(attr.Flags()), Rec: !op.NoRec, Optional: op.Optional})
		s.slots++
		return true
	case bind.Data:
		s.files++
		file := s.base + "/files/" + strconv.Itoa(s.files)
		attr = dataAttr(op)
		s.add(userns.Step{Kind: userns.StepFile, A: file, B: string(op.Content), Mode: perm(op.Perm, 0o644), Optional: op.Optional},
			userns.Step{Kind: userns.StepTree, A: file, Optional: op.Optional}, // slot 0 has done its duty
			userns.Step{Kind: userns.StepBind, A: op.Target, Flags: uintptr(attr.Flags()), Optional: op.Optional})
		return true
	case bind.Mkdir:
		inside.Kind, inside.Mode = userns.StepMkdir, perm(op.Perm, 0o755)
	case bind.Mkfile:
		inside.Kind, inside.Mode = userns.StepTouch, perm(op.Perm, 0o644)
	case bind.Link:
		inside.Kind, inside.C = userns.StepLink, op.Source
	default:
		fs, ok := newFS(op)
		if !ok {
			return false
		}
		inside = userns.Step{Kind: userns.StepNew, A: op.Target, B: fs.kind, C: fs.data, Flags: fs.attr.MountFlags(), Optional: op.Optional}
	}
	s.add(inside)
	return true
}

// A newFileSystem is what an operation mounts that is nowhere yet.
type newFileSystem struct {
	kind string
	attr mnt.Attr
	data string
}

// isNew tells whether an operation mounts something of that kind.
func isNew(op bind.Op) bool {
	_, ok := newFS(op)
	return ok
}

func newFS(op bind.Op) (fs newFileSystem, ok bool) {
	switch op.Type {
	case bind.Tmpfs:
		return newFileSystem{"tmpfs", opAttr(op), tmpfsData(op)}, true
	case bind.Proc:
		return newFileSystem{"proc", mnt.Attr{NoSuid: true, NoDev: true, NoExec: true}, ""}, true
	case bind.Devpts:
		return newFileSystem{"devpts", mnt.Attr{NoSuid: true, NoExec: true}, "newinstance,ptmxmode=0666,mode=0620"}, true
	case bind.Mqueue:
		return newFileSystem{"mqueue", mnt.Attr{NoSuid: true, NoDev: true, NoExec: true}, ""}, true
	}
	return fs, false
}

// opAttr are the restrictions on what an operation mounts.
func opAttr(op bind.Op) mnt.Attr {
	return mnt.Attr{ReadOnly: op.ReadOnly, NoDev: op.NoDev, NoExec: op.NoExec, NoSuid: !op.Suid}
}

// dataAttr are those on a generated file.
func dataAttr(op bind.Op) mnt.Attr {
	return mnt.Attr{ReadOnly: op.ReadOnly, NoSuid: true, NoDev: true, NoExec: op.NoExec}
}
