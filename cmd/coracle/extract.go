package main

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"time"

	"coracle/runtime"
	"coracle/runtime/probe"
	"coracle/userns"

	"golang.org/x/sys/unix"
)

// room looks at the directories that image files may be extracted in: the one that is named, or else those for
// temporary files.
func (c *cli) room(req *runtime.Request) (places []runtime.Place) {
	dirs := []string{req.TmpDir}
	if req.TmpDir == "" {
		dirs = slices.Compact([]string{scratchDir(c.env), "/tmp", "/var/tmp"})
	}
	for _, dir := range dirs {
		places = append(places, probe.Place(dir))
	}
	return places
}

// waiting returns what shows on a terminal that an image is being extracted, or nil.
func (c *cli) waiting(p *runtime.Plan) func(took time.Duration) {
	f, ok := c.err.(*os.File)
	if !ok || p.Extract.Dir == "" || c.global.quiet || c.global.silent || getenv(c.env, "TERM") == "dumb" {
		return nil
	}
	if _, err := unix.IoctlGetTermios(int(f.Fd()), unix.TCGETS); err != nil {
		return nil
	}
	return func(took time.Duration) {
		if took < 0 {
			fmt.Fprint(c.err, "\r\x1b[K")
			return
		}
		fmt.Fprintf(c.err, "\r%s: extracting %s to %s (%s): %.0f s\x1b[K", c.program, oneLine(filepath.Base(p.Root.Path)), oneLine(p.Extract.Dir), p.Extract.Why, took.Seconds())
	}
}

// extractHint says what to do about an image that cannot be extracted, or mounted by fuse2fs.
func extractHint(err error) string {
	var room *runtime.RoomError
	var step *userns.StepError
	switch {
	case errors.As(err, &room):
		return "name a directory on a disk of this node: --tmpdir DIR, or TMPDIR"
	case errors.As(err, &step) && strings.HasPrefix(step.Step, "extract ") && errors.Is(err, unix.ENOSPC):
		return "name a directory with more room: --tmpdir DIR, or TMPDIR"
	case errors.As(err, &step) && strings.HasPrefix(step.Step, "extract ") && errors.Is(err, unix.EFBIG):
		return "files may not become that long here (ulimit -H -f): ask for a job without that limit"
	case errors.As(err, &step) && strings.Contains(step.Step, "with fuse2fs: "):
		return "look at it with e2fsck -fn IMAGE; a copy of it may have to be repaired: e2fsck -f COPY"
	case errors.As(err, &step) && errors.Is(err, unix.EBUSY) && strings.HasPrefix(step.Step, "overlay "):
		return "wait until that one has ended"
	case errors.As(err, &step) && strings.HasPrefix(step.Step, "extract ") && errors.Is(err, unix.EIO):
		return "the file may be damaged: compare its checksum with the original's, or get it again"
	}
	return ""
}
