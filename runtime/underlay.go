package runtime

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"sort"

	"coracle/bind"
	"coracle/runtime/mnt"

	"golang.org/x/sys/unix"
)

// An underlay replaces each directory of the image that lacks a mount point by a directory of the session's
// tmpfs in which the image's own entries are bound one by one and the missing ones are made.
//
// The whole patchwork is prepared in base/points and bound read-only onto base/root.
type underlay struct {
	image  int             // O_PATH descriptor of the image's root
	dir    string          // where the patchwork is made
	remade map[string]bool // directories that have to be made anew: parents of missing points, and theirs
	want   map[string][]bind.Point
	perm   map[string]uint32 // permission bits of the image's directories among them
}

// maxUnderlay is how many entries of one directory are bound before it is called too many: each is a mount.
const maxUnderlay = 8192

func (t *tree) underlayPoints(l *bind.Layout, image int) error {
	u := &underlay{image: image, dir: filepath.Join(t.base, "points"), remade: map[string]bool{"/": true}, want: map[string][]bind.Point{}, perm: map[string]uint32{}}
	// An overlay that was tried before may have left its own entries.
	if err := os.RemoveAll(u.dir); err != nil {
		return err
	}
	if err := os.Mkdir(u.dir, 0o755); err != nil {
		return err
	}
	for _, pt := range l.Points {
		parent := filepath.Dir(pt.Path)
		u.want[parent] = append(u.want[parent], pt)
		for ; parent != "/"; parent = filepath.Dir(parent) {
			u.remade[parent] = true
		}
	}
	for _, pt := range l.Parents {
		u.perm[pt.Path] = pt.Perm
	}
	// base/points becomes a mount of its own, so that it can be bound with all that is on it.
	self, err := openPath(u.dir)
	if err != nil {
		return err
	}
	err = mnt.Bind(self, self, false, mnt.Attr{NoDev: true, NoSuid: true})
	unix.Close(self)
	if err != nil {
		return err
	}
	if err := u.remake("/"); err != nil {
		return err
	}
	return t.bindUnderlay(u.dir)
}

func (t *tree) bindUnderlay(dir string) error {
	source, err := openPath(dir)
	if err != nil {
		return err
	}
	defer unix.Close(source)
	target, err := openPath(filepath.Join(t.base, "root"))
	if err != nil {
		return err
	}
	defer unix.Close(target)
	return mnt.Bind(source, target, true, t.imageAttr())
}

// remake fills the directory of the patchwork for path: the image's entries and the missing points.
func (u *underlay) remake(path string) error {
	names, err := u.list(path)
	if err != nil {
		return err
	}
	for _, name := range names {
		child := filepath.Join(path, name)
		if err := u.copyEntry(child); err != nil {
			return fmt.Errorf("%s: %w", child, err)
		}
	}
	for _, pt := range u.want[path] {
		if err := makePoint(u.dir+pt.Path, pt); err != nil {
			return err
		}
	}
	// Directories that neither the image nor a point before has.
	var below []string
	for dir := range u.remade {
		if dir != "/" && filepath.Dir(dir) == path && dir != path {
			below = append(below, dir)
		}
	}
	sort.Strings(below)
	for _, dir := range below {
		if err := os.Mkdir(u.dir+dir, 0o755); err != nil && !errors.Is(err, os.ErrExist) {
			return err
		}
		if err := u.remake(dir); err != nil {
			return err
		}
	}
	if mode, ok := u.perm[path]; ok {
		return unix.Chmod(u.dir+path, mode)
	}
	return nil
}

// list names the entries of a directory of the image; a directory that it lacks has none.
func (u *underlay) list(path string) ([]string, error) {
	fd, err := openIn(u.image, path)
	if errors.Is(err, unix.ENOENT) {
		return nil, nil
	}
	if err != nil {
		return nil, err
	}
	defer unix.Close(fd)
	dir, err := unix.Openat(fd, ".", unix.O_RDONLY|unix.O_DIRECTORY|unix.O_CLOEXEC, 0)
	if err != nil {
		return nil, err
	}
	f := os.NewFile(uintptr(dir), path)
	defer f.Close()
	names, err := f.Readdirnames(maxUnderlay + 1)
	if len(names) > maxUnderlay {
		return nil, fmt.Errorf("%s has more than %d entries, too many to bind one by one", path, maxUnderlay)
	}
	if len(names) == 0 {
		return nil, nil
	}
	return names, err
}

// copyEntry makes the image's entry at path appear in the patchwork.
func (u *underlay) copyEntry(path string) error {
	if u.remade[path] {
		return nil // made by remake
	}
	parent, err := openIn(u.image, filepath.Dir(path))
	if err != nil {
		return err
	}
	defer unix.Close(parent)
	source, err := unix.Openat(parent, filepath.Base(path), unix.O_PATH|unix.O_NOFOLLOW|unix.O_CLOEXEC, 0)
	if err != nil {
		return err
	}
	defer unix.Close(source)
	var st unix.Stat_t
	if err := unix.Fstat(source, &st); err != nil {
		return err
	}
	at := u.dir + path
	switch st.Mode & unix.S_IFMT {
	case unix.S_IFLNK:
		buf := make([]byte, unix.PathMax)
		n, err := unix.Readlinkat(source, "", buf)
		if err != nil {
			return err
		}
		return os.Symlink(string(buf[:n]), at)
	case unix.S_IFDIR:
		err = os.Mkdir(at, 0o755)
	default:
		err = writeAt(unix.AT_FDCWD, at, nil, 0o644)
	}
	if err != nil {
		return err
	}
	target, err := unix.Open(at, unix.O_PATH|unix.O_CLOEXEC|unix.O_NOFOLLOW, 0)
	if err != nil {
		return err
	}
	defer unix.Close(target)
	return mnt.Bind(source, target, true, mnt.Attr{})
}
