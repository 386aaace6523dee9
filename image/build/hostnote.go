package build

import (
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strconv"

	"coracle/image/record"
	"coracle/squash"

	"golang.org/x/sys/unix"
)

// maxSpec is the longest list of records that is read, in bytes.
const maxSpec = 1 << 30

// A hostRecord is what a sandbox says of itself in one place.
type hostRecord struct {
	lines   map[string]*record.Line
	created int64 // when the image was made that it was unpacked from, in seconds since 1970; 0 unknown
}

// readRecord reads the list in the directory top, if there is one.
func readRecord(top string) (r hostRecord, err error) {
	buf := make([]byte, 32)
	created := ""
	if n, err := unix.Getxattr(top, record.CreatedAttr, buf); err == nil {
		created = string(buf[:n])
	}
	f, err := os.OpenFile(filepath.Join(top, record.SpecName), os.O_RDONLY|unix.O_NOFOLLOW|unix.O_NONBLOCK, 0)
	if err == nil {
		defer f.Close()
		spec, err := record.ReadSpec(io.LimitReader(f, maxSpec))
		if err != nil {
			return r, fmt.Errorf("%s: %w", top, err)
		}
		r.lines = make(map[string]*record.Line, len(spec.Lines))
		for i := range spec.Lines {
			r.lines[spec.Lines[i].Path] = &spec.Lines[i]
		}
		if created == "" {
			created = spec.Created
		}
	} else if !errors.Is(err, fs.ErrNotExist) {
		return r, err
	}
	if created != "" {
		if r.created, err = strconv.ParseInt(created, 10, 64); err != nil {
			return r, fmt.Errorf("%s: %w: made at %q", top, record.ErrFormat, created)
		}
	}
	return r, nil
}

// note returns what is recorded of the file at rel, and its own attributes.
func (r *hostRecord) note(rel string, st *unix.Stat_t, attrs []squash.Xattr) (n record.Note, own []squash.Xattr, err error) {
	n, own, err = record.Split(attrs)
	if err != nil {
		return n, nil, err
	}
	if rel == "" {
		rel = "."
	}
	if l := r.lines[rel]; l != nil && counts(l, st) {
		n = l.Note
	}
	for _, x := range own { // what has been set since counts
		n.Xattrs = slices.DeleteFunc(n.Xattrs, func(o squash.Xattr) bool { return o.Name == x.Name })
	}
	if n.Type != 0 && (st.Mode&unix.S_IFMT != unix.S_IFREG || st.Size != 0) {
		n = record.Note{UID: n.UID, GID: n.GID} // no longer what stands for a device
	}
	return n, own, nil
}

// counts tells whether the file is still the one that the line is about.
func counts(l *record.Line, st *unix.Stat_t) bool {
	kind := hostType(st.Mode)
	if kind != l.Disk {
		return false
	}
	return kind != squash.Regular || l.Note.Type != 0 || st.Size == l.Size && st.Mtim.Sec == l.Time
}

func hostType(mode uint32) squash.Type {
	switch mode & unix.S_IFMT {
	case unix.S_IFDIR:
		return squash.Directory
	case unix.S_IFREG:
		return squash.Regular
	case unix.S_IFLNK:
		return squash.Symlink
	case unix.S_IFCHR:
		return squash.CharDevice
	case unix.S_IFBLK:
		return squash.BlockDevice
	case unix.S_IFIFO:
		return squash.Fifo
	}
	return squash.Socket
}

// apply makes n what is recorded of it.
func apply(n *squash.Node, note *record.Note) {
	if note.UID != 0 || note.GID != 0 {
		n.UID, n.GID = note.UID, note.GID
	}
	if note.Type != 0 {
		n.Type, n.Rdev = note.Type, note.Rdev
	}
	if note.HasPerm && (n.Type == squash.Symlink || n.Perm == record.DiskPerm(n.Type, note.Perm)) { // nobody has changed it
		n.Perm = note.Perm
	}
	n.Xattrs = append(n.Xattrs, note.Xattrs...)
}
