package main

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"syscall"

	"coracle/image"
	"coracle/image/record"
	"coracle/runtime"
	"coracle/runtime/remove"

	"golang.org/x/sys/unix"
)

func sandboxCommand() command {
	return command{
		name: "sandbox", args: "rm …", short: "remove directories that are images", group: "Images",
		about:    "rm removes what `build --sandbox` has made, files that belong to subordinate ids included.",
		examples: []string{`sandbox rm --dry-run box`, `sandbox rm box`},
		min:      1, max: 0,
		build: func() ([]flag, action) {
			return nil, func(*cli, []string) error { return nil } // never without a part
		},
		parts: func() []command { return []command{sandboxRmCommand()} },
	}
}

func sandboxRmCommand() command {
	return command{
		name: "sandbox rm", args: "DIR…", short: "remove a directory that is an image",
		about:    "Nothing else is removed: not a directory that is no image, not what a symbolic link leads to, and not what is mounted in it.",
		examples: []string{`sandbox rm --dry-run box`, `sandbox rm box`},
		min:      1, max: -1,
		build: func() ([]flag, action) {
			dry := false
			return []flag{{name: "dry-run", short: 'n', on: &dry, keys: []string{}, group: "Output", help: "say what would be removed"}},
				func(c *cli, args []string) error { return c.removeSandboxes(args, dry) }
		},
	}
}

// A sandboxError is a directory with which something cannot be done.
type sandboxError struct {
	what string // "sandbox rm", "pack", "copy"
	path string
	err  error
}

func (e *sandboxError) Error() string { return fmt.Sprintf("%s %s: %v", e.what, e.path, e.err) }

// Unwrap returns why.
func (e *sandboxError) Unwrap() error { return e.err }

var errNoSandbox = errors.New("it is no image: there is no .singularity.d in it")

// removeSandboxes looks at all of them before it removes the first.
func (c *cli) removeSandboxes(dirs []string, dry bool) error {
	foreign := false
	for _, dir := range dirs {
		if fi, err := os.Lstat(dir); err == nil && fi.IsDir() && unix.Access(dir, unix.R_OK|unix.X_OK) == unix.EACCES {
			if err := c.asRoot(); err != nil { // only then it can be seen what it is
				return &sandboxError{"sandbox rm", dir, err}
			}
		}
		if err := checkSandbox(dir); err != nil {
			return &sandboxError{"sandbox rm", dir, err}
		}
		n := countTree(dir)
		foreign = foreign || n.foreign > 0
		if dry {
			fmt.Fprintf(c.out, "remove  %s  %s\n", dir, n)
		}
	}
	if dry {
		return nil
	}
	if foreign {
		if err := c.asRoot(); err != nil {
			return &sandboxError{"sandbox rm", dirs[0], err}
		}
	}
	for _, dir := range dirs {
		if err := removeSandbox(filepath.Clean(dir)); err != nil {
			return &sandboxError{"sandbox rm", dir, err}
		}
	}
	return nil
}

// checkSandbox says no to what is no sandbox.
func checkSandbox(dir string) error {
	fi, err := os.Lstat(dir)
	switch {
	case err != nil:
		return errors.Unwrap(err)
	case fi.Mode()&fs.ModeSymlink != 0:
		return errors.New("it is a symbolic link")
	case !fi.IsDir():
		return unix.ENOTDIR
	case isDir(filepath.Join(dir, ".singularity.d")), exists(filepath.Join(dir, record.SpecName)):
		return nil
	}
	if _, err := unix.Lgetxattr(dir, record.CreatedAttr, nil); err == nil {
		return nil
	}
	return errNoSandbox
}

// A treeCount is what a tree has in it.
type treeCount struct {
	files, foreign int
	hidden         bool // there is more that cannot be looked at
}

func (n treeCount) String() string {
	s := image.Thousands(int64(n.files)) + " files"
	if n.hidden {
		s = "at least " + s
	}
	if n.foreign > 0 {
		s += fmt.Sprintf(", %s of other ids", image.Thousands(int64(n.foreign)))
	}
	return s
}

// countTree counts what is in a directory, and what of it belongs to somebody else.
func countTree(dir string) (n treeCount) {
	uid := uint32(os.Geteuid())
	filepath.WalkDir(dir, func(_ string, d fs.DirEntry, err error) error {
		if d == nil || err != nil { // a directory that cannot be read has been counted
			n.hidden = true
			return nil
		}
		n.files++
		fi, err := d.Info()
		if err != nil {
			return nil
		}
		if st := fi.Sys().(*syscall.Stat_t); st.Uid != uid {
			n.foreign++
		}
		return nil
	})
	return n
}

func removeSandbox(dir string) error {
	parent, err := unix.Open(filepath.Dir(dir), unix.O_PATH|unix.O_DIRECTORY|unix.O_CLOEXEC, 0)
	if err != nil {
		return err
	}
	defer unix.Close(parent)
	return remove.Tree(parent, filepath.Base(dir))
}

// sandboxHint says what helps to remove it.
func sandboxHint(err error) string {
	var none *runtime.NoIDsError
	var box *sandboxError
	switch {
	case !errors.As(err, &box):
	case errors.Is(err, fs.ErrPermission) && (box.what == "pack" || box.what == "copy"):
		return "if its files belong to subordinate ids: coracle build --fakeroot"
	case errors.Is(err, errNoSandbox):
		return "sandbox rm removes nothing but images; rm -r removes everything"
	case errors.Is(err, unix.EXDEV), errors.Is(err, unix.EBUSY):
		return "something is mounted in it: findmnt shows where"
	case errors.As(err, &none) && none.Cure != "":
		return none.Cure
	}
	return ""
}
