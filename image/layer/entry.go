// Package layer reads the layers of container images and merges them.
//
// A layer is a tar archive of changes: files that it adds or replaces, and whiteouts
// that hide files of the layers below. [Reader] turns one into entries, a header at a
// time; [Merge] applies lists of entries on each other and returns the tree that is
// left. Merging looks at headers only, never at contents or at a file system, so it
// needs no privileges and no space.
//
// Layers are hostile input. An entry that leads out of the tree, that cannot be made or
// that claims more than [Limits] allow ends in an [*EntryError].
//
// Source: OCI image specification, layer.md; pax and GNU tar headers as archive/tar
// reads them.
package layer

import (
	"errors"
	"fmt"
	"strings"

	"coracle/squash"
)

// What can be wrong with a layer. The errors of this package wrap one of them, or what
// the source of the bytes returned.
var (
	ErrPath     = errors.New("unsafe path")
	ErrLink     = errors.New("bad hard link")
	ErrParent   = errors.New("a parent is not a directory")
	ErrType     = errors.New("unsupported type of entry")
	ErrValue    = errors.New("impossible value in header")
	ErrTooLarge = errors.New("the image is larger than the limit")
	ErrTooMany  = errors.New("the image has too many entries")
	ErrArchive  = errors.New("corrupt layer archive")
	ErrFormat   = errors.New("unknown layer format")
)

// An EntryError is an error about one entry of a layer.
type EntryError struct {
	Layer int    // counted from 0, the oldest
	Name  string // as the archive has it
	Err   error
}

func (e *EntryError) Error() string {
	return fmt.Sprintf("layer %d, entry %q: %v", e.Layer+1, shorten(e.Name), e.Err)
}

// Unwrap returns Err.
func (e *EntryError) Unwrap() error { return e.Err }

// shorten keeps hostile names from flooding a terminal.
func shorten(s string) string {
	const limit = 200
	if len(s) <= limit {
		return s
	}
	return s[:limit/2] + "…" + s[len(s)-limit/2:]
}

// A Kind tells what an entry does.
type Kind uint8

// The kinds of entries.
const (
	Inode    Kind = iota // adds or replaces a file of any type
	HardLink             // gives one more name to the file at Link
)

// An Entry is one header of a layer. It has nothing of the file's contents.
type Entry struct {
	Name    string // cleaned: no slash at either end, no "." or ".."; "" is the root directory
	Link    string // Symlink: its text. HardLink: the cleaned path of the target
	Xattrs  []Xattr
	Size    int64 // Regular: bytes of contents, holes included
	MTime   int64 // seconds since 1970
	UID     uint32
	GID     uint32
	Rdev    uint32 // devices: as Linux encodes it for user space, see [squash.Inode]
	Layer   int32  // which layer it is of, counted from 0, the oldest
	Seq     int32  // its place in the layer, counted from 0
	Perm    uint16 // permission bits and setuid, setgid, sticky: mode & 07777
	Type    squash.Type
	Kind    Kind
	Implied bool // a directory that no header describes, made for what is in it
}

// IsWhiteout tells whether the entry is a marker, with nothing of its own.
func (e *Entry) IsWhiteout() bool {
	_, base := split(e.Name)
	return strings.HasPrefix(base, whiteoutPrefix)
}

// An Xattr is one extended attribute.
type Xattr struct {
	Name  string // complete: "security.capability"
	Value string
}

// The limits of paths on Linux, in bytes.
//
// Source: Linux include/uapi/linux/limits.h.
const (
	maxName = 255
	maxPath = 4096
)

// Clean returns a path of an archive as [Entry] has it. Leading slashes are dropped, as
// every unpacker does; a path with a component "..", a component longer than 255 bytes
// or more than 4096 bytes is an error that wraps [ErrPath].
func Clean(path string) (string, error) {
	if len(path) > maxPath {
		return "", fmt.Errorf("%w: %d bytes long", ErrPath, len(path))
	}
	if isClean(path) {
		return path, nil
	}
	var parts []string
	for part := range strings.SplitSeq(path, "/") {
		switch {
		case part == "" || part == ".":
			continue
		case part == "..":
			return "", fmt.Errorf("%w: it leads through \"..\"", ErrPath)
		case len(part) > maxName:
			return "", fmt.Errorf("%w: a name of %d bytes", ErrPath, len(part))
		case strings.IndexByte(part, 0) >= 0:
			return "", fmt.Errorf("%w: a zero byte", ErrPath)
		}
		parts = append(parts, part)
	}
	return strings.Join(parts, "/"), nil
}

// isClean reports whether Clean would return path itself, without allocating.
func isClean(path string) bool {
	if path == "" {
		return true
	}
	start := 0
	for i := 0; i <= len(path); i++ {
		if i < len(path) && path[i] != '/' {
			if path[i] == 0 {
				return false
			}
			continue
		}
		part := path[start:i]
		if part == "" || part == "." || part == ".." || len(part) > maxName {
			return false
		}
		start = i + 1
	}
	return true
}

// The names of whiteouts.
//
// Source: OCI image specification, layer.md, "Whiteouts".
const (
	whiteoutPrefix = ".wh."
	opaqueName     = ".wh..wh..opq"
	metaPrefix     = ".wh..wh." // bookkeeping of AUFS, except opaqueName
)

type marker uint8

const (
	noMarker marker = iota
	hideOne         // hides the lower layers' file of the name
	hideAll         // hides what lower layers have in the directory
	ignored         // is not part of the image
)

// whiteout tells whether an entry's last name is a marker, and what it hides.
func whiteout(base string) (marker, string) {
	if !strings.HasPrefix(base, whiteoutPrefix) {
		return noMarker, ""
	}
	switch {
	case base == opaqueName:
		return hideAll, ""
	case strings.HasPrefix(base, metaPrefix):
		return ignored, ""
	}
	name := base[len(whiteoutPrefix):]
	if name == "" || name == "." || name == ".." {
		return ignored, ""
	}
	return hideOne, name
}

// split divides a clean path into its directory ("" for the root) and its last name.
func split(path string) (dir, base string) {
	if i := strings.LastIndexByte(path, '/'); i >= 0 {
		return path[:i], path[i+1:]
	}
	return "", path
}
