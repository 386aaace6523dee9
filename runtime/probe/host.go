package probe

import (
	"bytes"
	"errors"
	"io/fs"
	"os"
	"strings"

	"coracle/runtime"

	"golang.org/x/sys/unix"
)

// A Host is everything that the doctor looks at. [Host.Findings] judges it.
type Host struct {
	Facts      runtime.Facts
	UserSource string // where the caller's name comes from; "" nowhere
	MaxUserNS  string // user.max_user_namespaces; "" unknown
	Chrooted   bool   // the root directory is no mount point: the kernel forbids user namespaces

	SubUID, SubGID       int64 // how many subordinate ids the caller has
	NewUIDMap, NewGIDMap bool  // the helpers are installed and may change id maps

	Cgroup      string   // path of the caller's version 2 cgroup; "" none
	Controllers []string // that the caller may use there
	LSM         []string // security modules; nil unknown

	Program     string      // path of this program
	ProgramMode fs.FileMode // zero: unknown
	MemoryLimit uint64      // hard limit of the address space in bytes, unix.RLIM_INFINITY none

	OpenTree bool   // the kernel has open_tree and move_mount
	Trial    *Trial // nil: not tried
}

// Read collects everything under root ("" the host itself) but Trial, without changing anything.
func Read(root string, c Caller, program string) Host {
	f, source := facts(root, c)
	h := Host{
		Facts:       f,
		UserSource:  source,
		MaxUserNS:   readLine(root + "/proc/sys/user/max_user_namespaces"),
		Chrooted:    Chrooted(root),
		LSM:         lsm(root),
		Program:     program,
		MemoryLimit: unix.RLIM_INFINITY,
		OpenTree:    true,
	}
	ids := SubIDs(root, c, h.Facts.User)
	h.SubUID, h.SubGID = sum(ids.UIDs), sum(ids.GIDs)
	h.NewUIDMap, h.NewGIDMap = ids.NewUIDMap != "", ids.NewGIDMap != ""
	h.Cgroup, h.Controllers = cgroup(root, c.UID)
	if fi, err := os.Stat(program); err == nil {
		h.ProgramMode = fi.Mode()
	}
	if root == "" {
		var lim unix.Rlimit
		if unix.Getrlimit(unix.RLIMIT_AS, &lim) == nil {
			h.MemoryLimit = lim.Max
		}
		h.OpenTree = hasOpenTree()
	}
	return h
}

// hasOpenTree asks the kernel with arguments that cannot succeed.
func hasOpenTree() bool {
	err := unix.MoveMount(-1, "", -1, "", unix.MOVE_MOUNT_F_EMPTY_PATH)
	return !errors.Is(err, unix.ENOSYS)
}

// Chrooted reports whether the root directory is not a mount point, which is how a
// process in a chroot sees itself.
func Chrooted(root string) bool {
	b, err := readFile(root + "/proc/self/mountinfo")
	if err != nil || len(b) == 0 {
		return false
	}
	for line := range bytes.Lines(b) {
		// Source: proc_pid_mountinfo(5): the fifth field is the mount point.
		if f := bytes.Fields(line); len(f) > 4 && string(f[4]) == "/" {
			return false
		}
	}
	return true
}

func lsm(root string) []string {
	s := readLine(root + "/sys/kernel/security/lsm")
	if s == "" {
		return nil
	}
	return strings.Split(s, ",")
}

// cgroup returns the caller's version 2 cgroup and the controllers that the caller may
// hand on in it. A cgroup that belongs to somebody else gives none.
func cgroup(root string, uid int) (string, []string) {
	var path string
	for line := range strings.Lines(readLine(root+"/proc/self/cgroup") + "\n") {
		if p, ok := strings.CutPrefix(strings.TrimSpace(line), "0::"); ok {
			path = p
		}
	}
	if path == "" {
		return "", nil
	}
	dir := root + "/sys/fs/cgroup" + path
	var st unix.Stat_t
	if unix.Stat(dir, &st) != nil || int(st.Uid) != uid || uid == 0 {
		return path, nil
	}
	return path, strings.Fields(readLine(dir + "/cgroup.controllers"))
}
