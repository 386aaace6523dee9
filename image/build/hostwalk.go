package build

import (
	"context"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"

	"coracle/image/record"
	"coracle/squash"

	"golang.org/x/sys/unix"
)

// A hostWalk reads a directory of the host. Without a writer (repacker.w) it leaves the contents of files alone.
type hostWalk struct {
	p    *repacker
	top  string
	own  bool // files keep their owners
	rec  hostRecord
	seen map[[2]uint64]*squash.Node
}

func newHostWalk(p *repacker, top string, rec hostRecord) *hostWalk {
	return &hostWalk{p: p, top: top, own: os.Geteuid() == 0, rec: rec, seen: make(map[[2]uint64]*squash.Node)}
}

// node returns what is at rel, a path below the top. It is nil for a mount point that a launch has made.
func (h *hostWalk) node(rel, name string, depth int) (*squash.Node, error) {
	if depth > maxDepth {
		return nil, errDepth
	}
	path := filepath.Join(h.top, rel)
	var st unix.Stat_t
	if err := unix.Lstat(path, &st); err != nil {
		return nil, &os.PathError{Op: "lstat", Path: path, Err: err}
	}
	key := [2]uint64{st.Dev, st.Ino}
	if first := h.seen[key]; first != nil && st.Mode&unix.S_IFMT != unix.S_IFDIR {
		return &squash.Node{Name: name, Link: first}, nil
	}
	attrs := hostXattrs(path)
	note, own, err := h.rec.note(rel, &st, attrs)
	if err != nil {
		return nil, fmt.Errorf("%s: %w", path, err)
	}
	n := &squash.Node{Name: name, Type: hostType(st.Mode), Perm: uint16(st.Mode & 0o7777), MTime: st.Mtim.Sec, Xattrs: own}
	if h.own {
		n.UID, n.GID = st.Uid, st.Gid
	}
	apply(n, &note)
	if err := h.fill(n, rel, path, &st, depth); err != nil {
		return nil, err
	}
	point := slices.ContainsFunc(attrs, func(x squash.Xattr) bool { return x.Name == record.PointAttr })
	if point && (n.Type == squash.Regular && st.Size == 0 || n.Type == squash.Directory && len(n.Children) == 0) {
		return nil, nil
	}
	h.p.inodes++
	if st.Nlink > 1 && n.Type != squash.Directory {
		h.seen[key] = n
	}
	return n, nil
}

// fill sets what depends on the type.
func (h *hostWalk) fill(n *squash.Node, rel, path string, st *unix.Stat_t, depth int) (err error) {
	switch n.Type {
	case squash.Directory:
		return h.children(n, rel, path, depth)
	case squash.Regular:
		n.Data, err = h.contents(path)
	case squash.Symlink:
		n.Target, err = os.Readlink(path)
	case squash.CharDevice, squash.BlockDevice:
		if st.Mode&unix.S_IFMT == unix.S_IFREG {
			return nil // it is recorded
		}
		var ok bool
		if n.Rdev, ok = squash.Rdev(unix.Major(st.Rdev), unix.Minor(st.Rdev)); !ok {
			err = fmt.Errorf("%s: device %d:%d cannot be stored", path, unix.Major(st.Rdev), unix.Minor(st.Rdev))
		}
	}
	return err
}

func (h *hostWalk) children(n *squash.Node, rel, path string, depth int) error {
	entries, err := os.ReadDir(path) // sorted: the bytes follow from the tree
	if err != nil {
		return err
	}
	for _, e := range entries {
		if rel == "" && e.Name() == record.SpecName {
			continue
		}
		child, err := h.node(filepath.Join(rel, e.Name()), e.Name(), depth+1)
		if err != nil {
			return err
		}
		if child != nil {
			n.Children = append(n.Children, child)
		}
	}
	return nil
}

func (h *hostWalk) contents(path string) (squash.Data, error) {
	if h.p.w == nil {
		return squash.Data{}, context.Cause(h.p.ctx)
	}
	f, err := os.OpenFile(path, os.O_RDONLY|unix.O_NOFOLLOW|unix.O_NONBLOCK, 0)
	if err != nil {
		return squash.Data{}, err
	}
	defer f.Close()
	fi, err := f.Stat()
	if err == nil && !fi.Mode().IsRegular() {
		err = fmt.Errorf("%s changed while it was read", path)
	}
	if err != nil {
		return squash.Data{}, err
	}
	d, err := h.p.store(f, fi.Size())
	if err != nil {
		return squash.Data{}, fmt.Errorf("%s: %w", path, err)
	}
	return d, nil
}

// hostXattrs returns the extended attributes of a file that an image can hold, as far as
// they can be read.
func hostXattrs(path string) []squash.Xattr {
	buf := make([]byte, 1<<16)
	n, err := unix.Llistxattr(path, buf)
	if err != nil || n <= 0 {
		return nil
	}
	var list []squash.Xattr
	for name := range strings.SplitSeq(strings.TrimRight(string(buf[:n]), "\x00"), "\x00") {
		space, _, _ := strings.Cut(name, ".")
		if !slices.Contains([]string{"user", "trusted", "security"}, space) || name == "security.selinux" {
			continue
		}
		if m, err := unix.Lgetxattr(path, name, buf); err == nil {
			list = append(list, squash.Xattr{Name: name, Value: append([]byte(nil), buf[:m]...)})
		}
	}
	return list
}
