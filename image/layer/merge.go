package layer

import (
	"fmt"
	"iter"
	"slices"
	"strings"

	"coracle/squash"
)

// maxSymlinks is how many symbolic links a path may lead through.
//
// Source: Linux include/linux/namei.h, MAXSYMLINKS.
const maxSymlinks = 40

// maxDepth bounds how deep a tree may be, in directories.
const maxDepth = maxPath / 2

// Merge applies the entries of layers, the oldest first, each in the order of its
// archive, and returns the tree that is left.
//
//   - A whiteout hides what older layers have, wherever it stands in its layer.
//   - A directory over a directory replaces its attributes and keeps what is in it;
//     anything else replaces what had the name.
//   - Parents that are symbolic links are followed inside the tree; parents that do not
//     exist are made, as directories of root with mode 0755.
//   - A hard link shares the file that its target names at that moment, and keeps it when
//     a later layer hides the target.
//
// The error is an *[EntryError].
func Merge(layers [][]*Entry) (*Tree, error) {
	m := NewMerger()
	for _, entries := range layers {
		if err := m.Apply(slices.Values(entries)); err != nil {
			return nil, err
		}
	}
	return m.Tree(), nil
}

// A Merger merges layers as they come.
type Merger struct {
	t     *Tree
	layer int32
	stack []step // of dir
}

// NewMerger returns a merger with an empty tree.
func NewMerger() *Merger { return &Merger{t: newTree(), layer: -1} }

// Tree returns the tree as it is now.
func (m *Merger) Tree() *Tree { return m.t }

// Apply applies the next layer. It keeps nothing of the entries but attributes. After an
// error the tree is of no use.
func (m *Merger) Apply(entries iter.Seq[*Entry]) error {
	m.layer++
	for e := range entries {
		if err := m.apply(e); err != nil {
			return &EntryError{Layer: int(e.Layer), Name: e.Name, Err: err}
		}
	}
	return nil
}

func impliedDir(name string) *Entry {
	return &Entry{Name: name, Type: squash.Directory, Perm: 0o755, Implied: true, Layer: -1}
}

func (m *Merger) apply(e *Entry) error {
	dir, base := split(e.Name)
	switch mark, name := whiteout(base); mark {
	case ignored:
		return nil
	case hideAll:
		parent, ok, err := m.dir(dir, false)
		if ok {
			m.prune(parent)
		}
		return err
	case hideOne:
		parent, ok, err := m.dir(dir, false)
		if ok {
			m.hide(parent, name)
		}
		return err
	}
	if e.Name == "" {
		if e.Kind != Inode || e.Type != squash.Directory {
			return fmt.Errorf("%w: the root is no directory", ErrType)
		}
		return m.t.set(0, e)
	}
	parent, _, err := m.dir(dir, true)
	if err != nil {
		return err
	}
	return m.put(parent, base, e)
}

// put gives base in parent what e says.
func (m *Merger) put(parent uint32, base string, e *Entry) error {
	old := m.t.find(parent, base)
	var ino uint32
	var err error
	if e.Kind == HardLink {
		ino, err = m.target(e.Link)
	} else if old != nil && e.Type == squash.Directory {
		if _, ok := m.t.isDir(old); ok {
			old.touched = m.layer
			return m.t.set(old.inode, e)
		}
	}
	if err == nil && e.Kind != HardLink {
		ino, err = m.t.inode(e)
	}
	if err != nil {
		return err
	}
	return m.link(parent, base, ino)
}

func (m *Merger) link(parent uint32, base string, inode uint32) error {
	n, err := m.t.link(parent, base, inode)
	if err == nil {
		n.touched = m.layer
	}
	return err
}

// target returns the file that a hard link to path shares.
func (m *Merger) target(path string) (inode uint32, err error) {
	dir, base := split(path)
	parent, ok, err := m.dir(dir, false)
	if err != nil {
		return 0, err
	}
	var n *node
	if ok {
		n = m.t.find(parent, base)
	}
	if n == nil {
		return 0, fmt.Errorf("%w to %q, which does not exist", ErrLink, shorten(path))
	}
	if _, ok := m.t.isDir(n); ok {
		return 0, fmt.Errorf("%w to %q, a directory", ErrLink, shorten(path))
	}
	return n.inode, nil
}

// hide removes what older layers have as name in parent.
func (m *Merger) hide(parent uint32, name string) {
	n := m.t.find(parent, name)
	if n == nil {
		return
	}
	if n.touched != m.layer {
		n.gone = true
	} else if dir, ok := m.t.isDir(n); ok {
		m.prune(dir)
	}
}

// prune removes what older layers have below a directory. What this layer has stays, and
// whatever it adds afterwards is its own, so that each directory needs to be looked at
// once.
func (m *Merger) prune(dir uint32) {
	d := m.t.dirs.at(dir)
	if d.pruned == m.layer {
		return
	}
	d.pruned = m.layer
	m.t.each(dir, func(n *node) {
		if n.touched != m.layer {
			n.gone = true
		} else if below, ok := m.t.isDir(n); ok {
			m.prune(below)
		}
	})
}

// A step is a directory on a path, or where one might be made.
type step struct {
	dir  uint32
	node *node // its name; nil: the root, or missing
	name string
	made bool // it is there
}

// dir returns the directory at path, symbolic links followed inside the tree. With
// create, directories that are missing are made, and all that it is in count as touched
// by this layer; without it, ok is false for a missing one.
func (m *Merger) dir(path string, create bool) (dir uint32, ok bool, err error) {
	stack := append(m.stack[:0], step{made: true})
	defer func() { m.stack = stack }()
	links, steps := 0, 0
	for rest := path; rest != ""; {
		var name string
		name, rest, _ = strings.Cut(rest, "/")
		if steps++; steps > 2*maxPath || len(stack) > maxDepth {
			return 0, false, fmt.Errorf("%w: too deep", ErrPath)
		}
		switch name {
		case "", ".":
			continue
		case "..":
			stack = stack[:max(1, len(stack)-1)]
			continue
		}
		next := step{name: name}
		if last := stack[len(stack)-1]; last.made {
			next.node = m.t.find(last.dir, name)
		}
		if next.node == nil && len(name) > maxName {
			return 0, false, fmt.Errorf("%w: a name of %d bytes", ErrPath, len(name))
		}
		if next.node != nil {
			next.dir, next.made = m.t.isDir(next.node)
		}
		if next.node == nil || next.made {
			stack = append(stack, next)
			continue
		}
		var text string
		if text, err = m.follow(next, create); err != nil || text == "" {
			return 0, false, err
		}
		if links++; links > maxSymlinks {
			return 0, false, fmt.Errorf("%w: too many symbolic links", ErrPath)
		}
		if strings.HasPrefix(text, "/") {
			stack = stack[:1]
		}
		rest = text + "/" + rest
	}
	return m.settle(stack, create)
}

// follow returns the text of a symbolic link. For what is none, it is "" or, with create,
// an error.
func (m *Merger) follow(s step, create bool) (string, error) {
	ino := m.t.inodes.at(s.node.inode)
	if ino.typ == squash.Symlink {
		return m.t.texts.at(uint32(ino.size)), nil
	}
	if create {
		return "", fmt.Errorf("%w: %q", ErrParent, s.name)
	}
	return "", nil
}

// settle makes what is missing of a chain of directories, and returns the last; see dir.
func (m *Merger) settle(stack []step, create bool) (dir uint32, ok bool, err error) {
	for i := 1; i < len(stack); i++ {
		s := &stack[i]
		if !s.made {
			if !create {
				return 0, false, nil
			}
			if err := m.make(stack[i-1].dir, s); err != nil {
				return 0, false, err
			}
		}
		if create {
			s.node.touched = m.layer
		}
	}
	return stack[len(stack)-1].dir, true, nil
}

// make makes an implied directory.
func (m *Merger) make(parent uint32, s *step) error {
	ino, err := m.t.inode(impliedDir(s.name))
	if err != nil {
		return err
	}
	if s.node, err = m.t.link(parent, s.name, ino); err != nil {
		return err
	}
	s.dir, s.made = m.t.isDir(s.node)
	return nil
}
