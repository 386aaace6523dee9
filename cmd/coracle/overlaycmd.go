package main

import (
	"errors"
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
	dirs     []string
	force    bool
	size     string
	sparse   bool
	fakeroot bool
	writer   writerFlags
}

func overlayCommand() command {
	return command{
		name: "overlay", args: "create DIR|FILE | seal DIR FILE", short: "make writable layers, and files of them", group: "Images",
		about: "create makes a directory for --overlay DIR or, with --size, a file with an ext4 file system, or adds\n" +
			"one to a SIF file, for exec --writable FILE. seal writes what has come to be in a directory into a\n" +
			"squashfs file, which many jobs can lay over an image at once: --overlay FILE.",
		examples: []string{
			`overlay create --create-dir /opt/tools layer`,
			`overlay create --size 1024 --sparse layer.img`,
			`overlay seal layer tools.sqsh`,
		},
		min: 2, max: 3,
		build: func() ([]flag, action) {
			f := &overlayFlags{}
			none := []string{}
			t := []flag{
				{name: "create-dir", arg: "DIR", list: &f.dirs, keys: none, group: "Create", help: "a directory of the container to make in it; repeat"},
				{name: "size", short: 's', arg: "MIB", str: &f.size, keys: none, group: "Create", help: "a file system of this size, in MiB or as 20G (64)"},
				{name: "sparse", short: 'S', on: &f.sparse, keys: none, group: "Create", help: "that takes room on the disk only as it fills"},
				{name: "fakeroot", short: 'f', on: &f.fakeroot, keys: none, group: "Create", help: "that belongs to root, for exec --fakeroot"},
				{name: "force", short: 'F', on: &f.force, keys: none, group: "Seal", help: "replace a file that is there"},
			}
			return append(t, f.writer.table()...), f.run
		},
	}
}

func (f *overlayFlags) run(c *cli, args []string) error {
	switch what := args[0]; {
	case what == "create" && len(args) == 2:
		return f.create(c, args[1])
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

// errHasLayer: what is written can go to one place only.
var errHasLayer = errors.New("it has a writable overlay partition already")

// A sifOverlayError is a SIF file that cannot get a writable overlay partition.
type sifOverlayError struct {
	path string
	err  error
}

func (e *sifOverlayError) Error() string {
	return fmt.Sprintf("%s: add an overlay partition: %v", e.path, e.err)
}

func (e *sifOverlayError) Unwrap() error { return e.err }

func (e *sifOverlayError) hint() string {
	if errors.Is(e.err, errHasLayer) {
		return "write to it: coracle exec --writable " + e.path + " …"
	}
	return "make a layer beside it: coracle overlay create --size MIB FILE, then exec --overlay FILE " + e.path
}

// create makes an empty layer: a directory, a file, or a partition of a SIF file.
func (f *overlayFlags) create(c *cli, path string) error {
	path = filepath.Clean(path)
	for _, d := range f.dirs {
		if !filepath.IsAbs(d) {
			return usageErrorf("--create-dir %s: want an absolute path inside the container", d)
		}
	}
	if img, err := image.Open(path); err == nil && img.Close() == nil && img.SIF != nil {
		return f.addPartition(c, path)
	}
	if exists(path) {
		return fmt.Errorf("%s is there already: choose another name, or remove it", path)
	}
	if f.size != "" || f.sparse || f.fakeroot {
		return f.createImage(c, path)
	}
	return f.createDir(path)
}

// createDir makes an empty overlay directory. It has its name once it is complete.
func (f *overlayFlags) createDir(dir string) error {
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
