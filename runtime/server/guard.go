package server

import (
	"errors"
	"os"
	"os/exec"
	"strconv"
	"syscall"

	"coracle/runtime/stage"
	"coracle/userns"

	"golang.org/x/sys/unix"
)

// A guard is a process of ours (userns/guard.c) that takes a mount away if this one is killed before it has done so: fuse2fs, which shares
// our mount namespace, would keep its own mount alive, and with that itself. A signal at our end would not do: the kernel
// sends one for each of our threads, and fuse2fs heeds the first only.
type guard struct {
	cmd     *exec.Cmd
	ours    *os.File // the guard waits until this is closed everywhere, or there is a byte to read
	mounter *os.File // for whoever is to mount something: when it is closed everywhere there is nothing to wait for
}

// newGuard starts the guard of a directory that something is about to be mounted on.
func newGuard(at string) (*guard, error) {
	const first = 3 // descriptor of ExtraFiles[0]
	fd, err := stage.File(&userns.Header{Role: userns.Guard, Sock: first + 1, Ended: first + 2}, &struct{}{})
	if err != nil {
		return nil, err
	}
	head := os.NewFile(uintptr(fd), "header")
	defer head.Close()
	alive, ours, err := os.Pipe()
	if err != nil {
		return nil, err
	}
	defer alive.Close()
	over, mounter, err := os.Pipe()
	if err != nil {
		ours.Close()
		return nil, err
	}
	defer over.Close()
	g := &guard{ours: ours, mounter: mounter}
	g.cmd = exec.Command("/proc/self/exe", strconv.Itoa(first), at)
	g.cmd.Args[0] = userns.StagePrefix + "guard"
	g.cmd.Dir, g.cmd.Env = "/", []string{}
	g.cmd.ExtraFiles = []*os.File{head, alive, over}
	g.cmd.SysProcAttr = &syscall.SysProcAttr{AmbientCaps: []uintptr{unix.CAP_SYS_ADMIN}}
	if err := g.cmd.Start(); err != nil {
		g.abandon()
		return nil, err
	}
	return g, nil
}

// abandon leaves the mount to the guard.
func (g *guard) abandon() { errors.Join(g.ours.Close(), g.mounter.Close()) }

// dismiss says that the mount has been taken away, and waits for the guard's end.
func (g *guard) dismiss() {
	g.ours.Write([]byte{0})
	g.abandon()
	g.cmd.Wait()
}
