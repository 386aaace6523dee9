package probe

import (
	"errors"
	"fmt"
	"io/fs"
	"slices"
	"strings"

	"golang.org/x/sys/unix"
)

// A State is the doctor's judgement of one fact.
type State string

// The states.
const (
	OK      State = "ok"
	Warning State = "warning" // images run, something is missing
	Failure State = "error"   // images cannot run
)

// A Finding is one line of the doctor's.
type Finding struct {
	Name  string `json:"name"` // stable: "user-namespaces"
	State State  `json:"state"`
	Fact  string `json:"fact"`
	Cure  string `json:"cure,omitempty"` // what to type, or to ask the administrator for
}

// Findings judges the host, the most important facts first.
func (h Host) Findings() []Finding {
	return []Finding{
		h.kernel(), h.userNamespaces(), h.mounts(), h.fuse(), h.overlay(), h.detachedMounts(),
		h.program(), h.memory(), h.user(), h.subordinateIDs(), h.cgroups(), h.modules(),
	}
}

func ok(name, format string, args ...any) Finding {
	return Finding{Name: name, State: OK, Fact: fmt.Sprintf(format, args...)}
}

func (h Host) kernel() Finding {
	major, minor := version(h.Facts.Release)
	if major > 0 && (major < 4 || major == 4 && minor < 18) {
		return Finding{"kernel", Failure, fmt.Sprintf("Linux %s on %s is older than 4.18", h.Facts.Release, h.Facts.Arch),
			"FUSE in user namespaces needs Linux 4.18"}
	}
	return ok("kernel", "Linux %s on %s", h.Facts.Release, h.Facts.Arch)
}

func (h Host) userNamespaces() Finding {
	const name = "user-namespaces"
	var sw *UserNSError
	if errors.As(h.Facts.UserNS, &sw) {
		return Finding{name, Failure, "this host does not let users create user namespaces: " + sw.Error(), sw.Cure}
	}
	if h.Trial == nil || h.Trial.UserNS == "" {
		if h.MaxUserNS == "" {
			return ok(name, "user namespaces work")
		}
		return ok(name, "user namespaces work, up to %s", h.MaxUserNS)
	}
	f := Finding{Name: name, State: Failure, Fact: "user namespaces do not work: " + h.Trial.UserNS}
	switch {
	case h.Chrooted:
		f.Fact += "; this shell is in a chroot"
		f.Cure = "use pivot_root or a container instead of chroot: the kernel allows no user namespaces in one"
	case h.Trial.UserNS == unix.ENOSPC.Error():
		f.Cure = "sysctl -w user.max_user_namespaces=15000"
	default:
		f.Cure = "the container or sandbox around this shell forbids it: allow unshare, mount and setns in its seccomp profile"
	}
	return f
}

func (h Host) mounts() Finding {
	if h.Trial == nil || h.Trial.Tmpfs == "" {
		return ok("mounts", "file systems can be mounted in them")
	}
	f := Finding{Name: "mounts", State: Failure, Fact: "nothing can be mounted in them: " + h.Trial.Tmpfs}
	if slices.Contains(h.LSM, "apparmor") {
		f.Cure = "coracle doctor --apparmor-profile > /etc/apparmor.d/coracle && apparmor_parser -r /etc/apparmor.d/coracle"
	}
	return f
}

func (h Host) fuse() Finding {
	const name = "fuse"
	if err := h.Facts.Fuse; err != nil {
		cure := "modprobe fuse; in a container, /dev/fuse has to be handed in: --device /dev/fuse, -B /dev/fuse"
		if errors.Is(err, fs.ErrPermission) {
			cure = "chmod 0666 /dev/fuse"
		}
		return Finding{name, Warning, "image files are extracted before they run, for want of /dev/fuse: " + err.Error(), cure}
	}
	if h.Trial != nil && h.Trial.Fuse != "" && h.Trial.Tmpfs == "" {
		return Finding{name, Failure, "/dev/fuse opens, mounting does not work: " + h.Trial.Fuse,
			"FUSE in user namespaces needs Linux 4.18; without it image files are extracted: export CORACLE_UNSQUASH=1"}
	}
	return ok(name, "/dev/fuse opens, image files can be mounted")
}

func (h Host) overlay() Finding {
	const name = "overlay"
	switch {
	case h.Trial != nil && h.Trial.Overlay == "", h.Trial == nil && h.Facts.Overlay:
		return ok(name, "overlayfs works in user namespaces")
	case h.Trial != nil && h.Trial.Tmpfs != "":
		return Finding{name, Warning, "overlayfs was not tried", ""}
	}
	return Finding{name, Warning, "overlayfs does not work in user namespaces: missing mount points are made by an underlay of binds",
		"Linux 5.11 or later; modprobe overlay"}
}

func (h Host) detachedMounts() Finding {
	if h.OpenTree {
		return ok("mount-api", "mounts can be handed from one process to another")
	}
	return Finding{"mount-api", Warning, "the kernel has no move_mount: every launch mounts its image anew", "Linux 5.2 or later"}
}

func (h Host) program() Finding {
	const name = "program"
	perm := h.ProgramMode.Perm()
	switch {
	case h.ProgramMode == 0:
		return Finding{name, Warning, h.Program + " cannot be looked at", ""}
	case h.ProgramMode&(fs.ModeSetuid|fs.ModeSetgid) != 0:
		return Finding{name, Failure, fmt.Sprintf("%s is setuid or setgid, which it must not be", h.Program), "chmod 0755 " + h.Program}
	case perm&0o555 != 0o555:
		return Finding{name, Failure, fmt.Sprintf("%s has mode %04o: a program that cannot be read may not write its id map", h.Program, perm),
			"chmod 0755 " + h.Program}
	case perm&0o022 != 0:
		return Finding{name, Warning, fmt.Sprintf("%s has mode %04o: others may change it", h.Program, perm), "chmod 0755 " + h.Program}
	}
	return ok(name, "%s has mode %04o", h.Program, perm)
}

// leastMemory is the address space that our own stages need, in bytes.
const leastMemory = 1 << 30

func (h Host) memory() Finding {
	if h.MemoryLimit >= leastMemory {
		return ok("address-space", "the address space is large enough")
	}
	return Finding{"address-space", Warning,
		fmt.Sprintf("the hard limit of the address space is %d MiB: a launch needs %d MiB", h.MemoryLimit>>20, leastMemory>>20),
		"ask for more memory, or for a batch system that limits memory with cgroups (not ulimit -v, h_vmem)"}
}

func (h Host) user() Finding {
	const name = "user"
	who := fmt.Sprintf("uid %d, gid %d", h.Facts.UID, h.Facts.GID)
	switch h.UserSource {
	case fromPasswd:
		return ok(name, "%s: %s in /etc/passwd", who, h.Facts.User)
	case fromEnv:
		return ok(name, "%s: not in /etc/passwd; %s and %s are taken from $USER and $HOME", who, quote(h.Facts.User), quote(h.Facts.HomeDir))
	case fromGetent:
		return Finding{name, Warning, fmt.Sprintf("%s: %s is known to the directory service only, which costs milliseconds at each launch", who, h.Facts.User),
			"set USER and HOME in job scripts"}
	}
	return Finding{name, Warning, who + ": no name and no home directory", "set USER and HOME"}
}

func quote(s string) string {
	if s == "" {
		return "nothing"
	}
	return s
}

func (h Host) subordinateIDs() Finding {
	const name = "subordinate-ids"
	n := min(h.SubUID, h.SubGID)
	user := h.Facts.User
	if user == "" {
		user = fmt.Sprint(h.Facts.UID)
	}
	switch {
	case n == 0:
		return Finding{name, Warning, "no subordinate ids in /etc/subuid and /etc/subgid: one user and one group inside",
			fmt.Sprintf("usermod --add-subuids 100000-165535 --add-subgids 100000-165535 %s", user)}
	case !h.NewUIDMap || !h.NewGIDMap:
		return Finding{name, Warning, fmt.Sprintf("%d subordinate ids, but newuidmap or newgidmap is missing or not setuid", n),
			"install the package uidmap (Debian, Ubuntu) or shadow-utils (Red Hat, SUSE)"}
	}
	return ok(name, "%d subordinate ids, newuidmap and newgidmap", n)
}

func (h Host) cgroups() Finding {
	const name = "cgroups"
	switch {
	case h.Cgroup == "":
		return ok(name, "cgroups of version 1, or none: limits are the batch system's")
	case len(h.Controllers) == 0:
		return ok(name, "cgroup %s is not delegated: limits are the batch system's", h.Cgroup)
	}
	return ok(name, "cgroup %s is delegated with %s", h.Cgroup, strings.Join(h.Controllers, " "))
}

func (h Host) modules() Finding {
	if h.LSM == nil {
		return ok("security-modules", "security modules: unknown")
	}
	return ok("security-modules", "security modules: %s", strings.Join(h.LSM, " "))
}
