package env

import (
	"errors"
	"io"
	"io/fs"
	"os"
	"path"
	"slices"
	"strings"

	"golang.org/x/sys/unix"
)

// maxScript is the longest image script that is read, in bytes.
const maxScript = 1 << 20

// errTooLong answers for scripts longer than maxScript.
var errTooLong = errors.New("the script is longer than 1 MiB")

// Inside is the container as it is seen from within, right before the payload starts.
// Its zero value is the process's own root with / as working directory.
type Inside struct {
	Root string // the directory that stands for "/"; "" the process's own root. For tests
	Dir  string // the payload's working directory, absolute; "" means "/"

	// What the image's scripts read and write. nil means no input and no output.
	Stdin, Stdout, Stderr *os.File

	early *early // not nil: the container is not there yet
}

// host returns where the container's path is in the process's own tree.
func (in Inside) host(name string) string {
	if !path.IsAbs(name) {
		name = path.Join(in.dir(), name)
	}
	return in.Root + name
}

// dir is Dir with its default.
func (in Inside) dir() string {
	if in.Dir == "" {
		return "/"
	}
	return in.Dir
}

// readFile returns the contents of a regular file of at most maxScript bytes.
func (in Inside) readFile(name string) ([]byte, error) {
	if in.early != nil {
		return in.early.readFile(in.host(name))
	}
	fd, err := openRead(in.host(name))
	if err != nil {
		return nil, &fs.PathError{Op: "open", Path: name, Err: err}
	}
	defer unix.Close(fd)
	buf := make([]byte, 0, 4096)
	for {
		if len(buf) > maxScript {
			return nil, &fs.PathError{Op: "read", Path: name, Err: errTooLong}
		}
		buf = slices.Grow(buf, 4096)
		room := cap(buf) - len(buf)
		n, err := unix.Read(fd, buf[len(buf):cap(buf)])
		switch {
		case err == unix.EINTR:
		case err != nil:
			return nil, &fs.PathError{Op: "read", Path: name, Err: err}
		default:
			buf = buf[:len(buf)+n]
			if n < room { // the end, in a regular file
				return buf, nil
			}
		}
	}
}

// readHead returns the first bytes of a file, up to len(buf).
func (in Inside) readHead(name string, buf []byte) ([]byte, error) {
	if in.early != nil {
		return in.early.readHead(in.host(name), buf)
	}
	fd, err := openRead(in.host(name))
	if err != nil {
		return nil, err
	}
	defer unix.Close(fd)
	for {
		n, err := unix.Pread(fd, buf, 0)
		if err != unix.EINTR {
			return buf[:max(n, 0)], err
		}
	}
}

// openRead opens a file for reading without ever blocking on a fifo or a device.
func openRead(name string) (int, error) {
	for {
		fd, err := unix.Open(name, unix.O_RDONLY|unix.O_CLOEXEC|unix.O_NONBLOCK|unix.O_NOCTTY, 0)
		if err != unix.EINTR {
			return fd, err
		}
	}
}

// A kind is what stands at a path, symlinks followed.
type kind int

const (
	missing kind = iota
	regular
	directory
	other
)

// kind says what stands at name. A path that cannot be looked up is missing.
func (in Inside) kind(name string) kind {
	if in.early != nil {
		return in.early.kind(in.host(name))
	}
	var st unix.Stat_t
	if err := unix.Stat(in.host(name), &st); err != nil {
		return missing
	}
	switch st.Mode & unix.S_IFMT {
	case unix.S_IFREG:
		return regular
	case unix.S_IFDIR:
		return directory
	}
	return other
}

// executable says whether name is a file that the kernel would let us execute.
func (in Inside) executable(name string) bool {
	if in.early != nil {
		return in.early.check(name, in.host(name)) == nil
	}
	return in.kind(name) == regular && unix.Access(in.host(name), unix.X_OK) == nil
}

// scripts lists the *.sh files of a directory, sorted by name, and says whether the
// directory exists.
func (in Inside) scripts(dir string) ([]string, bool) {
	if in.early != nil {
		return in.early.scripts(dir)
	}
	fd, err := openRead(in.host(dir))
	if err != nil {
		return nil, false
	}
	defer unix.Close(fd)
	var names []string
	var buf [4096]byte
	for {
		n, err := unix.ReadDirent(fd, buf[:])
		if err == unix.EINTR {
			continue
		}
		if err != nil && names == nil {
			return nil, false // not a directory, or one that cannot be read
		}
		if err != nil || n <= 0 {
			break
		}
		_, _, names = unix.ParseDirent(buf[:n], -1, names)
	}
	return sortScripts(names), true
}

// sortScripts keeps the names of scripts and sorts them.
func sortScripts(names []string) []string {
	names = slices.DeleteFunc(names, func(name string) bool {
		return !strings.HasSuffix(name, ".sh") || strings.HasPrefix(name, ".")
	})
	slices.Sort(names)
	return names
}

// input, output and errput are the files of the scripts as the interpreter wants them:
// an interface that holds a nil pointer would not be nil.
func (in Inside) input() io.Reader {
	if in.Stdin == nil {
		return nil
	}
	return in.Stdin
}

func (in Inside) output() io.Writer {
	if in.Stdout == nil {
		return io.Discard
	}
	return in.Stdout
}

func (in Inside) errput() io.Writer {
	if in.Stderr == nil {
		return io.Discard
	}
	return in.Stderr
}
