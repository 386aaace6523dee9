package squash

import (
	"errors"
	"fmt"
)

// The errors that callers tell apart with [errors.Is]. Errors of the
// underlying io.ReaderAt are wrapped unchanged.
var (
	ErrNotSquashfs = errors.New("not a squashfs image")                // no superblock at the start
	ErrCorrupt     = errors.New("corrupt squashfs image")              // a size, offset, type or compressed stream that cannot be
	ErrUnsupported = errors.New("unsupported squashfs image")          // another version, byte order or compressor
	ErrNotDir      = errors.New("not a directory")                     // a directory operation on another inode
	ErrNotSymlink  = errors.New("not a symbolic link")                 // Readlink of another inode
	ErrNotRegular  = errors.New("not a regular file")                  // a data operation on another inode
	ErrNoExport    = errors.New("squashfs image without export table") // ByNumber on an image made with -no-exports
)

// corrupt returns an error that wraps [ErrCorrupt].
func corrupt(format string, args ...any) error {
	return fmt.Errorf("%w: %s", ErrCorrupt, fmt.Sprintf(format, args...))
}
