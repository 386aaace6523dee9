package runtime

import (
	"errors"
	"fmt"
	"io/fs"
	"path"
	"slices"

	"coracle/bind"
)

// A DirError reports that the directory of --pwd is not in the container.
type DirError struct {
	Path string // in the container
	Err  error  // wraps fs.ErrNotExist when nothing is there
}

func (e *DirError) Error() string {
	if errors.Is(e.Err, fs.ErrNotExist) {
		return fmt.Sprintf("directory %q (--pwd) does not exist in the container", e.Path)
	}
	return fmt.Sprintf("directory %q (--pwd): %v", e.Path, e.Err)
}

// Unwrap returns the cause.
func (e *DirError) Unwrap() error { return e.Err }

// setHome decides what $HOME is in the container, mounted or not.
func (m *mounter) setHome() {
	home := m.facts.HomeDir
	switch {
	case m.req.Home.Source != "":
		home = m.req.Home.Target
	case m.req.Fakeroot:
		home = "/root"
	}
	if path.IsAbs(home) {
		m.home = path.Clean(home)
	}
}

// mountHome mounts the home directory: the user's own, the one of --home, or with
// --contain an empty one.
func (m *mounter) mountHome() {
	custom := m.req.Home.Source != ""
	if m.home == "" || m.req.NoHome || m.without("home") || m.without(m.home) {
		return
	}
	if m.home == "/" { // as "nobody" has it
		if custom {
			m.warnf("the home directory is not mounted: it cannot be /")
		}
		return
	}
	if (m.home == "/tmp" || m.home == "/var/tmp") && !m.without("tmp") && !m.without(m.home) {
		return // the temporary directory takes the place
	}
	if m.req.Contain && !custom {
		if m.req.Workdir != "" {
			m.ours("home", m.home, 0o750)
		} else {
			m.add(bind.Op{Type: bind.Tmpfs, Target: m.home, NoDev: true, Perm: 0o750, Why: "--contain"})
		}
		return
	}
	if !custom && !usersHome(m.facts.HomeDir) {
		return
	}
	op := bind.Op{Type: bind.Bind, Source: m.facts.HomeDir, Target: m.home, NoDev: true, Optional: true, Why: "home"}
	if custom {
		op.Source, op.Optional, op.ReadOnly, op.Why = m.req.Home.Source, false, m.req.Home.ReadOnly, "--home"
		switch _, kind, err := m.view.LookupHost(op.Source); {
		case errors.Is(err, fs.ErrNotExist):
			m.warnf("the home directory %s is not mounted: no such directory", op.Source)
			return
		case err != nil:
			m.warnf("the home directory %s is not mounted: %v", op.Source, err)
			return
		case kind != bind.Directory:
			m.warnf("the home directory %s is not mounted: not a directory", op.Source)
			return
		}
	}
	// Below /tmp the bind of /tmp may show it already.
	m.out = append(m.out, bind.Mount{Op: op, Unless: !custom})
}

// usersHome tells whether dir can be a user's home: those of daemon, bin and sys cannot.
func usersHome(dir string) bool {
	dir = path.Clean(dir)
	return path.IsAbs(dir) && !ofTheSystem(dir) && dir != "/usr/bin" && dir != "/usr/sbin"
}

// ofTheSystem tells whether a directory of the host is never bound by itself, as working
// directory or home, because the image's own is needed there.
func ofTheSystem(dir string) bool {
	switch dir {
	case "/", "/etc", "/bin", "/mnt", "/usr", "/var", "/opt", "/sbin", "/lib", "/lib64":
		return true
	}
	return bind.Under(dir, "/sys") || bind.Under(dir, "/proc") || bind.Under(dir, "/dev")
}

// keepsDir tells whether the caller's working directory should be there in the container.
func (m *mounter) keepsDir() bool {
	return m.req.Cwd != "" && !m.req.Contain && !m.without("cwd") && !m.without(m.req.Cwd)
}

// workingDirectory binds the caller's working directory under the name that the caller
// knows it by, unless an earlier mount shows it already.
func (m *mounter) workingDirectory() {
	if !m.keepsDir() || ofTheSystem(m.req.Cwd) {
		return
	}
	real, kind, err := m.view.LookupHost(m.req.Cwd)
	if err != nil || kind != bind.Directory || ofTheSystem(real) {
		return
	}
	m.out = append(m.out, bind.Mount{Unless: true, Op: bind.Op{Type: bind.Bind, Source: m.req.Cwd, Target: m.req.Cwd,
		NoDev: true, Optional: true, Why: "working directory"}})
}

// startIn lists the directories to start in, best first. It is called when everything is
// arranged.
func (m *mounter) startIn() ([]string, error) {
	if m.req.Pwd != "" {
		dir := m.req.Pwd
		if !path.IsAbs(dir) {
			dir = path.Join(m.req.Cwd, dir)
		}
		if !m.hasDir(dir) {
			_, kind, err := m.view.Lookup(dir)
			if err == nil && kind != bind.Directory {
				err = errors.New("not a directory")
			}
			return nil, &DirError{Path: dir, Err: err}
		}
		return []string{dir}, nil
	}
	var dirs []string
	if m.req.Cwd != "" && m.hasDir(m.req.Cwd) {
		dirs = append(dirs, m.req.Cwd)
	}
	lost := len(dirs) == 0 && m.keepsDir()
	if m.home != "" && m.home != "/" && m.home != m.req.Cwd && m.hasDir(m.home) {
		dirs = append(dirs, m.home)
	}
	if !slices.Contains(dirs, "/") {
		dirs = append(dirs, "/")
	}
	if lost {
		m.warnf("the working directory %s is not in the container: starting in %s", m.req.Cwd, dirs[0])
	}
	return dirs, nil
}

func (m *mounter) hasDir(p string) bool {
	_, kind, err := m.view.Lookup(p)
	return err == nil && kind == bind.Directory
}

func (m *mounter) warnf(format string, args ...any) {
	m.warnings = append(m.warnings, fmt.Sprintf(format, args...))
}
