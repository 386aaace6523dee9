package probe

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"strconv"
	"strings"
	"syscall"

	"coracle/runtime/mnt"

	"golang.org/x/sys/unix"
)

// TrialName is what a process that tries things out is called (its argv[0]).
const TrialName = "coracle-trial"

// A Trial is what happened when a throw-away process tried what a launch needs.
// An empty string means that it worked; otherwise it is the reason why not.
type Trial struct {
	UserNS  string // create user and mount namespaces
	Tmpfs   string // mount a memory file system there
	Overlay string // mount overlayfs there
	Fuse    string // mount a FUSE file system there
}

// Try lets a process in new namespaces mount what a launch mounts. All of it is gone
// when that process ends. program is this very program, which calls [RunTrial] first
// thing when [IsTrial] says so.
func Try(program string) Trial {
	cmd := exec.Command(program)
	cmd.Args = []string{TrialName}
	cmd.Env = []string{}
	cmd.Dir = "/"
	cmd.Stdin, cmd.Stderr = strings.NewReader(""), io.Discard // there may be no /dev/null
	cmd.SysProcAttr = &syscall.SysProcAttr{
		Cloneflags:  unix.CLONE_NEWUSER | unix.CLONE_NEWNS,
		UidMappings: []syscall.SysProcIDMap{{ContainerID: 0, HostID: os.Getuid(), Size: 1}},
		GidMappings: []syscall.SysProcIDMap{{ContainerID: 0, HostID: os.Getgid(), Size: 1}},
		Pdeathsig:   syscall.SIGKILL,
	}
	runtime.LockOSThread() // the parent-death signal watches the thread
	defer runtime.UnlockOSThread()
	out, err := cmd.Output()
	var t Trial
	if err == nil {
		err = json.NewDecoder(bytes.NewReader(out)).Decode(&t)
	}
	if err != nil {
		return Trial{UserNS: reason(err), Tmpfs: "not tried", Overlay: "not tried", Fuse: "not tried"}
	}
	return t
}

// IsTrial reports whether this process was started by [Try].
func IsTrial(argv []string) bool { return len(argv) == 1 && argv[0] == TrialName }

// RunTrial does the work of a trial and writes the outcome to standard output.
func RunTrial() error {
	return json.NewEncoder(os.Stdout).Encode(attempt())
}

func attempt() Trial {
	var t Trial
	const dir = "/tmp"
	// The kernel has made the mounts of the new namespace slaves: nothing gets out.
	if err := mnt.NewAt("tmpfs", "tmpfs", dir, mnt.Attr{NoSuid: true, NoDev: true}, "size=1m"); err != nil {
		t.Tmpfs = reason(err)
		t.Overlay, t.Fuse = "not tried", "not tried"
		return t
	}
	t.Overlay = reason(tryOverlay(dir))
	t.Fuse = reason(tryFuse(dir))
	return t
}

func tryOverlay(dir string) error {
	for _, d := range []string{"lower", "upper", "work", "merged"} {
		if err := os.Mkdir(filepath.Join(dir, d), 0o700); err != nil {
			return err
		}
	}
	opts := fmt.Sprintf("lowerdir=%[1]s/lower,upperdir=%[1]s/upper,workdir=%[1]s/work", dir)
	err := mnt.NewAt("overlay", "overlay", dir+"/merged", mnt.Attr{}, opts+",userxattr")
	if errors.Is(err, unix.EINVAL) { // a backport without that option
		err = mnt.NewAt("overlay", "overlay", dir+"/merged", mnt.Attr{}, opts)
	}
	return err
}

func tryFuse(dir string) error {
	fd, err := unix.Open("/dev/fuse", unix.O_RDWR|unix.O_CLOEXEC, 0)
	if err != nil {
		return fmt.Errorf("open /dev/fuse: %w", err)
	}
	defer unix.Close(fd)
	target := filepath.Join(dir, "fuse")
	if err := os.Mkdir(target, 0o700); err != nil {
		return err
	}
	opts := "fd=" + strconv.Itoa(fd) + ",rootmode=40000,user_id=0,group_id=0"
	if err := mnt.NewAt("coracle", "fuse", target, mnt.Attr{ReadOnly: true, NoSuid: true, NoDev: true}, opts); err != nil {
		return err
	}
	return mnt.Detach(target)
}

// reason words an error of a system call without the names of calls and files.
func reason(err error) string {
	if err == nil {
		return ""
	}
	var errno syscall.Errno
	if errors.As(err, &errno) {
		return errno.Error()
	}
	return err.Error()
}
