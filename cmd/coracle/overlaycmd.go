package main

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path"
	"path/filepath"
	goruntime "runtime"
	"strings"
	"time"

	"coracle/image"
	"coracle/image/output"
	"coracle/image/seal"
	"coracle/runtime"
	"coracle/runtime/probe"
	"coracle/squash"

	"golang.org/x/sys/unix"
)

// overlayFlags are the flags of the parts of overlay.
type overlayFlags struct {
	dirs   []string
	force  bool
	writer writerFlags
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
				{name: "force", short: 'F', on: &f.force, keys: none, group: "Seal", help: "replace a file that is there"},
			}
			return append(t, f.writer.table()...), f.run
		},
	}
}

func (f *overlayFlags) run(c *cli, args []string) error {
	switch what := args[0]; {
	case what == "create" && len(args) == 2:
		return f.create(args[1])
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

// create makes an empty overlay directory. It has its name once it is complete.
func (f *overlayFlags) create(dir string) error {
	for _, d := range f.dirs {
		if !path.IsAbs(d) {
			return usageErrorf("--create-dir %s: want an absolute path inside the container", d)
		}
	}
	dir = filepath.Clean(dir)
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

// seal writes the layer in dir into a squashfs file.
func (f *overlayFlags) seal(c *cli, dir, file string) error {
	options, err := f.writer.options()
	if err != nil {
		return err
	}
	if options.Workers == 0 {
		options.Workers = goruntime.GOMAXPROCS(0)
	}
	tree, unlock, err := layerIn(dir)
	if err != nil {
		return err
	}
	defer unlock()
	if parent := filepath.Dir(file); !exists(parent) {
		return &fs.PathError{Op: "create a file in", Path: parent, Err: fs.ErrNotExist}
	}
	ctx, cause := interruptible()
	out, err := output.Create(file, 0o666, f.force)
	if err != nil {
		return err
	}
	defer out.Close()
	begin := time.Now()
	o := seal.Options{Squash: options, UID: os.Getuid(), GID: os.Getgid()}
	done := make(chan error, 1)
	var res seal.Result
	go func() {
		var err error
		res, err = seal.Write(out, tree, &o)
		done <- err
	}()
	select {
	case <-ctx.Done():
		return cause(ctx.Err())
	case err = <-done:
	}
	if err != nil {
		return fmt.Errorf("seal %s: %w", dir, err)
	}
	if err := errors.Join(out.Truncate(res.Size), out.Commit()); err != nil {
		return err
	}
	if !c.global.quiet && !c.global.silent {
		comp := "zstd"
		if options.Compression != (squash.Compression{}) {
			comp = options.Compression.String()
		}
		fmt.Fprintf(c.err, "%s  %d MiB  %s files  %s  %.1f s\n", file, (res.Size+1<<19)>>20,
			image.Thousands(int64(res.Inodes)), comp, time.Since(begin).Seconds())
	}
	return nil
}

// layerIn returns the directory of the files in the overlay directory dir, and keeps writers away from it
// until unlock is called.
func layerIn(dir string) (tree string, unlock func(), err error) {
	fd, err := unix.Open(dir, unix.O_RDONLY|unix.O_DIRECTORY|unix.O_CLOEXEC, 0)
	if err != nil {
		return "", nil, &fs.PathError{Op: "open", Path: dir, Err: err}
	}
	if err := runtime.LockOverlay(fd, strings.TrimSuffix(dir, "/")); err != nil {
		unix.Close(fd)
		return "", nil, err
	}
	tree = dir
	if upper := filepath.Join(dir, "upper"); isDir(upper) {
		tree = upper
	}
	return tree, func() { unix.Close(fd) }, nil
}
