package env

import (
	"bytes"
	"path"
	"strings"

	"golang.org/x/sys/unix"
)

// lookPath finds the file of a command as execvp(3) does: a name with a slash is the
// path itself, else the first executable file in the directories of list counts.
func (in Inside) lookPath(name, list string) (string, error) {
	if strings.Contains(name, "/") {
		return name, in.check(name, name)
	}
	var first error
	for _, dir := range strings.Split(list, ":") {
		if dir == "" {
			dir = "."
		}
		file := path.Join(dir, name)
		if dir == "." {
			file = "./" + name
		}
		switch in.kind(file) {
		case missing, directory:
			continue
		}
		err := in.check(name, file)
		if err == nil {
			return file, nil
		}
		if first == nil {
			first = err
		}
	}
	if first != nil {
		return "", first
	}
	return "", &ExecError{Name: name, Err: ErrNotFound, Detail: "PATH is " + list}
}

// check says why a file cannot be executed, as far as its entry tells.
func (in Inside) check(name, file string) error {
	if in.early != nil {
		return in.early.check(name, in.host(file))
	}
	var st unix.Stat_t
	err := unix.Stat(in.host(file), &st)
	switch {
	case err == unix.ENOENT || err == unix.ENOTDIR:
		return &ExecError{Name: name, Err: ErrNoFile}
	case err != nil:
		return &ExecError{Name: name, Err: err}
	case st.Mode&unix.S_IFMT == unix.S_IFDIR:
		return &ExecError{Name: name, Err: ErrDirectory}
	case unix.Access(in.host(file), unix.X_OK) != nil:
		return &ExecError{Name: name, Err: ErrNotExecutable, Detail: detail(name, file)}
	}
	return nil
}

// detail is the file when the name does not already say it.
func detail(name, file string) string {
	if name == file {
		return ""
	}
	return file
}

// shebang returns the interpreter of a "#!" line and whether the file starts with one.
func shebang(head []byte) (interpreter string, ok bool) {
	rest, ok := bytes.CutPrefix(head, []byte("#!"))
	if !ok {
		return "", false
	}
	line, _, _ := bytes.Cut(rest, []byte("\n"))
	fields := strings.FieldsFunc(string(line), func(r rune) bool { return r == ' ' || r == '\t' || r == 0 })
	if len(fields) == 0 {
		return "", true
	}
	return fields[0], true
}

// shellName says whether an interpreter is a shell whose language is understood here.
func shellName(interpreter string) bool {
	switch path.Base(interpreter) {
	case "sh", "bash", "dash", "ash":
		return true
	}
	return false
}
