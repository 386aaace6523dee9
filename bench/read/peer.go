package main

import (
	"bufio"
	"cmp"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"syscall"
	"time"

	"golang.org/x/sys/unix"

	"coracle/bench/measure"
)

// A peer serves an image at a mount point.
type peer interface {
	name() string
	// mount serves an image afresh and returns the path of its root. stop
	// unmounts it and waits for the server's end.
	mount(image string) (root string, stop func() error, err error)
	// pid is the server's, 0 without one.
	pid() int
}

// newPeer returns the peer of a name, or nil if it cannot be had here.
func newPeer(r *measure.Run, name, profile string) (peer, error) {
	switch name {
	case "kernel":
		if os.Geteuid() != 0 {
			r.Skip("kernel", "a loop mount needs root")
			return nil, nil
		}
		return kernel{r}, nil
	case "ours":
		return &ours{run: r, exe: "/proc/self/exe", profile: profile}, nil
	}
	if strings.Contains(name, "/") {
		return &ours{run: r, exe: name, label: filepath.Base(name)}, nil
	}
	if !r.Have(name, name) {
		return nil, nil
	}
	path, err := exec.LookPath(name)
	return &squashfuse{run: r, path: path}, err
}

// cpuTime returns the processor time used so far by this process, its children
// and a server.
func cpuTime(pid int) time.Duration {
	var self, children unix.Rusage
	_ = unix.Getrusage(unix.RUSAGE_SELF, &self)
	_ = unix.Getrusage(unix.RUSAGE_CHILDREN, &children)
	var sum time.Duration
	for _, u := range []unix.Rusage{self, children} {
		sum += time.Duration(u.Utime.Nano() + u.Stime.Nano())
	}
	b, err := os.ReadFile(fmt.Sprintf("/proc/%d/stat", pid))
	if err != nil {
		return sum
	}
	_, rest, _ := strings.Cut(string(b), ") ")
	f := strings.Fields(rest)
	for _, s := range f[11:13] { // utime and stime, in ticks of 10 ms
		n, _ := strconv.ParseInt(s, 10, 64)
		sum += time.Duration(n) * 10 * time.Millisecond
	}
	return sum
}

// unmount takes a mount point away as soon as nothing uses it, and removes it.
func unmount(dir string, by ...string) error {
	var err error
	for range 100 {
		if len(by) > 0 {
			err = exec.Command(by[0], append(by[1:], dir)...).Run()
		} else {
			err = unix.Unmount(dir, 0)
		}
		if err == nil {
			return os.Remove(dir)
		}
		time.Sleep(20 * time.Millisecond)
	}
	return fmt.Errorf("unmount %s: %w", dir, err)
}

// kernel is a loop mount.
type kernel struct{ run *measure.Run }

func (kernel) name() string { return "kernel" }
func (kernel) pid() int     { return 0 }

func (k kernel) mount(image string) (string, func() error, error) {
	dir, err := k.run.TempDir("")
	if err != nil {
		return "", nil, err
	}
	if out, err := exec.Command("mount", "-t", "squashfs", "-o", "loop,ro", image, dir).CombinedOutput(); err != nil {
		return "", nil, fmt.Errorf("mount: %w: %s", err, out)
	}
	return dir, func() error { return unmount(dir) }, nil
}

// squashfuse is squashfuse_ll, or another program with its command line.
type squashfuse struct {
	run    *measure.Run
	path   string
	server int
}

func (s *squashfuse) name() string { return filepath.Base(s.path) }
func (s *squashfuse) pid() int     { return s.server }

func (s *squashfuse) mount(image string) (string, func() error, error) {
	dir, err := s.run.TempDir("")
	if err != nil {
		return "", nil, err
	}
	c := exec.Command(s.path, "-f", image, dir)
	measure.Apart(c)
	if err := c.Start(); err != nil {
		return "", nil, err
	}
	s.server = c.Process.Pid
	for range 200 {
		var st unix.Statfs_t
		if unix.Statfs(dir, &st) == nil && st.Type == unix.FUSE_SUPER_MAGIC {
			return dir, func() error {
				if err := unmount(dir, "fusermount3", "-u"); err != nil {
					return err
				}
				return c.Wait()
			}, nil
		}
		time.Sleep(10 * time.Millisecond)
	}
	return "", nil, errors.Join(fmt.Errorf("%s has not mounted %s", s.path, image), c.Process.Kill(), c.Wait())
}

// ours is this program's serve mode: as root in the namespaces of this
// process, else in new ones, with the root reached through /proc.
type ours struct {
	run     *measure.Run
	exe     string // this program, or another build of it to compare with
	label   string // of another build
	profile string
	runs    int
	server  int
}

func (o *ours) name() string { return cmp.Or(o.label, "coracle") }
func (o *ours) pid() int     { return o.server }

func (o *ours) mount(image string) (string, func() error, error) {
	dir, err := o.run.TempDir("")
	if err != nil {
		return "", nil, err
	}
	args := []string{"serve", image, dir}
	if o.profile != "" {
		o.runs++
		args = append(args, filepath.Join(o.profile, fmt.Sprintf("%d.pprof", o.runs)))
	}
	c := exec.Command(o.exe, args...)
	c.Stderr = os.Stderr
	if uid, gid := os.Getuid(), os.Getgid(); uid != 0 {
		c.SysProcAttr = &syscall.SysProcAttr{
			Cloneflags:  syscall.CLONE_NEWUSER | syscall.CLONE_NEWNS,
			UidMappings: []syscall.SysProcIDMap{{ContainerID: uid, HostID: uid, Size: 1}},
			GidMappings: []syscall.SysProcIDMap{{ContainerID: gid, HostID: gid, Size: 1}},
			AmbientCaps: []uintptr{unix.CAP_SYS_ADMIN},
		}
	}
	measure.Apart(c)
	stdin, err := c.StdinPipe()
	if err != nil {
		return "", nil, err
	}
	stdout, err := c.StdoutPipe()
	if err != nil {
		return "", nil, err
	}
	if err := c.Start(); err != nil {
		return "", nil, err
	}
	if _, err := bufio.NewReader(stdout).ReadString('\n'); err != nil {
		return "", nil, fmt.Errorf("our server: %w", err)
	}
	o.server = c.Process.Pid
	root := dir
	if os.Getuid() != 0 {
		root = fmt.Sprintf("/proc/%d/root%s", o.server, dir)
	}
	return root, func() error {
		stdin.Close() // the server unmounts
		if err := c.Wait(); err != nil {
			return err
		}
		return os.Remove(dir)
	}, nil
}
