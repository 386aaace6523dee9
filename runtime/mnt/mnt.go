// Package mnt is the one place that calls mount(2) and its successors.
//
// Every function takes descriptors or absolute paths that the caller has resolved, does one step, and
// falls back on the older system call where the kernel, or a seccomp filter, does not have the newer one.
package mnt

import (
	"errors"
	"fmt"
	"slices"
	"strings"

	"golang.org/x/sys/unix"
)

// Attr are restrictions on a mount.
type Attr struct {
	ReadOnly, NoSuid, NoDev, NoExec bool
}

// MountFlags returns the restrictions as mount(2) wants them: MS_*.
func (a Attr) MountFlags() (f uintptr) {
	for _, b := range []struct {
		on   bool
		flag uintptr
	}{{a.ReadOnly, unix.MS_RDONLY}, {a.NoSuid, unix.MS_NOSUID}, {a.NoDev, unix.MS_NODEV}, {a.NoExec, unix.MS_NOEXEC}} {
		if b.on {
			f |= b.flag
		}
	}
	return f
}

// Flags returns them as mount_setattr(2) does: MOUNT_ATTR_*.
func (a Attr) Flags() (f uint64) {
	for _, b := range []struct {
		on   bool
		flag uint64
	}{{a.ReadOnly, unix.MOUNT_ATTR_RDONLY}, {a.NoSuid, unix.MOUNT_ATTR_NOSUID}, {a.NoDev, unix.MOUNT_ATTR_NODEV}, {a.NoExec, unix.MOUNT_ATTR_NOEXEC}} {
		if b.on {
			f |= b.flag
		}
	}
	return f
}

// missing tells whether err means that the kernel, or a filter in front of it, lacks the call.
func missing(err error) bool {
	return errors.Is(err, unix.ENOSYS) || errors.Is(err, unix.EPERM)
}

// fdPath names a descriptor for calls that take paths.
func fdPath(fd int) string { return fmt.Sprintf("/proc/self/fd/%d", fd) }

// New mounts a new file system of the given type on the directory behind the O_PATH descriptor target.
func New(fstype string, target int, a Attr, data string) error {
	if err := unix.Mount(fstype, fdPath(target), fstype, a.MountFlags(), data); err != nil {
		return fmt.Errorf("mount %s: %w", fstype, err)
	}
	return nil
}

// NewAt is New for a path.
func NewAt(source, fstype, target string, a Attr, data string) error {
	if err := unix.Mount(source, target, fstype, a.MountFlags(), data); err != nil {
		return fmt.Errorf("mount %s on %s: %w", fstype, target, err)
	}
	return nil
}

// A Source is something on the host that is to be bound: a detached copy of a mount tree, so that nothing
// mounted later becomes part of it, or, on kernels before 5.2, the place itself.
type Source struct {
	fd       int
	detached bool
	rec      bool
}

// Open opens path as a source, with its submounts when rec is set. Symlinks are followed and an automount
// on the way is triggered.
func Open(path string, rec bool) (Source, error) { return openAt(unix.AT_FDCWD, path, rec) }

// OpenFD is Open for an O_PATH descriptor.
func OpenFD(fd int, rec bool) (Source, error) { return openAt(fd, "", rec) }

func openAt(dir int, path string, rec bool) (Source, error) {
	flags := uint(unix.OPEN_TREE_CLONE | unix.OPEN_TREE_CLOEXEC | unix.AT_EMPTY_PATH)
	if rec {
		flags |= unix.AT_RECURSIVE
	}
	fd, err := unix.OpenTree(dir, path, flags)
	if err == nil {
		return Source{fd: fd, detached: true, rec: rec}, nil
	}
	if !missing(err) {
		return Source{fd: -1}, err
	}
	if path == "" {
		fd, err = unix.FcntlInt(uintptr(dir), unix.F_DUPFD_CLOEXEC, 0)
		return Source{fd: fd, rec: rec}, err
	}
	// O_PATH does not trigger an automount on the last component; a component behind it does.
	fd, err = unix.Openat(dir, strings.TrimSuffix(path, "/")+"/.", unix.O_PATH|unix.O_CLOEXEC|unix.O_DIRECTORY, 0)
	if err != nil {
		fd, err = unix.Openat(dir, path, unix.O_PATH|unix.O_CLOEXEC, 0)
	}
	return Source{fd: fd, rec: rec}, err
}

// NoSource is a source that was never opened.
var NoSource = Source{fd: -1}

// Close lets go of the source, bound or not. A source that was never opened is none.
func (s Source) Close() {
	if s.fd >= 0 {
		unix.Close(s.fd)
	}
}

// Bind makes the source appear at the O_PATH descriptor target and restricts it. It can be called once.
func (s Source) Bind(target int, a Attr) error {
	if !s.detached {
		return bindOld(s.fd, target, s.rec, a)
	}
	restricted := restrict(s.fd, s.rec, a)
	if restricted != nil && !missing(restricted) {
		return restricted
	}
	if err := Attach(s.fd, target); err != nil {
		return err
	}
	if restricted != nil {
		return restrictOld(target, s.rec, a)
	}
	return nil
}

// Bind binds what the O_PATH descriptor source stands for.
func Bind(source, target int, rec bool, a Attr) error {
	s, err := OpenFD(source, rec)
	if err != nil {
		return err
	}
	defer s.Close()
	return s.Bind(target, a)
}

// Attach puts a detached mount on the O_PATH descriptor target.
func Attach(tree, target int) error {
	return unix.MoveMount(tree, "", target, "", unix.MOVE_MOUNT_F_EMPTY_PATH|unix.MOVE_MOUNT_T_EMPTY_PATH)
}

// Clone returns a descriptor of a detached copy of the mount at path.
func Clone(path string) (int, error) {
	return unix.OpenTree(unix.AT_FDCWD, path, unix.OPEN_TREE_CLONE|unix.OPEN_TREE_CLOEXEC)
}

func restrict(fd int, rec bool, a Attr) error {
	if a == (Attr{}) {
		return nil
	}
	flags := uint(unix.AT_EMPTY_PATH)
	if rec {
		flags |= unix.AT_RECURSIVE
	}
	return unix.MountSetattr(fd, "", flags, &unix.MountAttr{Attr_set: a.Flags()})
}

func bindOld(source, target int, rec bool, a Attr) error {
	flags := uintptr(unix.MS_BIND)
	if rec {
		flags |= unix.MS_REC
	}
	if err := unix.Mount(fdPath(source), fdPath(target), "", flags, ""); err != nil {
		return err
	}
	return restrictOld(target, rec, a)
}

// restrictOld remounts the mount on top of target, and with rec every mount below it, one by one. The
// restrictions that are there stay: a less privileged namespace may not lift them.
func restrictOld(target int, rec bool, a Attr) error {
	if a == (Attr{}) {
		return nil
	}
	path, err := readlink(fdPath(target))
	if err != nil {
		return err
	}
	paths := []string{path}
	if rec {
		paths = append(paths, mountsBelow(path)...)
	}
	for _, p := range paths {
		var st unix.Statfs_t
		if err := unix.Statfs(p, &st); err != nil {
			continue // nothing to see there: the payload will not either
		}
		kept := uintptr(st.Flags) & (unix.MS_RDONLY | unix.MS_NOSUID | unix.MS_NODEV | unix.MS_NOEXEC | unix.MS_NOATIME | unix.MS_NODIRATIME)
		if err := unix.Mount("", p, "", unix.MS_REMOUNT|unix.MS_BIND|kept|a.MountFlags(), ""); err != nil {
			return fmt.Errorf("remount %s: %w", p, err)
		}
	}
	return nil
}

func readlink(path string) (string, error) {
	b := make([]byte, unix.PathMax)
	n, err := unix.Readlink(path, b)
	return string(b[:max(n, 0)]), err
}

// mountsBelow lists the mount points under path, from /proc/self/mountinfo.
func mountsBelow(path string) (below []string) {
	for line := range strings.Lines(readAll("/proc/self/mountinfo")) {
		f := strings.Fields(line)
		if len(f) > 4 && strings.HasPrefix(f[4], strings.TrimSuffix(path, "/")+"/") {
			below = append(below, unescape(f[4]))
		}
	}
	return below
}

// unescape undoes mountinfo's octal escapes of blanks and backslashes.
func unescape(s string) string {
	return strings.NewReplacer(`\040`, " ", `\011`, "\t", `\012`, "\n", `\134`, `\`).Replace(s)
}

func readAll(path string) string {
	fd, err := unix.Open(path, unix.O_RDONLY|unix.O_CLOEXEC, 0)
	if err != nil {
		return ""
	}
	defer unix.Close(fd)
	var b strings.Builder
	buf := make([]byte, 64<<10)
	for {
		n, err := unix.Read(fd, buf)
		if n <= 0 || err != nil {
			return b.String()
		}
		b.Write(buf[:n])
	}
}

// Enter makes the mount at path the root of this process and detaches everything
// else. Where the host's root is the initial ramfs, which cannot be pivoted away from, the mount
// is moved over it instead.
func Enter(path string) error {
	if err := unix.Chdir(path); err != nil {
		return fmt.Errorf("change to the new root: %w", err)
	}
	if err := unix.PivotRoot(".", "."); err != nil {
		if !errors.Is(err, unix.EINVAL) {
			return fmt.Errorf("pivot to the new root: %w", err)
		}
		if err := unix.Mount(".", "/", "", unix.MS_MOVE, ""); err != nil {
			return fmt.Errorf("move the new root over /: %w", err)
		}
		if err := unix.Chroot("."); err != nil {
			return fmt.Errorf("change root: %w", err)
		}
		return unix.Chdir("/")
	}
	if err := unix.Unmount(".", unix.MNT_DETACH); err != nil {
		return fmt.Errorf("detach the host's root: %w", err)
	}
	return unix.Chdir("/")
}

// Detach removes the mount at path from the tree; whoever uses it keeps it.
func Detach(path string) error { return unix.Unmount(path, unix.MNT_DETACH) }

// Base mounts an empty tmpfs on a directory that every host has and returns that directory: the first
// that is neither one of the paths in use nor below one, if there is such.
func Base(data string, used []string) (string, error) {
	var first error
	for _, dir := range append(unused(bases(), used), bases()...) {
		err := NewAt("tmpfs", "tmpfs", dir, Attr{NoSuid: true, NoDev: true}, data)
		if err == nil {
			return dir, nil
		}
		if first == nil {
			first = err
		}
	}
	return "", first
}

// FirstBase returns the directory that Base tries first.
func FirstBase(used []string) string { return append(unused(bases(), used), bases()...)[0] }

func bases() []string {
	return []string{"/mnt", "/media", "/srv", "/opt", "/tmp", "/run", "/var", "/dev"}
}

func unused(dirs, used []string) (free []string) {
	for _, dir := range dirs {
		taken := slices.ContainsFunc(used, func(u string) bool {
			return u == dir || strings.HasPrefix(dir, strings.TrimSuffix(u, "/")+"/")
		})
		if !taken {
			free = append(free, dir)
		}
	}
	return free
}
