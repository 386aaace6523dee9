package server

import (
	"bytes"
	"encoding/binary"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"strconv"
	"strings"
	"syscall"
	"time"

	"coracle/runtime/mnt"
	"coracle/runtime/relay"

	"golang.org/x/sys/unix"
)

// The kernel lets no ordinary user mount an ext file system, but the host may have fuse2fs. It runs as a child of the server, in
// its namespaces, with the image as an open file, and ends with the mount.
//
// An image that is written to is served twice: fuse2fs mounts it, nowhere, for the relay alone, and the relay is what a launch
// gets (package relay tells why). When the launch is over, or this process is killed, nobody has the inner mount any more:
// then fuse2fs writes what it still has, and ends. The descriptor of the image that it has inherited is locked (flock) so long.

// errUnclean: the file system was not unmounted.
var errUnclean = fmt.Errorf("its file system has to be checked: %w", unix.EUCLEAN)

// openExt prepares an ext file system.
func (c *Config) openExt(s *served) error {
	if err := s.lock(c); err != nil || !s.image.Writable {
		return err
	}
	if err := s.clean(); err != nil {
		return fmt.Errorf("%s: %w", s.image.Path, err)
	}
	return s.openFuse()
}

// lock keeps writers away from an image that is read, as far as they ask. One that is written to is locked already, and
// what else is read in that file cannot change.
func (s *served) lock(c *Config) error {
	for _, im := range c.Images {
		if im.Writable && im.Device == s.image.Device && im.Inode == s.image.Inode {
			return nil
		}
	}
	return Lock(int(s.file.Fd()), s.image.Path, false)
}

// clean tells whether the file system was unmounted by whoever had it before. fuse2fs keeps no journal: what was
// not has to be checked before more is written.
//
// Source: Linux Documentation/filesystems/ext4, "The Super Block", s_state: 1 cleanly unmounted, 2 errors detected.
func (s *served) clean() error {
	const at = 1024 + 0x3a
	var state [2]byte
	if _, err := s.file.ReadAt(state[:], s.image.Offset+at); err != nil {
		return err
	}
	if binary.LittleEndian.Uint16(state[:])&3 != 1 {
		return errUnclean
	}
	return nil
}

// extPatience is how long fuse2fs may take to mount: it replays the journal first.
const extPatience = time.Minute

// mountExt makes an ext file system appear at s.mount. It must be called on the main thread: the child's
// parent-death signal watches that.
func (s *served) mountExt(c *Config) error {
	if !s.image.Writable {
		return s.runExt(c, s.mount, "ro")
	}
	err := s.mountBelow(c)
	if err != nil {
		return err
	}
	if s.relay, err = relay.Open(s.below); err != nil {
		return fmt.Errorf("write to %s: %w", s.image.Path, err)
	}
	return s.mountFuse(c, mnt.Attr{NoSuid: !c.many(), NoDev: true})
}

// mountBelow mounts an ext file system that is written to where nobody but this process has it: at s.below.
func (s *served) mountBelow(c *Config) error {
	at := s.mount + "-below"
	if err := os.Mkdir(at, 0o700); err != nil {
		return err
	}
	g, err := newGuard(at)
	if err != nil {
		return fmt.Errorf("guard the mount of %s: %w", s.image.Path, err)
	}
	// hard_remove: libfuse would rename what is removed and open. The time-outs: nobody else changes anything.
	if err = s.runExt(c, at, "rw,hard_remove,entry_timeout=1000000,negative_timeout=1000000", g.mounter); err == nil {
		s.below, err = unix.Open(at, unix.O_PATH|unix.O_DIRECTORY|unix.O_CLOEXEC, 0)
	}
	if err == nil {
		err = errors.Join(mnt.Detach(at), os.Remove(at))
	}
	if err != nil {
		g.abandon()
		return err
	}
	g.dismiss()
	return nil
}

// serveWritable relays until the image is unmounted everywhere, and waits until fuse2fs has written everything.
func (s *served) serveWritable(log *logger) error {
	err := s.relay.Serve(s.dev, func(line string) { log.print(s.image.Path + ": " + line) })
	unix.Close(s.dev) // whoever still waits for an answer gets an error
	unix.Close(s.below)
	return errors.Join(err, s.mounter.Wait(), s.file.Close())
}

// runExt has fuse2fs mount the file system at a directory. It inherits more.
func (s *served) runExt(c *Config, at, options string, more ...*os.File) error {
	options += ",fakeroot,nosuid,nodev" // nobody is asked for permission, as on a mount of squashfs
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
	// -s: one thread. To end another, the C library would load one more library, from a tree that is not there any more.
	s.mounter = exec.Command(c.ExtMount, "-f", "-s", "-o", options, "/proc/self/fd/3", at)
	s.mounter.Dir, s.mounter.Env = "/", []string{"LC_ALL=C", "PATH=/usr/sbin:/usr/bin:/sbin:/bin"}
	s.mounter.ExtraFiles, s.mounter.Stderr = append([]*os.File{s.file}, more...), words
	s.mounter.SysProcAttr = &syscall.SysProcAttr{AmbientCaps: []uintptr{unix.CAP_SYS_ADMIN}}
	if !s.image.Writable { // else it has to write what it still has, and ends when the mount is nobody's
		s.mounter.SysProcAttr.Pdeathsig = syscall.SIGKILL
	}
	err = s.mounter.Start()
	if err == nil {
		if !s.image.Writable {
			s.file.Close()
		}
		err = s.awaitMount(at)
	}
	if err != nil {
		return fmt.Errorf("mount %s with fuse2fs: %w", s.image.Path, said(words, err))
	}
	return nil
}

// awaitMount waits until there is a mount at a directory, or its process has ended.
func (s *served) awaitMount(at string) error {
	for until, pause := time.Now().Add(extPatience), time.Millisecond; ; time.Sleep(pause) {
		var st unix.Statfs_t
		if err := unix.Statfs(at, &st); err == nil && st.Type == unix.FUSE_SUPER_MAGIC {
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
