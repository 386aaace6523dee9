package image

import (
	"errors"
	"io/fs"
	"path"
	"slices"

	"coracle/bind"
	"coracle/image/ext"
	"coracle/squash"

	"golang.org/x/sys/unix"
)

// A Layer is one of several trees that lie over each other, as overlayfs stacks them. A character device with the
// number 0:0 hides what has its name below; a directory whose attribute overlay.opaque is "y" hides the contents
// of those below.
//
// Source: Linux Documentation/filesystems/overlayfs, "whiteouts and opaque directories".
type Layer struct {
	Tree   bind.Tree
	Dir    string         // of a layer that is a directory of the host: its path
	Squash *squash.Reader // of a layer that is a squashfs file system
	Ext    *ext.Reader    // of a layer that is in an ext file system
	Upper  bool           // Ext: it is the directory "upper" there. None of the three: the lowest layer, which hides nothing
}

// LayeredTree shows what a container sees of the layers, topmost first.
func LayeredTree(layers []Layer) bind.Tree { return layeredTree(layers) }

type layeredTree []Layer

// Attributes that mark an opaque directory: an ordinary user's overlays have the first.
var opaqueAttrs = [...]string{"user.overlay.opaque", "trusted.overlay.opaque"}

// hides tells whether the layer hides what is at the path below it: whole, as a whiteout, or, being an
// opaque directory, in its contents.
func (l *Layer) hides(path string) (whiteout, opaque bool) {
	switch {
	case l.Squash != nil:
		return l.squashHides(path)
	case l.Ext != nil:
		return l.extHides(path)
	case l.Dir == "":
		return false, false
	}
	t := hostTree{root: l.Dir}
	fd, err := t.open(path, unix.O_PATH)
	if err != nil {
		return false, false
	}
	defer unix.Close(fd)
	var st unix.Stat_t
	if unix.Fstat(fd, &st) != nil {
		return false, false
	}
	switch st.Mode & unix.S_IFMT {
	case unix.S_IFCHR:
		return st.Rdev == 0, false
	case unix.S_IFDIR:
		value := make([]byte, 8)
		for _, name := range opaqueAttrs {
			if n, err := unix.Getxattr(procPath(fd), name, value); err == nil && string(value[:n]) == "y" {
				return false, true
			}
		}
	}
	return false, false
}

func (l *Layer) extHides(path string) (whiteout, opaque bool) {
	if l.Upper {
		path = "/upper" + path
	}
	ino, err := l.Ext.Walk(path)
	return err == nil && ino.Null, err == nil && ino.Type == ext.Directory && l.Ext.Opaque(&ino)
}

func (l *Layer) squashHides(path string) (whiteout, opaque bool) {
	ino, err := l.Squash.Walk(path)
	if err != nil {
		return false, false
	}
	switch ino.Type {
	case squash.CharDevice:
		return ino.Rdev == 0, false
	case squash.Directory:
		l.Squash.Xattrs(&ino, func(name string, value []byte) bool {
			opaque = slices.Contains(opaqueAttrs[:], name) && string(value) == "y"
			return !opaque
		})
	}
	return false, opaque
}

// find returns the layers in which the path can be seen, topmost first: several where all of them have
// a directory there.
func (t layeredTree) find(name string) ([]*Layer, error) {
	var parents []*Layer
	if name == "/" {
		for i := range t {
			parents = append(parents, &t[i])
		}
		return t.seen(parents, name)
	}
	parents, err := t.find(path.Dir(name))
	if err != nil {
		return nil, err
	}
	return t.seen(parents, name)
}

// seen picks those of the layers, which all show the directory that name is in, that show name.
func (t layeredTree) seen(layers []*Layer, name string) (found []*Layer, err error) {
	for _, l := range layers {
		e, err := l.Tree.Lstat(name)
		if errors.Is(err, fs.ErrNotExist) {
			continue
		}
		if err != nil {
			return nil, err
		}
		whiteout, opaque := l.hides(name)
		if whiteout || e.Kind != bind.Directory && len(found) > 0 {
			break
		}
		found = append(found, l)
		if opaque || e.Kind != bind.Directory {
			break
		}
	}
	if len(found) == 0 {
		return nil, &fs.PathError{Op: "lstat", Path: name, Err: fs.ErrNotExist}
	}
	return found, nil
}

func (t layeredTree) Lstat(name string) (bind.Entry, error) {
	found, err := t.find(name)
	if err != nil {
		return bind.Entry{}, err
	}
	return found[0].Tree.Lstat(name)
}

func (t layeredTree) ReadFile(name string, limit int64) ([]byte, error) {
	found, err := t.find(name)
	if err != nil {
		return nil, err
	}
	return found[0].Tree.ReadFile(name, limit)
}

func (t layeredTree) ReadDir(name string) ([]string, error) {
	layers, err := t.find(name)
	if err != nil {
		return nil, err
	}
	var names []string
	hidden := map[string]bool{}
	for _, l := range layers {
		list, err := l.Tree.ReadDir(name)
		if err != nil {
			return nil, err
		}
		for _, n := range list {
			if hidden[n] {
				continue
			}
			hidden[n] = true
			if whiteout, _ := l.hides(path.Join(name, n)); !whiteout {
				names = append(names, n)
			}
		}
	}
	slices.Sort(names)
	return names, nil
}
