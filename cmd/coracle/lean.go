//go:build lean

package main

import (
	"bytes"
	_ "embed" // the second program
	"errors"
	"fmt"
	"io/fs"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"

	"coracle/userns"

	"golang.org/x/sys/unix"
)

// A lean program has what launches need. What fetches and makes images needs the network
// and so costs every launch half a millisecond of initialisation, twice; it lives in the
// program without the tag lean, which is embedded here and takes over where it is needed.
//
//go:embed coracle-images
var imagesProgram string

// imagesName is what that program is called where it is installed by itself, for hosts
// that forbid executing files that lie in memory.
const imagesName = "../libexec/coracle/coracle-images"

// imagesPath returns a path to execute the second program by, and a file to keep open
// meanwhile, or nil.
func imagesPath() (string, *os.File, error) {
	if self, err := os.Readlink("/proc/self/exe"); err == nil {
		path := filepath.Join(filepath.Dir(self), imagesName)
		if unix.Access(path, unix.X_OK) == nil {
			return path, nil, nil
		}
	}
	fd, err := unix.MemfdCreate("coracle-images", unix.MFD_CLOEXEC|unix.MFD_EXEC)
	if errors.Is(err, unix.EINVAL) { // Linux before 6.3 does not know MFD_EXEC
		fd, err = unix.MemfdCreate("coracle-images", unix.MFD_CLOEXEC)
	}
	if err != nil {
		return "", nil, fmt.Errorf("memory for the program that makes images: %w", err)
	}
	f := os.NewFile(uintptr(fd), "coracle-images")
	if _, err := f.WriteString(imagesProgram); err != nil {
		f.Close()
		return "", nil, fmt.Errorf("memory for the program that makes images: %w", err)
	}
	return "/proc/self/fd/" + strconv.Itoa(fd), f, nil
}

// takeOver replaces this program by the second, with the same command line.
func takeOver() error {
	path, f, err := imagesPath()
	if err != nil {
		return err
	}
	if f != nil {
		defer f.Close()
	}
	return imagesError(unix.Exec(path, os.Args, userns.Environ()))
}

func imagesError(err error) error {
	if errors.Is(err, fs.ErrPermission) {
		return fmt.Errorf("this host does not let programs run from memory, and %s is not installed: %w", imagesName, err)
	}
	return fmt.Errorf("start the program that makes images: %w", err)
}

func (c *cli) makeFile(string, string, bool, *sourceFlags, *writerFlags) error { return takeOver() }
func (c *cli) makeSandbox(string, string, bool, *sourceFlags) error            { return takeOver() }
func (c *cli) push(string, string, *sourceFlags) error                         { return takeOver() }
func (c *cli) listCache(*cacheFlags) error                                     { return takeOver() }
func (c *cli) cleanCache(*cacheFlags, []string) error                          { return takeOver() }
func (c *cli) printCached(string, *cacheFlags) error                           { return takeOver() }
func (c *cli) login(string, *registryFlags) error                              { return takeOver() }
func (c *cli) logout(string, *registryFlags) error                             { return takeOver() }
func (c *cli) listLogins(*registryFlags) error                                 { return takeOver() }
func (f *overlayFlags) seal(*cli, string, string) error                        { return takeOver() }
func (f *overlayFlags) createImage(*cli, string) error                         { return takeOver() }
func (f *overlayFlags) addPartition(*cli, string) error                        { return takeOver() }

// sourceHint is for the second program's errors.
func (c *cli) sourceHint(error) string { return "" }

// cachedImage lets the second program fetch an image, and returns the path of its file.
func (c *cli) cachedImage(ref string, s *sourceFlags) (string, error) {
	var out bytes.Buffer
	err := c.runImages(&exec.Cmd{Args: c.pathArgs(ref, s), Stdout: &out})
	return strings.TrimSuffix(out.String(), "\n"), err
}

// writeImage lets the second program write the image of ref into f. It ends with us, as nobody else has the file.
func (c *cli) writeImage(f *os.File, ref string, s *sourceFlags) error {
	return c.runImages(&exec.Cmd{
		Args: c.pathArgs(ref, s, "--into=3"), ExtraFiles: []*os.File{f}, SysProcAttr: &unix.SysProcAttr{Pdeathsig: unix.SIGKILL},
	})
}

// runImages runs the second program with the arguments of cmd.
func (c *cli) runImages(cmd *exec.Cmd) error {
	path, f, err := imagesPath()
	if err != nil {
		return err
	}
	if f != nil {
		defer f.Close()
	}
	cmd.Path, cmd.Args, cmd.Env, cmd.Stderr = path, append([]string{c.program}, cmd.Args...), c.env, os.Stderr
	err = cmd.Run()
	var exit *exec.ExitError
	switch {
	case errors.As(err, &exit) && exit.Exited():
		return &exitError{exit.ExitCode()}
	case err != nil:
		return imagesError(err)
	}
	return nil
}

// pathArgs is the command line of `cache path` for a source, with more flags.
func (c *cli) pathArgs(ref string, s *sourceFlags, more ...string) []string {
	var args []string
	for i, on := range []bool{c.global.quiet, c.global.silent} {
		if on {
			args = append(args, []string{"--quiet", "--silent"}[i])
		}
	}
	args = append(append(args, "cache"), more...)
	for _, f := range s.table(true) {
		switch {
		case f.on != nil && *f.on:
			args = append(args, "--"+f.name)
		case f.str != nil && *f.str != "":
			args = append(args, "--"+f.name+"="+*f.str)
		}
	}
	return append(args, "--", "path", ref)
}

// runHelper finds no helper here: those are processes of the second program.
func runHelper([]string) (bool, error) { return false, nil }
