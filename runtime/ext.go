package runtime

import "fmt"

// An ExtError says why ext file systems cannot be mounted here.
type ExtError struct {
	Fuse error // why /dev/fuse cannot be had; nil: it is fuse2fs that is missing
}

func (e *ExtError) Error() string {
	if e.Fuse != nil {
		return fmt.Sprintf("ext3 and ext4 file systems need /dev/fuse: %v", e.Fuse)
	}
	return "ext3 and ext4 file systems are mounted by the program fuse2fs, which is not here"
}

// Unwrap returns Fuse.
func (e *ExtError) Unwrap() error { return e.Fuse }

// A ForeignError is an overlay image whose files belong to somebody who is nobody in the container, so that it cannot
// be written to.
type ForeignError struct {
	Path   string
	Owner  int
	Inside int // who the caller is inside
}

func (e *ForeignError) Error() string {
	return fmt.Sprintf("overlay %s: it belongs to uid %d, and you are uid %d in the container", e.Path, e.Owner, e.Inside)
}

// An UncleanError is an overlay image that somebody who was killed was writing to.
type UncleanError struct {
	Path   string
	Offset int64 // of the file system in the file, in bytes
}

func (e *UncleanError) Error() string {
	return fmt.Sprintf("overlay %s: whoever wrote to it last was killed, and its file system has to be checked", e.Path)
}

// Place is the file system as e2fsck wants it named.
func (e *UncleanError) Place() string {
	if e.Offset == 0 {
		return e.Path
	}
	return fmt.Sprintf("'%s?offset=%d'", e.Path, e.Offset)
}

// writeExt makes an ext file system in a file the writable layer.
func (p *Plan) writeExt(o *OverlayFacts) error {
	if err := p.oneWriter(o); err != nil {
		return err
	}
	if inside := p.UIDs[0].Inside; o.Owner >= 0 && !mapped(p.UIDs, o.Owner) {
		return &ForeignError{o.Path, o.Owner, inside}
	}
	p.Images = append(p.Images, o.Root)
	p.Upper = Upper{Kind: UpperImage, Path: o.Root.Path, Image: len(p.Images), Why: o.Why}
	return nil
}

// ownUpper tells whether what is written goes to an overlay partition of the image's own file: that is what --writable
// means for a SIF file with such a partition.
func (p *Plan) ownUpper() bool {
	return p.Upper.Kind == UpperImage && p.Images[p.Upper.Image-1].Device == p.Root.Device && p.Images[p.Upper.Image-1].Inode == p.Root.Inode
}

// mapped tells whether an id inside is one that ranges map.
func mapped(ranges []IDRange, id int) bool {
	for _, r := range ranges {
		if id >= r.Inside && id-r.Inside < r.Count {
			return true
		}
	}
	return false
}

// canMountExt returns an *[ExtError], or nil.
func canMountExt(facts *Facts) error {
	if facts.Fuse != nil || facts.ExtMount == "" {
		return &ExtError{facts.Fuse}
	}
	return nil
}

// countKinds counts what a launch is made of.
func countKinds(root *Root, facts *Facts, data []Root) map[RootKind]int {
	count := map[RootKind]int{root.Kind: 1}
	for _, d := range data {
		count[d.Kind]++
	}
	for _, o := range facts.Overlays {
		count[o.Root.Kind]++
	}
	return count
}
