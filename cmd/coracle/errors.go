package main

import (
	"errors"
	"fmt"
	"io/fs"
	"strings"

	"coracle/image"
	"coracle/image/sif"
	"coracle/runtime/probe"
	"coracle/squash"
)

// The exit statuses of our own; every other one is the payload's.
const (
	statusUsage   = 1   // the command line is wrong
	statusRuntime = 255 // the container could not be started
)

// A usageError is a command line that cannot be understood.
type usageError struct{ msg string }

func (e *usageError) Error() string { return e.msg }

func usageErrorf(format string, args ...any) error {
	return &usageError{fmt.Sprintf(format, args...)}
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

// line prints one line of ours. Under the names of Apptainer and Singularity it begins
// as theirs do: programs look for these words at the start of a line.
func (c *cli) line(kind, msg string) {
	msg = oneLine(msg)
	if c.program == "coracle" {
		fmt.Fprintf(c.err, "coracle: %s: %s\n", kind, msg)
		return
	}
	switch kind {
	case "error":
		fmt.Fprintf(c.err, "FATAL:   %s\n", msg)
	case "warning":
		fmt.Fprintf(c.err, "WARNING: %s\n", msg)
	default:
		fmt.Fprintf(c.err, "INFO:    %s: %s\n", kind, msg)
	}
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

// hint says what to type about err, or "".
func (c *cli) hint(err error) string {
	var missing *image.MissingError
	var userns *probe.UserNSError
	var fuse *probe.FuseError
	var kind *image.KindError
	switch {
	case errors.As(err, &missing):
		return missingHint(missing)
	case errors.As(err, &userns):
		return "ask the administrator to run: " + userns.Cure
	case errors.As(err, &fuse):
		return fuseHint(fuse)
	case errors.As(err, &kind):
		return kindHint(kind)
	}
	if h := launchHint(err); h != "" {
		return h
	}
	return imageHint(err)
}

func missingHint(e *image.MissingError) string {
	if len(e.Similar) == 0 {
		return ""
	}
	return "the directory has " + strings.Join(e.Similar, ", ")
}

func fuseHint(e *probe.FuseError) string {
	if errors.Is(e, fs.ErrPermission) {
		return "ask the administrator to run: chmod 0666 /dev/fuse"
	}
	return "ask the administrator to run: modprobe fuse"
}

func kindHint(e *image.KindError) string {
	switch e.Looks {
	case "a web page":
		return "the download answered with an error page: get the image again"
	case "nothing but zero bytes":
		return "the copy or download was cut short: get the image again"
	}
	return "file NAME says what it is; images are SIF files, squashfs files and directories"
}

func imageHint(err error) string {
	switch {
	case errors.Is(err, sif.ErrTruncated), errors.Is(err, squash.ErrCorrupt), errors.Is(err, sif.ErrFormat),
		errors.Is(err, image.ErrEmpty):
		return "the file is damaged or incomplete: compare its checksum with the original's, or get it again"
	case errors.Is(err, sif.ErrNoPrimary):
		return "siftool list IMAGE shows what it holds"
	case errors.Is(err, squash.ErrUnsupported):
		return "make it again: unsquashfs -d root IMAGE && mksquashfs root new.squashfs -comp zstd"
	case errors.Is(err, image.ErrExt):
		return "copy its files into a squashfs image: fuse2fs -o ro IMAGE mnt && mksquashfs mnt new.squashfs"
	case errors.Is(err, image.ErrEncrypted):
		return "build it again without encryption, or decrypt it where its key is"
	}
	return ""
}
