package bind

import (
	"errors"
	"fmt"
	"io/fs"
	"path"
	"strings"
)

// maxLinks is how many symlinks one path may pass through, as in the kernel (MAXSYMLINKS).
const maxLinks = 40

// An origin says who provides a place, and so who can make something there.
type origin uint8

const (
	ofImage origin = iota // the image's root: points are added to it
	ofTmpfs               // a new memory file system: things are made by operations
	ofHost                // the host, as it is
	ofOurs                // a host directory of the launch (--workdir): things are made before binding
	sealed                // procfs, devpts, mqueue, another image, a generated file
)

// A place is one path of a tree as it will be, mounts included. Places are looked up once
// and remembered, missing ones too. Mounting on a place overwrites it: nothing is ever
// unmounted, so what lies below is of no more interest.
type place struct {
	up   *place // the root's is the root
	name string
	kids map[string]*place

	origin  origin
	tree    Tree   // where entries come from, at path; nil: only what was made exists
	path    string // in tree
	src     *place // instead of tree: the place on the host that is bound here
	mounted bool   // something is mounted on this place
	listed  bool   // already among the points or their parents

	kind Kind // 0: missing
	perm uint32
	link string // of a symlink: its text
}

// root makes the place "/" of a tree.
func root(t Tree, o origin) *place {
	p := &place{origin: o, tree: t, path: "/", kind: Directory, perm: 0o755}
	p.up = p
	if o == ofImage && t != nil { // the only root whose permissions matter
		if e, err := t.Lstat("/"); err == nil {
			p.perm = e.Perm
		}
	}
	return p
}

// child looks name up in the directory p. A missing one is a place of kind 0.
func (p *place) child(name string) (*place, error) {
	if c, ok := p.kids[name]; ok {
		if c.kind == 0 && c.src != nil { // it may have been made on the host since
			c.kind, c.perm = c.src.kind, c.src.perm
		}
		return c, nil
	}
	c := &place{up: p, name: name, origin: p.origin}
	switch {
	case p.src != nil:
		s, err := p.src.child(name)
		if err != nil {
			return nil, err
		}
		c.src, c.kind, c.perm, c.link = s, s.kind, s.perm, s.link
	case p.tree != nil:
		c.path = join(p.path, name)
		e, err := p.tree.Lstat(c.path)
		if err == nil {
			c.tree, c.kind, c.perm, c.link = p.tree, e.Kind, e.Perm, e.Target
		} else if !errors.Is(err, fs.ErrNotExist) {
			return nil, err
		}
	}
	if p.kids == nil {
		p.kids = make(map[string]*place, 4)
	}
	p.kids[name] = c
	return c, nil
}

// full is the absolute path of p in its own tree of places.
func (p *place) full() string {
	if p.up == p {
		return "/"
	}
	var parts []string
	n := 0
	for q := p; q.up != q; q = q.up {
		parts = append(parts, q.name)
		n += 1 + len(q.name)
	}
	var b strings.Builder
	b.Grow(n)
	for i := len(parts) - 1; i >= 0; i-- {
		b.WriteByte('/')
		b.WriteString(parts[i])
	}
	return b.String()
}

// errThrough says that a path leads through something that is no directory.
type errThrough struct{ at *place }

func (e *errThrough) Error() string { return e.at.full() + ": not a directory" }

// walk follows an absolute path from the root p, symlinks included. It returns the
// deepest place that exists and the names below it that do not.
//
// ".." behind a missing name takes that name back. The error is an *errThrough, wraps
// [ErrLoop], or comes from the Tree.
func (p *place) walk(path string) (at *place, missing []string, err error) {
	at = p
	links := 0
	for rest := path; rest != ""; {
		var name string
		name, rest, _ = strings.Cut(rest, "/")
		switch {
		case name == "" || name == ".":
			continue
		case name == ".." && len(missing) > 0:
			missing = missing[:len(missing)-1]
			continue
		case name == "..":
			at = at.up
			continue
		case len(missing) > 0:
			missing = append(missing, name)
			continue
		}
		if at.kind != Directory {
			return nil, nil, &errThrough{at}
		}
		c, err := at.child(name)
		if err != nil {
			return nil, nil, err
		}
		switch c.kind {
		case 0:
			missing = append(missing, name)
		case Symlink:
			if links++; links > maxLinks {
				return nil, nil, fmt.Errorf("%s: %w", path, ErrLoop)
			}
			if strings.HasPrefix(c.link, "/") {
				at = p
			}
			rest = c.link + "/" + rest
		default:
			at = c
		}
	}
	return at, missing, nil
}

// find is walk for a path that has to exist.
func (p *place) find(path string) (*place, error) {
	at, missing, err := p.walk(path)
	if err != nil {
		return nil, err
	}
	if len(missing) > 0 {
		return nil, &fs.PathError{Op: "look up", Path: path, Err: fs.ErrNotExist}
	}
	return at, nil
}

// Trees are what the planner looks into.
type Trees struct {
	Image Tree   // the root image
	Host  Tree   // the host
	Data  []Tree // the other images: Data[i] is image i+1. A missing or nil one counts as one directory of unknown content
}

// A View is the container's tree as it will be after the mounts arranged so far. It looks
// at every path of image and host at most once. It is not safe for concurrent use.
type View struct {
	box    *place // the container
	host   *place
	data   []*place
	layout Layout
}

// NewView starts with the bare image.
func NewView(t Trees) *View {
	v := &View{box: root(t.Image, ofImage), host: root(t.Host, ofHost)}
	for _, d := range t.Data {
		v.data = append(v.data, root(d, sealed))
	}
	return v
}

// Lookup resolves a path of the container and returns it free of symlinks, with its kind.
// The error wraps fs.ErrNotExist or [ErrLoop], or comes from a Tree.
func (v *View) Lookup(path string) (resolved string, kind Kind, err error) {
	at, err := v.box.find(path)
	if err != nil {
		return "", 0, err
	}
	return at.full(), at.kind, nil
}

// LookupHost resolves a path of the host, like [View.Lookup].
func (v *View) LookupHost(path string) (resolved string, kind Kind, err error) {
	at, err := v.host.find(path)
	if err != nil {
		return "", 0, err
	}
	return at.full(), at.kind, nil
}

// ReadFile reads a file of the container of at most max bytes, symlinks resolved.
func (v *View) ReadFile(name string, max int64) ([]byte, error) {
	at, err := v.box.find(path.Clean(name))
	if err != nil {
		return nil, err
	}
	if at.src != nil {
		at = at.src
	}
	if at.kind != File || at.tree == nil {
		return nil, &fs.PathError{Op: "read", Path: name, Err: fs.ErrInvalid}
	}
	return at.tree.ReadFile(at.path, max)
}

// Stat describes what stands at a path of the container, symlinks followed. The error wraps
// fs.ErrNotExist or [ErrLoop], or comes from a Tree.
func (v *View) Stat(path string) (Entry, error) {
	at, err := v.box.find(path)
	if err != nil {
		return Entry{}, err
	}
	return Entry{Kind: at.kind, Perm: at.perm}, nil
}

// ReadDir lists a directory of the container in which nothing was made or mounted; of any other it
// knows too little and answers fs.ErrInvalid.
func (v *View) ReadDir(name string) ([]string, error) {
	at, err := v.box.find(name)
	if err != nil {
		return nil, err
	}
	if at.src != nil {
		at = at.src
	}
	for _, kid := range at.kids {
		if kid.mounted || kid.kind != 0 && kid.tree == nil {
			return nil, &fs.PathError{Op: "list", Path: name, Err: fs.ErrInvalid}
		}
	}
	if at.kind != Directory || at.tree == nil {
		return nil, &fs.PathError{Op: "list", Path: name, Err: fs.ErrInvalid}
	}
	return at.tree.ReadDir(at.path)
}
