package main

import (
	"errors"
	"fmt"
	"strings"
)

// The exit statuses of our own; every other one is the payload's.
const (
	statusUsage   = 1   // the command line is wrong
	statusRuntime = 255 // the container could not be started
)

// A usageError is a command line that cannot be understood.
type usageError struct {
	msg  string
	cure string // "": the message has it
}

func (e *usageError) Error() string { return e.msg }

func usageErrorf(format string, args ...any) error {
	return &usageError{msg: fmt.Sprintf(format, args...)}
}

// An exitError ends the program with a status and without words.
type exitError struct{ status int }

func (e *exitError) Error() string { return fmt.Sprintf("exit status %d", e.status) }

// report tells the user about err and returns the exit status.
func (c *cli) report(err error) int {
	var exit *exitError
	if errors.As(err, &exit) {
		return exit.status
	}
	c.line("error", err.Error())
	if h := c.hint(err); h != "" && !c.global.silent {
		c.line("hint", h)
	}
	var usage *usageError
	if errors.As(err, &usage) {
		return statusUsage
	}
	return statusRuntime
}

// warn prints a warning, unless the user wants none.
func (c *cli) warn(msg string) {
	if !c.global.silent {
		c.line("warning", msg)
	}
}

// line prints one line of ours: an "error", a "warning", a "hint", a "note" or a "debug". Under the names of Apptainer and Singularity it begins
// as theirs do: programs look for these words at the start of a line.
func (c *cli) line(kind, msg string) {
	msg = oneLine(msg)
	prefix := map[string]string{"error": "FATAL:   ", "warning": "WARNING: ", "hint": "INFO:    hint: ", "note": "INFO:    ", "debug": "DEBUG:   "}[kind]
	if c.program == "coracle" {
		prefix = "coracle: " + kind + ": "
	}
	fmt.Fprintf(c.err, "%s%s\n", prefix, msg)
}

// oneLine keeps a message on its line and free of control characters: parts of it come
// from images and command lines.
func oneLine(s string) string {
	return strings.Map(func(r rune) rune {
		if r < ' ' || r == 0x7f {
			return ' '
		}
		return r
	}, s)
}
