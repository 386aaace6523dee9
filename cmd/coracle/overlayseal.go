//go:build !lean

package main

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	goruntime "runtime"
	"strings"
	"time"

	"coracle/image"
	"coracle/image/output"
	"coracle/image/seal"
	"coracle/runtime"
	"coracle/squash"

	"golang.org/x/sys/unix"
)

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
	if err == unix.ENOENT {
		if _, missing := image.OpenOverlay(dir); missing != nil { // says what there is instead
			return "", nil, &overlayError{dir, missing}
		}
	}
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
