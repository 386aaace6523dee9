package image

import (
	"errors"
	"fmt"
	"slices"

	"coracle/bind"
	"coracle/image/ext"
	"coracle/image/sif"
)

// A NoOverlayError says that a SIF file has no partition that can lie over another image.
type NoOverlayError struct{}

func (*NoOverlayError) Error() string { return "it has no overlay or data partition" }

// OpenOverlay opens what is to lie over another image: a directory, a file with a squashfs file system, or
// a SIF file. Of that the overlay partitions count, the first one being the lowest, or, where there
// are none, the data partitions. The images are open even when there is an error.
func OpenOverlay(path string) ([]*Image, error) {
	img, err := wrap(path, overlay)
	if err != nil {
		return nil, err
	}
	all := []*Image{img}
	if img.SIF == nil {
		return all, nil
	}
	for _, id := range overlayPartitions(img.SIF)[1:] {
		more, err := wrap(path, choice{id: id})
		if err != nil {
			return all, err
		}
		all = append(all, more)
	}
	return all, nil
}

// overlay is the choice of the first partition that OpenOverlay wants.
var overlay = choice{overlay: true}

// OwnOverlays opens the overlay partitions of the image's own file, which lie over its primary one, the first one being the
// lowest. A file that has no name, or is no SIF file, has none.
func (m *Image) OwnOverlays() (all []*Image, err error) {
	if m.SIF == nil || m.Descriptor > 0 {
		return nil, nil
	}
	for _, id := range partitions(m.SIF, sif.PartOverlay) {
		part, err := wrap(m.Real, choice{id: id})
		if err != nil {
			return all, err
		}
		all = append(all, part)
	}
	return all, nil
}

// ErrSigned: what is signed stays as it is.
var ErrSigned = errors.New("it is signed, and would not be what was signed any more")

// TakesWrites tells whether what is in the file can be a writable layer: an ext file system that is all of the file, or an overlay
// partition of a SIF file. The error says what is wrong with one that looks so.
func (m *Image) TakesWrites() (bool, error) {
	if m.Ext == nil {
		return false, nil
	}
	if m.SIF != nil {
		i := slices.IndexFunc(m.SIF.Descriptors, func(d sif.Descriptor) bool {
			p, ok := d.Partition()
			return ok && p.Part == sif.PartOverlay && d.Offset == m.Offset
		})
		if i < 0 {
			return false, nil
		}
		if m.SIF.Signed(m.SIF.Descriptors[i]) {
			return false, ErrSigned
		}
	}
	if m.Ext.Length() > uint64(m.Size) {
		return false, fmt.Errorf("%w: it is longer than its place in the file", ext.ErrCorrupt)
	}
	return true, nil
}

// overlayPartitions lists the partitions that lie over another image.
func overlayPartitions(f *sif.File) []uint32 {
	if ids := partitions(f, sif.PartOverlay); len(ids) > 0 {
		return ids
	}
	return partitions(f, sif.PartData)
}

// partitions lists the partitions of a type.
func partitions(f *sif.File, want sif.PartType) (ids []uint32) {
	for i := range f.Descriptors {
		if p, ok := f.Descriptors[i].Partition(); ok && p.Part == want {
			ids = append(ids, f.Descriptors[i].ID)
		}
	}
	return ids
}

// firstOverlay is the first of them.
func firstOverlay(f *sif.File) (*sif.Descriptor, sif.Partition, error) {
	ids := overlayPartitions(f)
	if len(ids) == 0 {
		return nil, sif.Partition{}, &NoOverlayError{}
	}
	d, p, err := f.Partition(ids[0])
	if err != nil {
		return nil, p, fmt.Errorf("overlay partition: %w", err)
	}
	return d, p, nil
}

// Layer shows the image as what lies over another one, and tells whether that is its directory "upper": an ext file system
// is laid out like an overlay directory, if it is not just a tree.
func (m *Image) Layer() (l Layer, upper bool) {
	l = Layer{Tree: m.Tree, Squash: m.Squash, Ext: m.Ext}
	if m.Ext == nil {
		return l, false
	}
	if e, err := m.Tree.Lstat("/upper"); err == nil && e.Kind == bind.Directory {
		l.Tree, l.Upper = below{m.Tree, "/upper"}, true
	}
	return l, l.Upper
}

// ExtOwner is the user who owns the directory "upper" of an ext file system, or its root where there is none; -1 when
// that cannot be read.
func (m *Image) ExtOwner() int {
	for _, path := range []string{"/upper", "/"} {
		if ino, err := m.Ext.Walk(path); err == nil {
			return int(ino.UID)
		}
	}
	return -1
}
