// Package bind turns bind and mount specifications into an ordered list of
// mount operations.
//
// The package is pure: it reads the image and the host through [Tree] and
// returns plain data. Nothing here makes a system call or changes anything.
package bind

// A Kind is the type of a directory entry, as far as mounting cares.
type Kind uint8

// The kinds. The zero value is no kind at all.
const (
	Directory Kind = iota + 1
	File           // a regular file
	Symlink
	Other // devices, fifos and sockets
)

// An Entry describes one path of a [Tree].
type Entry struct {
	Kind   Kind
	Perm   uint32 // permission bits with setuid, setgid and sticky, as in st_mode & 07777
	Target string // of a symlink, else ""
}

// A Tree is a read-only view of a directory tree: an image, or the host.
//
// Paths are absolute, slash-separated and clean; "/" is the root of the tree.
// No component of a path is a symlink but perhaps the last, which is not followed:
// whoever asks resolves links, because only the asker knows what is mounted where.
// A missing path answers an error that wraps io/fs.ErrNotExist.
type Tree interface {
	// Lstat describes the entry at path.
	Lstat(path string) (Entry, error)
	// ReadDir lists the names in the directory at path, sorted.
	ReadDir(path string) ([]string, error)
	// ReadFile returns the contents of the regular file at path, and an
	// error when it is longer than max bytes.
	ReadFile(path string, max int64) ([]byte, error)
}
