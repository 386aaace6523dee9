package server

import (
	"bytes"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"strconv"
	"strings"
	"syscall"
	"time"

	"golang.org/x/sys/unix"
)

// The kernel lets no ordinary user mount an ext file system, but the host may have fuse2fs. It runs as a child of the server, in
// its namespaces, with the image as an open file, and ends with the mount, or at once when the server is killed.

// errBusy: somebody is writing to the image.
var errBusy = fmt.Errorf("another container is writing to it: %w", unix.EBUSY)

// lock keeps writers away from an image that is read, as far as they ask.
func (s *served) lock() error {
	err := unix.Flock(int(s.file.Fd()), unix.LOCK_SH|unix.LOCK_NB)
	if errors.Is(err, unix.EWOULDBLOCK) {
		err = errBusy
	}
	if err != nil {
		return fmt.Errorf("%s: %w", s.image.Path, err)
	}
	return nil
}

// extPatience is how long fuse2fs may take to mount: it replays the journal first.
const extPatience = time.Minute

// mountExt has fuse2fs mount an ext file system at s.mount. It must be called on the main thread: the child's
// parent-death signal watches that.
func (s *served) mountExt(c *Config) error {
	options := "ro,fakeroot,nosuid,nodev" // nobody is asked for permission, as on a mount of squashfs
	if s.image.Offset > 0 {
		options += ",offset=" + strconv.FormatInt(s.image.Offset, 10)
	}
	if c.many() {
		options += ",allow_other"
	}
	words, err := memfd("fuse2fs")
	if err != nil {
		return err
	}
	defer words.Close()
	s.mounter = exec.Command(c.ExtMount, "-f", "-o", options, "/proc/self/fd/3", s.mount)
	s.mounter.Dir, s.mounter.Env = "/", []string{"LC_ALL=C", "PATH=/usr/sbin:/usr/bin:/sbin:/bin"}
	s.mounter.ExtraFiles, s.mounter.Stderr = []*os.File{s.file}, words
	s.mounter.SysProcAttr = &syscall.SysProcAttr{Pdeathsig: syscall.SIGKILL, AmbientCaps: []uintptr{unix.CAP_SYS_ADMIN}}
	err = s.mounter.Start()
	if err == nil {
		s.file.Close()
		err = s.awaitMount()
	}
	if err != nil {
		return fmt.Errorf("mount %s with fuse2fs: %w", s.image.Path, said(words, err))
	}
	return nil
}

// awaitMount waits until s.mount is a mount, or its process has ended.
func (s *served) awaitMount() error {
	for until, pause := time.Now().Add(extPatience), time.Millisecond; ; time.Sleep(pause) {
		var st unix.Statfs_t
		if err := unix.Statfs(s.mount, &st); err == nil && st.Type == unix.FUSE_SUPER_MAGIC {
			return nil
		}
		var info unix.Siginfo
		err := unix.Waitid(unix.P_PID, s.mounter.Process.Pid, &info, unix.WEXITED|unix.WNOHANG|unix.WNOWAIT, nil)
		if err == nil && info.Signo != 0 {
			return fmt.Errorf("%v: %w", s.mounter.Wait(), unix.EIO)
		}
		if time.Now().After(until) {
			s.mounter.Process.Kill()
			s.mounter.Wait()
			return unix.ETIMEDOUT
		}
		pause = min(2*pause, 20*time.Millisecond)
	}
}

func memfd(name string) (*os.File, error) {
	fd, err := unix.MemfdCreate(name, unix.MFD_CLOEXEC)
	if err != nil {
		return nil, err
	}
	return os.NewFile(uintptr(fd), name), nil
}

// said adds the last line of a program's words to the error that it ended with.
func said(words *os.File, err error) error {
	b := make([]byte, 4096)
	n, _ := words.ReadAt(b, 0)
	lines := strings.Split(string(bytes.TrimSpace(b[:n])), "\n")
	if last := lines[len(lines)-1]; last != "" {
		return fmt.Errorf("%s: %w", last, unix.EIO)
	}
	return err
}
