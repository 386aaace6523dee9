package build

import (
	"coracle/image/layer"
	"coracle/squash"
)

// A finished tree is what the layers have been merged to, with the contents of the files.
type finished struct {
	*layer.Tree
	data  [][]squash.Data // by layer and place
	mtime int64           // of directories that no layer describes
}

// Attrs belongs to [squash.Tree].
func (f *finished) Attrs(inode uint32, a *squash.Attrs) {
	f.Tree.Attrs(inode, a)
	n, seq, size := f.Source(inode)
	if n < 0 {
		a.MTime = f.mtime
	} else if size > 0 {
		a.Data = f.data[n][seq]
	}
}
