package env

import (
	"errors"
	"io/fs"
	"path"
	"slices"
	"strings"
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
	later bool // something has to wait for the container
}

// errLater: the answer needs the container itself.
var errLater = errors.New("not before the container is there")

// Early is [Spec.Resolve] while planning: with scripts that need no interpreter, and a command that
// the planner can find, a launch need not look at the image's files twice. dir is the payload's working
// directory. It answers false when the container has to be there, and for everything that ends in an error.
func (s Spec) Early(files Files, dir string) (Command, bool) {
	look := &early{files: files}
	cmd, err := s.Resolve(Inside{Dir: dir, early: look})
	return cmd, err == nil && !look.later
}

// ask notes an answer that is neither yes nor no.
func (e *early) ask(err error) error {
	if err != nil && !errors.Is(err, fs.ErrNotExist) {
		e.later = true
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
