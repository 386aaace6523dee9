package env

import (
	"errors"
	"fmt"
)

// Reasons why a command cannot be run; an [ExecError] wraps one of them.
var (
	ErrNotFound      = errors.New("executable file not found in $PATH")
	ErrNoFile        = errors.New("no such file or directory")
	ErrNotExecutable = errors.New("permission denied: it is not executable")
	ErrDirectory     = errors.New("it is a directory")
	ErrInterpreter   = errors.New("its interpreter is not in the image")
	ErrArch          = errors.New("it is a program for another machine")
	ErrFormat        = errors.New("the kernel does not know its format")
	ErrNoShell       = errors.New("/bin/sh doesn't exist in container")
	ErrNoRunscript   = errors.New("the image has neither a runscript nor /bin/sh")
	ErrNoApp         = errors.New("the image has no such app")
	ErrEmpty         = errors.New("there is no command to run")
)

// An ExecError says why there is nothing to execute. The exit status that belongs to it
// is 255, the runtime's own.
type ExecError struct {
	Name   string // the command as it was asked for; "" when the action implies it
	Err    error  // one of the reasons above, or the kernel's
	Detail string // what else is known, for people: the interpreter, the PATH that was searched
}

// Error implements error.
func (e *ExecError) Error() string {
	msg := e.Err.Error()
	if e.Name != "" {
		msg = fmt.Sprintf("%q: %s", e.Name, msg)
	}
	if e.Detail != "" {
		msg += " (" + e.Detail + ")"
	}
	return msg
}

// Unwrap returns the reason.
func (e *ExecError) Unwrap() error { return e.Err }

// An Exit is an end without a payload: the image asks for it (an env script that calls
// exit, a script that was interpreted to its end) or there is nothing to do (test in an
// image without tests, which is a success).
type Exit struct {
	Status  int    // 0 to 255
	Message string // for people, without a final period; "" none
}

// Error implements error.
func (e *Exit) Error() string {
	if e.Message != "" {
		return e.Message
	}
	return fmt.Sprintf("exit status %d", e.Status)
}
