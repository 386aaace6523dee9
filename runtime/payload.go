package runtime

import (
	"errors"
	"fmt"
	"os"
	"strings"
	"syscall"

	"coracle/runtime/env"
	"coracle/userns"

	"golang.org/x/sys/unix"
)

// become evaluates the environment inside the container, gives up the privileges of the user
// namespace and executes the payload. dir is the working directory.
func become(p *Plan, dir string) error {
	inside := env.Inside{Dir: dir, Stdin: os.Stdin, Stdout: os.Stdout, Stderr: os.Stderr}
	cmd, err := resolve(p, inside)
	report(p, cmd)
	if err != nil {
		return imageGone(err)
	}
	if umask := p.umask(cmd); umask >= 0 {
		unix.Umask(umask)
	}
	if err := privileges(p); err != nil {
		return err
	}
	if userns.Timing() {
		userns.Mark("ready to execute " + cmd.Path)
		userns.ShowMarks()
	}
	for {
		err := userns.Exec(cmd.Path, cmd.Argv, cmd.Env, userns.Recorded())
		if !errors.Is(err, syscall.ENOEXEC) {
			_, err = inside.Explain(cmd, err)
			return err
		}
		// A script without a #! line goes to the shell, once.
		if cmd, err = inside.Explain(cmd, err); err != nil {
			return err
		}
	}
}

// imageGone replaces err where the true reason is that the image's server has been killed: whatever is looked
// for in the image is not found then.
func imageGone(err error) error {
	for _, dir := range []string{"/", "/usr", "/bin", "/lib"} { // the root itself is none of the image's in an underlay
		var st unix.Stat_t
		switch e := unix.Lstat(dir+"/.coracle-is-there", &st); e {
		case unix.ENOTCONN, unix.ECONNABORTED:
			return fmt.Errorf("the image cannot be read: its server has ended: %w", e)
		}
	}
	return err
}

// umask is the payload's; -1: the caller's.
func (p *Plan) umask(cmd env.Command) int {
	if p.Umask >= 0 {
		return p.Umask
	}
	return cmd.Umask
}

// privileges leaves the payload none, or all that root has in the user namespace.
func privileges(p *Plan) error {
	if len(p.Drop) > 0 {
		if err := userns.LimitCapabilities(p.Drop); err != nil {
			return fmt.Errorf("drop capabilities: %w", err)
		}
	}
	switch p.Fakeroot {
	case FakerootIDs:
		return nil
	case FakerootFilter:
		return userns.FakeOwners()
	}
	return userns.DropCapabilities()
}

// warn prints a warning in the caller's style.
func warn(p *Plan, text string) {
	if !p.Quiet {
		os.Stderr.WriteString(p.WarningPrefix + text + "\n")
	}
}

// resolve returns what to execute: as planned, or, where only the container can tell, as it is now.
func resolve(p *Plan, inside env.Inside) (env.Command, error) {
	if p.Command == nil {
		return p.Env.Resolve(inside)
	}
	cmd := *p.Command
	for i, kv := range cmd.Env {
		if strings.HasPrefix(kv, "PWD=") { // not always the directory that was planned
			cmd.Env[i] = "PWD=" + inside.Dir
		}
	}
	return cmd, nil
}

// report prints what the image's scripts gave rise to, in the caller's style.
func report(p *Plan, cmd env.Command) {
	if p.Quiet {
		return
	}
	for _, n := range cmd.Notes {
		os.Stderr.WriteString(p.NotePrefix + n + "\n")
	}
	for _, w := range cmd.Warnings {
		os.Stderr.WriteString(p.WarningPrefix + w + "\n")
	}
}
