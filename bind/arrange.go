package bind

import (
	"errors"
	"fmt"
	"io/fs"
	"path"
	"sort"
)

// A Mount is a wish: an operation whose target is a path in the container as people write
// it, through symlinks or not, existing or not. [View.Arrange] turns wishes into a [Layout].
//
// Op.Optional drops a wish in silence that cannot be fulfilled: its source or its mount
// point is missing, cannot be reached, or does not fit.
type Mount struct {
	Op

	// User marks what the user asked for one by one (--bind, --mount). Such mounts go into
	// the order that works (a directory before what is mounted inside it), replace every
	// mount in front of them whose target they would hide, and the first of two with the
	// same target is the one that counts, with a warning.
	User bool

	// Unless drops the mount when its target already shows its source, or when something
	// else is mounted exactly there; and it goes in front of mounts that it would hide. It
	// is how the working directory is bound.
	Unless bool

	// File (Image) is the image file's path, for messages.
	File string

	// Make (Bind) says that the source is a directory of the launch's own on the host, which
	// is made with these permission bits when it is missing, and in which mount points can
	// be made too. Zero: the source has to exist.
	Make uint32
}

// Arrange is NewView(t).Arrange(mounts).
func Arrange(t Trees, mounts []Mount) (Layout, error) { return NewView(t).Arrange(mounts) }

// Arrange plans the mounts in order. It can be called once on a View, which afterwards
// shows the tree with everything mounted.
//
// The error is a *[SourceError], *[PointError] or *[ConflictError], or wraps [ErrLoop] or
// [ErrRoot].
func (v *View) Arrange(mounts []Mount) (Layout, error) {
	ordered := v.order(mounts)
	v.layout.Ops = make([]Op, 0, len(ordered)+8)
	for _, m := range ordered {
		err := v.add(m)
		if err != nil && !m.Optional {
			return Layout{}, err
		}
	}
	byPath := func(ps []Point) {
		sort.Slice(ps, func(i, j int) bool { return ps[i].Path < ps[j].Path })
	}
	byPath(v.layout.Points)
	byPath(v.layout.Parents)
	return v.layout, nil
}

// add plans one mount. Nothing has changed when it returns an error.
func (v *View) add(m *Mount) error {
	src, err := v.source(m)
	if err != nil {
		return err
	}
	target := m.Target
	if m.Type == Link {
		target = parent(target) // a symlink is made, not followed
	}
	at, missing, err := v.box.walk(target)
	if err != nil {
		return v.targetError(m, err)
	}
	if m.Type == Link {
		if len(missing) == 0 {
			if c, err := at.child(path.Base(m.Target)); err != nil || c.kind != 0 {
				return err // somebody else's stands there
			}
		}
		missing = append(missing, path.Base(m.Target))
	}
	if len(missing) == 0 {
		if done, err := v.onto(m, src, at); done || err != nil {
			return err
		}
	} else if at, err = v.makePoint(m, src, at, missing); err != nil {
		return err
	}
	v.mount(m, src, at)
	return nil
}

// source finds what is to be mounted. A mount without a source gets a place that only
// has a kind. Missing directories of the launch's own are planned here.
func (v *View) source(m *Mount) (*place, error) {
	switch m.Type {
	case Bind:
	case Image:
		if i := m.Image - 1; i >= 0 && i < len(v.data) && v.data[i].tree != nil {
			src, err := v.data[i].find(path.Clean("/" + m.Source))
			if err != nil {
				return nil, &SourceError{Source: m.Source, In: m.File, Why: m.Why, Err: err}
			}
			return src, nil
		}
		return &place{kind: Directory, origin: sealed}, nil
	case Data, Mkfile:
		return &place{kind: File, origin: sealed}, nil
	case Link:
		return &place{kind: Symlink, link: m.Source, origin: sealed}, nil
	case Tmpfs, Mkdir:
		return &place{kind: Directory, origin: ofTmpfs}, nil
	default: // Proc, Devpts, Mqueue: nobody looks into them
		return &place{kind: Directory, origin: sealed}, nil
	}
	src, missing, err := v.host.walk(m.Source)
	if err != nil {
		return nil, &SourceError{Source: m.Source, Why: m.Why, Err: err}
	}
	if len(missing) > 0 {
		if m.Make == 0 {
			return nil, &SourceError{Source: m.Source, Why: m.Why, Err: fs.ErrNotExist}
		}
		return v.makeHost(src, missing, Directory, m.Make)
	}
	if m.Make != 0 && src.kind != Directory {
		return nil, &ConflictError{Target: m.Source, Why: m.Why, At: src.full(), Through: true}
	}
	return src, nil
}

// targetError words an error of walking to the target of m.
func (v *View) targetError(m *Mount, err error) error {
	var through *errThrough
	if errors.As(err, &through) {
		return &ConflictError{Target: m.Target, Why: m.Why, At: through.at.full(), Through: true}
	}
	return fmt.Errorf("mount point %q%s: %w", m.Target, because(m.Why), err)
}

// onto checks whether m fits on the existing place at. It answers true when there is
// nothing to do.
func (v *View) onto(m *Mount, src, at *place) (done bool, err error) {
	switch {
	case m.Type == Mkdir && at.kind == Directory:
		return true, nil
	case m.Unless && (at.mounted || at.src == src):
		return true, nil
	case at == v.box:
		return false, fmt.Errorf("mount on %q%s: %w", m.Target, because(m.Why), ErrRoot)
	case (at.kind == Directory) != (src.kind == Directory):
		return false, &ConflictError{Source: m.Source, Target: m.Target, Kind: src.kind, Why: m.Why, At: at.full()}
	}
	return false, nil
}

// makePoint plans the missing names below at, so that m can be mounted on the last one.
func (v *View) makePoint(m *Mount, src, at *place, missing []string) (*place, error) {
	kind := File
	if src.kind == Directory {
		kind = Directory
	}
	asOp := m.Type == Link || m.Type == Mkdir || m.Type == Mkfile
	switch {
	case at.origin == ofTmpfs:
		return v.makeInTmpfs(at, missing, kind, m.Why, asOp)
	case asOp:
		return nil, &PointError{Target: m.Target, Kind: kind, Why: m.Why}
	case at.origin == ofImage:
		return v.makeOnImage(at, missing, kind)
	case at.origin == ofOurs:
		if _, err := v.makeHost(at.src, missing, kind, 0o755); err != nil {
			return nil, err
		}
		for _, name := range missing {
			var err error
			if at, err = at.child(name); err != nil {
				return nil, err
			}
		}
		return at, nil
	}
	e := &PointError{Target: m.Target, Kind: kind, Why: m.Why}
	if at.origin == ofHost {
		e.In = at.src.full()
		e.Host = e.In
		for _, name := range missing {
			e.Host = join(e.Host, name)
		}
	}
	return nil, e
}

// makeOnImage adds points to the image's root.
func (v *View) makeOnImage(at *place, missing []string, kind Kind) (*place, error) {
	for p := at; !p.listed; p = p.up {
		p.listed = true
		v.layout.Parents = append(v.layout.Parents, Point{Path: p.full(), Kind: Directory, Perm: p.perm})
	}
	dir := at.full()
	for i, name := range missing {
		c, err := at.child(name)
		if err != nil {
			return nil, err
		}
		c.kind, c.perm, c.listed = Directory, 0o755, true
		if i == len(missing)-1 && kind == File {
			c.kind, c.perm = File, 0o644
		}
		dir = join(dir, name)
		v.layout.Points = append(v.layout.Points, Point{Path: dir, Kind: c.kind, Perm: c.perm})
		at = c
	}
	return at, nil
}

// makeInTmpfs makes directories by operations, and the last name unless m itself does (asOp).
func (v *View) makeInTmpfs(at *place, missing []string, kind Kind, why string, asOp bool) (*place, error) {
	dir := at.full()
	for i, name := range missing {
		c, err := at.child(name)
		if err != nil {
			return nil, err
		}
		dir = join(dir, name)
		op := Op{Type: Mkdir, Target: dir, Why: why}
		c.kind, c.perm = Directory, 0o755
		last := i == len(missing)-1
		if last && kind == File {
			op.Type, c.kind, c.perm = Mkfile, File, 0o644
		}
		if !last || !asOp {
			v.layout.Ops = append(v.layout.Ops, op)
		}
		at = c
	}
	return at, nil
}

// makeHost plans what the launch makes on the host: at is a place of the host's tree.
func (v *View) makeHost(at *place, missing []string, kind Kind, perm uint32) (*place, error) {
	dir := at.full()
	for i, name := range missing {
		c, err := at.child(name)
		if err != nil {
			return nil, err
		}
		dir = join(dir, name)
		c.kind, c.perm = Directory, perm
		if i == len(missing)-1 && kind == File {
			c.kind, c.perm = File, 0o644
		}
		v.layout.Make = append(v.layout.Make, Point{Path: dir, Kind: c.kind, Perm: c.perm})
		at = c
	}
	return at, nil
}

// mount plans the operation itself and shows its result at the place.
func (v *View) mount(m *Mount, src, at *place) {
	op := m.Op
	op.Target = at.full()
	v.layout.Ops = append(v.layout.Ops, op)

	at.kids, at.tree, at.path, at.src = nil, nil, "", nil
	at.kind, at.perm, at.link = src.kind, src.perm, src.link
	if op.Perm != 0 {
		at.perm = op.Perm
	}
	at.origin = src.origin
	at.mounted = true
	switch m.Type {
	case Bind:
		at.src, at.origin = src, ofHost
		if m.Make != 0 {
			at.origin = ofOurs
		}
	case Image:
		at.tree, at.path = src.tree, src.path
	case Mkdir, Mkfile, Link:
		at.mounted, at.origin = false, ofTmpfs
	case Proc: // names below it are the host's, near enough to follow a symlink
		at.src, _ = v.host.find("/proc")
	}
}
