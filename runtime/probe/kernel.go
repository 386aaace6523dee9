package probe

import (
	"errors"
	"fmt"
	"io/fs"
	"strconv"
	"strings"

	"golang.org/x/sys/unix"
)

// A UserNSError names the switch that forbids user namespaces.
type UserNSError struct {
	Switch string // as sysctl names it: "user.max_user_namespaces"
	Value  string // what it is set to
	Cure   string // the command that an administrator types
}

func (e *UserNSError) Error() string {
	return e.Switch + " = " + e.Value
}

// UserNS says whether the kernel's switches permit user namespaces. The error is a
// *[UserNSError]. Permitted here does not mean that unshare(2) works: a chroot or
// a seccomp filter may still forbid it ([Try] tells).
func UserNS(root string) error {
	if v := readLine(root + "/proc/sys/user/max_user_namespaces"); v == "0" {
		return &UserNSError{"user.max_user_namespaces", v, "sysctl -w user.max_user_namespaces=15000"}
	}
	if v := readLine(root + "/proc/sys/kernel/unprivileged_userns_clone"); v == "0" {
		return &UserNSError{"kernel.unprivileged_userns_clone", v, "sysctl -w kernel.unprivileged_userns_clone=1"}
	}
	const restrict = "kernel.apparmor_restrict_unprivileged_userns"
	if v := readLine(root + "/proc/sys/kernel/apparmor_restrict_unprivileged_userns"); v == "1" && !confined(root) {
		return &UserNSError{restrict, v, "sysctl -w " + restrict + "=0, or: coracle doctor --apparmor-profile > /etc/apparmor.d/coracle && apparmor_parser -r /etc/apparmor.d/coracle"}
	}
	return nil
}

// confined reports whether an AppArmor profile applies to this process. One that does
// and yet forbids user namespaces would be there on purpose; the usual one permits them.
func confined(root string) bool {
	label := readLine(root + "/proc/self/attr/apparmor/current")
	if label == "" {
		label = readLine(root + "/proc/self/attr/current")
	}
	label = strings.TrimRight(label, "\x00\n")
	return label != "" && label != "unconfined"
}

// A FuseError says why /dev/fuse cannot be opened.
type FuseError struct{ Err error }

func (e *FuseError) Error() string { return fmt.Sprintf("it cannot be opened: %v", e.Err) }

// Unwrap returns Err.
func (e *FuseError) Unwrap() error { return e.Err }

// Fuse says whether /dev/fuse can be opened, which loads the kernel's module where there
// is one. The error is a *[FuseError].
func Fuse(root string) error {
	fd, err := unix.Open(root+"/dev/fuse", unix.O_RDWR|unix.O_CLOEXEC, 0)
	if err != nil {
		if errors.Is(err, fs.ErrNotExist) {
			err = fs.ErrNotExist
		}
		return &FuseError{err}
	}
	defer unix.Close(fd)
	var st unix.Stat_t
	err = unix.Fstat(fd, &st)
	device := st.Mode&unix.S_IFMT == unix.S_IFCHR
	if err == nil && (device && st.Rdev != fuseDevice || !device && root == "") { // the root of a test has no devices
		return &FuseError{unix.ENODEV} // something else is bound there: an image server may open all of its user's files
	}
	return nil
}

// fuseDevice is the number of /dev/fuse, 10:229.
//
// Source: Linux Documentation/admin-guide/devices.txt.
const fuseDevice = 10<<8 | 229

// overlayExpected guesses from the kernel's release whether overlayfs can be mounted in a
// user namespace: since Linux 5.11, in Ubuntu's kernels always, and in RHEL's since 8.5
// (4.18.0-348). It is only an expectation; a mount that fails falls back.
func overlayExpected(release string) bool {
	major, minor := version(release)
	switch {
	case major > 5 || major == 5 && minor >= 11:
		return true
	case strings.Contains(release, ".el8"):
		_, build, _ := strings.Cut(release, "-")
		build, _, _ = strings.Cut(build, ".")
		n, _ := strconv.Atoi(build)
		return n >= 348
	case strings.Contains(release, ".el9"):
		return true
	}
	return false
}

// version returns the two leading numbers of a kernel release, 0 where there is none.
func version(release string) (major, minor int) {
	a, rest, _ := strings.Cut(release, ".")
	b := rest
	if i := strings.IndexFunc(rest, func(r rune) bool { return r < '0' || r > '9' }); i >= 0 {
		b = rest[:i]
	}
	major, _ = strconv.Atoi(a)
	minor, _ = strconv.Atoi(b)
	return major, minor
}
