package squash

import (
	"fmt"
	"strings"
)

// Walk returns the inode at a slash-separated path, taken from the root
// whether it begins with a slash or not. Symbolic links are not followed; empty
// names and "." are skipped, ".." is not understood. The error wraps
// [fs.ErrNotExist], [ErrNotDir], [ErrCorrupt] or what the source returned.
func (r *Reader) Walk(path string) (Inode, error) {
	ino, err := r.Inode(r.super.Root)
	if err != nil {
		return Inode{}, err
	}
	for rest := path; rest != ""; {
		var name string
		name, rest, _ = strings.Cut(rest, "/")
		if name == "" || name == "." {
			continue
		}
		d, err := r.Lookup(&ino, name)
		if err == nil {
			ino, err = r.Inode(d.Ref)
		}
		if err != nil {
			return Inode{}, fmt.Errorf("%q: %w", path, err)
		}
	}
	return ino, nil
}
