package layer

import (
	"fmt"
	"maps"
	"slices"
	"strings"

	"coracle/squash"
)

// A Node is a name in the merged tree.
type Node struct {
	Name     string
	*Entry                    // what it names; names that are hard links of each other share it
	Children map[string]*Node // Directory: by name

	touched int32 // newest layer that has the name, or a name below it
	pruned  int32 // newest layer that hid what older ones have below
}

// A Tree is what the layers of an image amount to.
type Tree struct {
	Root *Node
}

// Walk calls fn for every name in the tree, a directory before what is in it, names in
// byte order.
func (t *Tree) Walk(fn func(n *Node)) { walk(t.Root, fn) }

func walk(n *Node, fn func(n *Node)) {
	fn(n)
	for _, child := range n.Sorted() {
		walk(child, fn)
	}
}

// Sorted returns what is in a directory, names in byte order.
func (n *Node) Sorted() []*Node {
	return slices.SortedFunc(maps.Values(n.Children), func(a, b *Node) int { return strings.Compare(a.Name, b.Name) })
}

// Occupied tells whether there is anything at path, or a parent of it that is not a
// directory. Symbolic links are not followed.
func (t *Tree) Occupied(path string) bool {
	n := t.Root
	for name := range strings.SplitSeq(path, "/") {
		if n.Type != squash.Directory {
			return true
		}
		if n = n.Children[name]; n == nil {
			return false
		}
	}
	return true
}

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
		if err := m.Apply(entries); err != nil {
			return nil, err
		}
	}
	return m.Tree(), nil
}

// A Merger merges layers as they come.
type Merger struct {
	root  *Node
	layer int32
}

// NewMerger returns a merger with an empty tree.
func NewMerger() *Merger {
	return &Merger{root: &Node{Entry: impliedDir(""), touched: -1, pruned: -1}, layer: -1}
}

// Tree returns the tree as it is now.
func (m *Merger) Tree() *Tree { return &Tree{Root: m.root} }

// Apply applies the next layer. After an error the tree is of no use.
func (m *Merger) Apply(entries []*Entry) error {
	m.layer++
	for _, e := range entries {
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
		parent, err := m.dir(dir, false)
		if parent != nil {
			m.prune(parent)
		}
		return err
	case hideOne:
		parent, err := m.dir(dir, false)
		if parent != nil {
			m.hide(parent, name)
		}
		return err
	}
	if e.Name == "" {
		if e.Kind != Inode || e.Type != squash.Directory {
			return fmt.Errorf("%w: the root is no directory", ErrType)
		}
		m.root.Entry = e
		return nil
	}
	parent, err := m.dir(dir, true)
	if err != nil {
		return err
	}
	return m.put(parent, base, e)
}

// put gives base in parent what e says.
func (m *Merger) put(parent *Node, base string, e *Entry) error {
	old := parent.Children[base]
	if e.Kind == HardLink {
		target, err := m.target(e.Link)
		if err != nil {
			return err
		}
		if old != nil && old.Entry == target {
			old.touched = m.layer
			return nil
		}
		target.Shared = true
		e = target
	}
	if old != nil && old.Type == squash.Directory && e.Type == squash.Directory {
		old.Entry, old.touched = e, m.layer
		return nil
	}
	parent.put(&Node{Name: base, Entry: e, touched: m.layer, pruned: -1})
	return nil
}

func (n *Node) put(child *Node) {
	if n.Children == nil {
		n.Children = make(map[string]*Node)
	}
	n.Children[child.Name] = child
}

// target returns the file that a hard link to path shares.
func (m *Merger) target(path string) (*Entry, error) {
	dir, base := split(path)
	parent, err := m.dir(dir, false)
	if err != nil {
		return nil, err
	}
	var n *Node
	if parent != nil {
		n = parent.Children[base]
	}
	if n == nil {
		return nil, fmt.Errorf("%w to %q, which does not exist", ErrLink, shorten(path))
	}
	if n.Type == squash.Directory {
		return nil, fmt.Errorf("%w to %q, a directory", ErrLink, shorten(path))
	}
	return n.Entry, nil
}

// hide removes what older layers have as name in parent.
func (m *Merger) hide(parent *Node, name string) {
	n := parent.Children[name]
	switch {
	case n == nil:
	case n.touched != m.layer:
		delete(parent.Children, name)
	case n.Type == squash.Directory:
		m.prune(n)
	}
}

// prune removes what older layers have below n. What this layer has stays, and whatever
// it adds afterwards is its own, so that each directory needs to be looked at once.
func (m *Merger) prune(n *Node) {
	if n.pruned == m.layer {
		return
	}
	n.pruned = m.layer
	for name, child := range n.Children {
		if child.touched != m.layer {
			delete(n.Children, name)
		} else if child.Type == squash.Directory {
			m.prune(child)
		}
	}
}

// dir returns the directory at path, symbolic links followed inside the tree. With
// create, directories that are missing are made, and all that it is in count as touched
// by this layer; without it, the answer for a missing one is nil.
func (m *Merger) dir(path string, create bool) (*Node, error) {
	stack := []*Node{m.root} // real directories, then ones that might be made
	links, steps := 0, 0
	for rest := path; rest != ""; {
		var name string
		name, rest, _ = strings.Cut(rest, "/")
		if steps++; steps > 2*maxPath || len(stack) > maxDepth {
			return nil, fmt.Errorf("%w: too deep", ErrPath)
		}
		switch name {
		case "", ".":
			continue
		case "..":
			stack = stack[:max(1, len(stack)-1)]
			continue
		}
		child := stack[len(stack)-1].Children[name]
		switch {
		case child == nil && len(name) > maxName:
			return nil, fmt.Errorf("%w: a name of %d bytes", ErrPath, len(name))
		case child == nil:
			child = &Node{Name: strings.Clone(name), Entry: impliedDir(name), pruned: -1}
			fallthrough
		case child.Type == squash.Directory:
			stack = append(stack, child)
			continue
		case child.Type != squash.Symlink && create:
			return nil, fmt.Errorf("%w: %q", ErrParent, name)
		case child.Type != squash.Symlink:
			return nil, nil
		}
		if links++; links > maxSymlinks {
			return nil, fmt.Errorf("%w: too many symbolic links", ErrPath)
		}
		if strings.HasPrefix(child.Link, "/") {
			stack = stack[:1]
		}
		rest = child.Link + "/" + rest
	}
	return m.settle(stack, create), nil
}

// settle makes what is missing of a chain of directories, and returns the last; see dir.
func (m *Merger) settle(stack []*Node, create bool) *Node {
	for i, n := range stack[1:] {
		parent := stack[i]
		if parent.Children[n.Name] == nil {
			if !create {
				return nil
			}
			parent.put(n)
		}
		if create {
			n.touched = m.layer
		}
	}
	return stack[len(stack)-1]
}
