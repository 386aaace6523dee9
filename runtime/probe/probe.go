// Package probe reads what the host is like: the caller's names and ids, and what the
// kernel lets an ordinary user do.
//
// Files are read under a root directory, so recorded trees are test data. Nothing is
// changed and nothing is mounted, but by [Try], which works in a process of its own.
package probe

import (
	"os"
	goruntime "runtime"
	"slices"
	"strconv"
	"strings"

	"coracle/runtime"
	"coracle/userns"

	"golang.org/x/sys/unix"
)

// A Caller is what the kernel says of the calling process.
type Caller struct {
	UID, GID int
	Groups   []int  // supplementary groups
	Umask    int    // permission bits that new files do not get
	Release  string // uname -r
	Arch     string // GOARCH name
	TTY      string // path of the terminal that is standard input, output or error; "" none
	Env      []string

	NoNewPrivs bool // no_new_privs is set: setuid bits do not count

	Job     Job  // what tells jobs apart
	Foreign bool // it is not this process, which only looks at the host in its place: no program is started for it
}

// Self describes the calling process. It sets the umask and sets it back: call it while
// no other goroutine makes files.
func Self(env []string) Caller {
	c := Caller{UID: os.Getuid(), GID: os.Getgid(), Arch: goruntime.GOARCH, Env: env}
	c.Groups, _ = os.Getgroups()
	c.Umask = unix.Umask(0o077)
	unix.Umask(c.Umask)
	c.TTY = terminal()
	nnp, err := unix.PrctlRetInt(unix.PR_GET_NO_NEW_PRIVS, 0, 0, 0, 0)
	c.NoNewPrivs = err == nil && nnp == 1
	c.Release = release()
	c.Job = ownJob("")
	return c
}

// Other describes the process that makes a call. This process must have its root and working directory by now.
func Other(call *userns.Call) Caller {
	c := Caller{
		UID: call.UID, GID: call.GID, Groups: call.Groups, Umask: call.Umask, Arch: goruntime.GOARCH, Release: release(),
		TTY: call.Terminal, Env: call.Env, NoNewPrivs: call.NoNewPrivs, Foreign: true,
	}
	c.Job = Job{Namespaces: call.Namespaces, Program: ownProgram(""), Label: strings.TrimSpace(call.Label), Limits: listLimits(call.HardLimits),
		Groups: call.Groups, Cgroup: strings.TrimSpace(call.Cgroup), Session: call.SID}
	return c
}

// release is uname -r.
func release() string {
	var u unix.Utsname
	if unix.Uname(&u) != nil {
		return ""
	}
	return unix.ByteSliceToString(u.Release[:])
}

// terminal returns the path of the first of standard input, output and error that is a terminal.
func terminal() string {
	for fd := range 3 {
		if _, err := unix.IoctlGetTermios(fd, unix.TCGETS); err != nil {
			continue
		}
		if p, err := os.Readlink("/proc/self/fd/" + strconv.Itoa(fd)); err == nil && strings.HasPrefix(p, "/dev/") {
			return p
		}
	}
	return ""
}

// Facts reads what a launch needs to know, in a few system calls. root is the directory
// that the host's files are read under, "" for the host itself. The caller fills in Host.
func Facts(root string, c Caller) runtime.Facts {
	f, _ := facts(root, c)
	return f
}

// facts tells in addition where the caller's name comes from.
func facts(root string, c Caller) (runtime.Facts, string) {
	f := runtime.Facts{
		UID: c.UID, GID: c.GID, Groups: c.Groups, Umask: c.Umask,
		Arch: c.Arch, Release: c.Release, TTY: c.TTY,
		Fuse:    Fuse(root),
		Overlay: overlayExpected(c.Release),
		Scope:   c.Job.scope(root, c.Env),
	}
	if !c.Foreign { // who plans for another process has a user namespace, which that one joins
		f.UserNS = UserNS(root)
	}
	u := findUser(root, c)
	f.User, f.Gecos, f.HomeDir, f.LoginSh = u.Name, u.Gecos, u.Home, u.Shell
	f.GroupName, f.GroupTags = groupNames(root, c.GID, c.Groups)
	return f, u.Source
}

// lookup returns the value of key in env, the last one where there are several.
func lookup(env []string, key string) string {
	for i := len(env) - 1; i >= 0; i-- {
		if v, ok := strings.CutPrefix(env[i], key); ok && strings.HasPrefix(v, "=") {
			return v[1:]
		}
	}
	return ""
}

// readLine returns the contents of a small file, without the white space around it, or "".
func readLine(path string) string {
	b, err := readFile(path)
	if err != nil {
		return ""
	}
	return strings.TrimSpace(string(b))
}

// maxFile bounds the files that are read, in bytes: a passwd file of a big site has a few MiB.
const maxFile = 64 << 20

// readFile is os.ReadFile without the Go runtime's poller, whose start costs as much as
// all the rest of a probe.
func readFile(path string) ([]byte, error) {
	fd, err := unix.Open(path, unix.O_RDONLY|unix.O_CLOEXEC, 0)
	if err != nil {
		return nil, err
	}
	defer unix.Close(fd)
	text := make([]byte, 0, 2048)
	for len(text) < maxFile {
		text = slices.Grow(text, 1)
		n, err := unix.Read(fd, text[len(text):cap(text)])
		switch {
		case err == unix.EINTR:
			continue
		case err != nil:
			return nil, err
		case n == 0:
			return text, nil
		}
		text = text[:len(text)+n]
	}
	return text, nil
}
