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
