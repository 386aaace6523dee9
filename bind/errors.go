package bind

import (
	"errors"
	"fmt"
	"io/fs"
)

// ErrSpec is what every error about the wording of a specification wraps.
var ErrSpec = errors.New("bad specification")

// ErrLoop is wrapped when a path passes through more than 40 symlinks, the kernel's own limit.
var ErrLoop = errors.New("too many levels of symbolic links")

// ErrRoot is wrapped when something should be mounted on "/" of the container.
var ErrRoot = errors.New("the root of the container cannot be covered")

// A SpecError says what is wrong with a specification. It wraps [ErrSpec].
type SpecError struct {
	What string // what was parsed: "bind", "mount", "home", "scratch", "no-mount"
	Spec string // the text as the user wrote it
	Msg  string // what is wrong with it
}

func (e *SpecError) Error() string { return fmt.Sprintf("%s %q: %s", e.What, e.Spec, e.Msg) }

// Unwrap returns [ErrSpec].
func (e *SpecError) Unwrap() error { return ErrSpec }

// A SourceError reports a path that was asked for and that the caller cannot reach.
type SourceError struct {
	Source string // absolute host path, or a path in the image file In
	In     string // "" the host
	Why    string // who asked: "--bind"
	Err    error  // wraps fs.ErrNotExist when nothing is there
}

func (e *SourceError) Error() string {
	in := ""
	if e.In != "" {
		in = " in " + e.In
	}
	return fmt.Sprintf("source %q%s%s: %s", e.Source, in, because(e.Why), reason(e.Err))
}

// Unwrap returns the cause.
func (e *SourceError) Unwrap() error { return e.Err }

// A PointError reports a mount point that is missing in a place where coracle can make
// none: in a directory of the host that an earlier mount shows, in another image, or in
// a file system of the kernel.
type PointError struct {
	Target string // the path in the container, as it was asked for
	Host   string // the host path to make, which cures it; "" when nothing does
	In     string // the host directory that it would be made in, which exists; "" without Host
	Kind   Kind   // Directory or File: what to make
	Why    string // who asked: "--bind"
}

func (e *PointError) Error() string {
	if e.Host == "" {
		return fmt.Sprintf("mount point %q%s does not exist and cannot be made there", e.Target, because(e.Why))
	}
	return fmt.Sprintf("mount point %q%s does not exist: %s is a directory of the host", e.Target, because(e.Why),
		e.In)
}

// Unwrap returns fs.ErrNotExist.
func (e *PointError) Unwrap() error { return fs.ErrNotExist }

// A ConflictError reports a mount of one kind onto a path of another, a directory onto a
// file or a file onto a directory, or a mount point whose path leads through a file.
type ConflictError struct {
	Source  string // what should be mounted; "" when it has no path
	Target  string // the path in the container, as it was asked for
	Kind    Kind   // of what should be mounted
	Why     string // who asked: "--bind"
	At      string // the path that is in the way, free of symlinks
	Through bool   // At is a file above the target
}

func (e *ConflictError) Error() string {
	if e.Through {
		return fmt.Sprintf("mount point %q%s: %s is not a directory", e.Target, because(e.Why), e.At)
	}
	what, is := "file", "a directory"
	if e.Kind == Directory {
		what, is = "directory", "a file"
	}
	if e.Source != "" {
		what += fmt.Sprintf(" %q", e.Source)
	}
	return fmt.Sprintf("cannot mount %s%s on %q: %s is %s", what, because(e.Why), e.Target, e.At, is)
}

// because puts the origin of a wish in parentheses.
func because(why string) string {
	if why == "" {
		return ""
	}
	return " (" + why + ")"
}

// reason words the causes that users meet, without the path that the caller already names.
func reason(err error) string {
	switch {
	case errors.Is(err, fs.ErrNotExist):
		return "no such file or directory"
	case errors.Is(err, fs.ErrPermission):
		return "permission denied"
	case errors.Is(err, ErrLoop):
		return ErrLoop.Error()
	}
	return err.Error()
}
