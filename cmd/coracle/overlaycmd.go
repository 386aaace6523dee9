package main

import (
	"fmt"
	"os"
	"path"
	"path/filepath"

	"coracle/image"
	"coracle/runtime"
	"coracle/runtime/probe"

	"golang.org/x/sys/unix"
)

// overlayFlags are the flags of the parts of overlay.
type overlayFlags struct {
	dirs    []string
	force   bool
	size    string
	ignored bool // flags of images that mean nothing for a directory
	writer  writerFlags
}

func overlayCommand() command {
	return command{
		name: "overlay", args: "create DIR | seal DIR FILE", short: "make writable layers, and files of them", group: "Images",
		about: "create makes a directory for --overlay DIR; seal writes what has come to be in one into a squashfs\n" +
			"file, which many jobs can lay over an image at once: --overlay FILE.",
		examples: []string{
			`overlay create --create-dir /opt/tools layer`,
			`exec --overlay layer app.sif pip install --target /opt/tools rich`,
			`overlay seal layer tools.sqsh`,
		},
		min: 2, max: 3,
		build: func() ([]flag, action) {
			f := &overlayFlags{}
			none := []string{}
			t := []flag{
				{name: "create-dir", arg: "DIR", list: &f.dirs, keys: none, group: "Create", help: "a directory of the container to make in it; repeat"},
				{name: "size", short: 's', arg: "MIB", str: &f.size, keys: none, hidden: true},
				{name: "sparse", short: 'S', on: &f.ignored, keys: none, hidden: true},
				{name: "fakeroot", short: 'f', on: &f.ignored, keys: none, hidden: true},
				{name: "force", short: 'F', on: &f.force, keys: none, group: "Seal", help: "replace a file that is there"},
			}
			return append(t, f.writer.table()...), f.run
		},
	}
}

func (f *overlayFlags) run(c *cli, args []string) error {
	switch what := args[0]; {
	case what == "create" && len(args) == 2:
		err := f.create(args[1])
		if err == nil && f.size != "" {
			c.warn(args[1] + " is a directory: its size is not limited")
		}
		return err
	case what == "seal" && len(args) == 3 && len(f.dirs) > 0:
		return usageErrorf("overlay seal: --create-dir goes with create")
	case what == "seal" && len(args) == 3:
		return f.seal(c, args[1], args[2])
	case what == "create", what == "seal":
		return usageErrorf("overlay %s: wrong number of arguments", what)
	default:
		return usageErrorf("overlay: %q is none of create, seal", what)
	}
}

// A sifOverlayError is a SIF file that is to get a writable overlay partition.
type sifOverlayError struct{ path string }

func (e *sifOverlayError) Error() string {
	return fmt.Sprintf("%s: a writable layer in a SIF file would be an ext file system, which the kernel cannot write to without privileges", e.path)
}

func (e *sifOverlayError) hint() string {
	return "coracle overlay create DIR makes a directory; exec --overlay DIR " + e.path + " writes to it"
}

// create makes an empty overlay directory. It has its name once it is complete.
func (f *overlayFlags) create(dir string) error {
	for _, d := range f.dirs {
		if !path.IsAbs(d) {
			return usageErrorf("--create-dir %s: want an absolute path inside the container", d)
		}
	}
	dir = filepath.Clean(dir)
	if img, err := image.Open(dir); err == nil && img.Close() == nil && img.SIF != nil {
		return &sifOverlayError{dir}
	}
	if exists(dir) {
		return fmt.Errorf("%s is there already", dir)
	}
	parent := filepath.Dir(dir)
	if place := probe.Place(parent); place.FS != "" {
		return &runtime.UpperError{Path: parent, Why: "overlay create in", FS: place.FS}
	}
	temp, err := os.MkdirTemp(parent, "."+filepath.Base(dir)+".")
	if err != nil {
		return err
	}
	defer os.RemoveAll(temp) // it has another name by then
	if err := os.Chmod(temp, 0o755); err != nil {
		return err
	}
	for _, sub := range append([]string{"upper", "work"}, under("upper", f.dirs)...) {
		if err := os.MkdirAll(filepath.Join(temp, sub), 0o755); err != nil {
			return err
		}
	}
	if err := unix.Renameat2(unix.AT_FDCWD, temp, unix.AT_FDCWD, dir, unix.RENAME_NOREPLACE); err != nil {
		return fmt.Errorf("make %s: %w", dir, err)
	}
	return nil
}

// under puts absolute paths of a container below dir.
func under(dir string, paths []string) (out []string) {
	for _, p := range paths {
		out = append(out, filepath.Join(dir, path.Clean(p)))
	}
	return out
}
