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

// A WriteExtError is an overlay image with an ext file system that is to be written to: the kernel's overlayfs wants a
// file system that tells the types of names and can leave a whiteout behind (RENAME_WHITEOUT), and fuse2fs can neither.
type WriteExtError struct{ Path string }

func (e *WriteExtError) Error() string {
	return fmt.Sprintf("--overlay %s: the kernel cannot keep a writable layer in an ext3 or ext4 image", e.Path)
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
