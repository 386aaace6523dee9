package env

import (
	"errors"
	"io/fs"
	"path"
	"slices"
	"strings"
	"sync/atomic"
	"time"
)

// Files is a look into the container before it is there: the planner's. Paths are absolute and symlinks
// are followed. An error that wraps fs.ErrNotExist means that there is nothing; any other one, that
// the planner cannot tell.
type Files interface {
	// Mode returns the type, Regular, Directory or neither, and permission bits of what stands at name.
	Mode(name string) (fs.FileMode, error)
	ReadFile(name string, max int64) ([]byte, error)
	ReadDir(name string) ([]string, error)
}

// An early look remembers whether it left a question open.
type early struct {
	files Files
	later atomic.Bool // something has to wait for the container
}

// errLater: the answer needs the container itself.
var errLater = errors.New("not before the container is there")

// Early is [Spec.Resolve] while planning: with scripts that only set variables, and a command that
// the planner can find, a launch need not look at the image's files twice. A script that starts a program,
// opens a file, prints or reads something stops there: it has to wait for the container. dir is the payload's working
// directory. It answers false when the container has to be there, and for everything that ends in an error.
func (s Spec) Early(files Files, dir string) (Command, bool) {
	look := &early{files: files}
	cmd, err := s.Resolve(Inside{Dir: dir, early: look})
	return cmd, err == nil && !look.later.Load()
}

// ask notes an answer that is neither yes nor no.
func (e *early) ask(err error) error {
	if err != nil && !errors.Is(err, fs.ErrNotExist) {
		e.later.Store(true)
	}
	return err
}

func (e *early) mode(name string) (fs.FileMode, error) {
	mode, err := e.files.Mode(name)
	return mode, e.ask(err)
}

func (e *early) kind(name string) kind {
	mode, err := e.mode(name)
	switch {
	case err != nil:
		return missing
	case mode.IsRegular():
		return regular
	case mode.IsDir():
		return directory
	}
	return other
}

func (e *early) readFile(name string) ([]byte, error) {
	text, err := e.files.ReadFile(name, maxScript)
	return text, e.ask(err)
}

// readHead reads of the image's own scripts only: of a program it would cost more than it tells, and
// execve(2) will say what is wrong with it.
func (e *early) readHead(name string, buf []byte) ([]byte, error) {
	if !strings.HasPrefix(name, path.Dir(runscript)+"/") && !strings.HasPrefix(name, appsDir+"/") {
		return nil, errLater
	}
	text, err := e.readFile(name)
	return buf[:copy(buf, text)], err
}

func (e *early) scripts(dir string) ([]string, bool) {
	names, err := e.files.ReadDir(dir)
	if e.ask(err) != nil {
		return nil, false
	}
	return sortScripts(slices.Clone(names)), true
}

// check is [Inside.check] by the permission bits alone.
func (e *early) check(name, file string) error {
	mode, err := e.mode(file)
	switch {
	case err != nil:
		return &ExecError{Name: name, Err: ErrNoFile}
	case mode.IsDir():
		return &ExecError{Name: name, Err: ErrDirectory}
	case mode&0o111 == 0:
		return &ExecError{Name: name, Err: ErrNotExecutable}
	}
	return nil
}

// Write takes what a script prints: nobody is to see it twice.
func (e *early) Write([]byte) (int, error) {
	e.later.Store(true)
	return 0, errLater
}

// stat answers a script's tests.
func (e *early) stat(name string, follow bool) (fs.FileInfo, error) {
	if !follow {
		return nil, e.wait()
	}
	mode, err := e.mode(name)
	if err != nil {
		return nil, err
	}
	return earlyInfo{e, path.Base(name), mode}, nil
}

// access answers -r, -w and -x where it is the same for everybody. mask has a bit of 4, 2 and 1 for each.
func (e *early) access(name string, mask uint32) error {
	mode, err := e.mode(name)
	switch bits := fs.FileMode(mask & 7); {
	case err != nil:
		return err
	case bits&2 != 0, mode&bits != bits:
		return e.wait()
	}
	return nil
}

// wait leaves a question to the container.
func (e *early) wait() error {
	e.later.Store(true)
	return errLater
}

// earlyInfo is what the planner knows of a file.
type earlyInfo struct {
	e    *early
	name string
	mode fs.FileMode
}

func (i earlyInfo) Name() string      { return i.name }
func (i earlyInfo) Mode() fs.FileMode { return i.mode }
func (i earlyInfo) IsDir() bool       { return i.mode.IsDir() }

// Size, ModTime and Sys are not known.
func (i earlyInfo) Size() int64        { i.e.wait(); return 0 }
func (i earlyInfo) ModTime() time.Time { i.e.wait(); return time.Time{} }
func (i earlyInfo) Sys() any           { i.e.wait(); return nil }

// tooEarly says whether a command depends on more than variables and the image.
func tooEarly(args []string) bool {
	switch args[0] {
	case "read", "mapfile", "readarray":
		return true
	case "test", "[":
		return slices.Contains(args, "-t")
	}
	return false
}
