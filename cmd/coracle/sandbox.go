//go:build !lean

package main

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"

	"coracle/image"
	"coracle/image/build"
	"coracle/image/output"

	"golang.org/x/sys/unix"
)

// makeSandbox unpacks the image of ref into the directory dir.
func (c *cli) makeSandbox(dir, ref string, force bool, s *sourceFlags) error {
	m, err := c.newMaker(s, &writerFlags{})
	if err != nil {
		return err
	}
	ctx, cause := interruptible()
	return cause(m.sandbox(ctx, filepath.Clean(dir), ref, force))
}

func (m *maker) sandbox(ctx context.Context, dir, ref string, force bool) error {
	defer m.show.stop()
	if err := replaceable(dir, force); err != nil {
		return err
	}
	img, err := m.source(ctx, ref)
	if err != nil {
		return err
	}
	defer img.Close()
	if img.Format == image.Directory {
		if err := apart(dir, img.Real); err != nil {
			return &sandboxError{"copy", ref, err}
		}
	}
	if img.Squash != nil { // unpacked, it is larger
		if err := output.NeedSpace(filepath.Dir(dir), img.Size); err != nil {
			return err
		}
	}
	// It is beside its place until it is complete.
	temp, err := os.MkdirTemp(filepath.Dir(dir), "."+filepath.Base(dir)+".")
	if err != nil {
		return err
	}
	defer removeAll(temp)
	root, err := os.OpenRoot(temp)
	if err != nil {
		return err
	}
	defer root.Close()
	made, err := build.Unpack(ctx, img, root)
	if err != nil && img.Format == image.Directory && errors.Is(err, fs.ErrPermission) {
		return &sandboxError{"copy", ref, err}
	}
	if errors.Is(err, unix.ENOSPC) || errors.Is(err, unix.EDQUOT) {
		return &fs.PathError{Op: "unpack into", Path: dir, Err: unix.ENOSPC}
	}
	if err != nil {
		return &image.PathError{Path: ref, Err: err}
	}
	if err := publishDir(temp, dir); err != nil {
		return err
	}
	if removeAll(temp); exists(temp) {
		m.c.warn("what was there before cannot be removed; try: " + m.c.program + " sandbox rm " + temp)
	}
	m.show.stop()
	if !m.c.global.quiet && !m.c.global.silent {
		fmt.Fprintf(m.c.err, "%s  %d MiB  %s files\n", dir, (made.Size+1<<19)>>20, image.Thousands(int64(made.Inodes)))
	}
	return nil
}

// replaceable says no to a place that something else has: only images are ever replaced.
func replaceable(dir string, force bool) error {
	fi, err := os.Lstat(dir)
	if errors.Is(err, os.ErrNotExist) {
		return nil
	}
	if err != nil {
		return err
	}
	if !force {
		return fmt.Errorf("%s: %w", dir, output.ErrExists)
	}
	if fi.IsDir() {
		left, err := os.ReadDir(dir)
		if err != nil || len(left) == 0 || checkSandbox(dir) == nil {
			return err
		}
	} else if img, err := image.Open(dir); err == nil {
		return img.Close()
	}
	return fmt.Errorf("%s: %w, and is no image: it is not replaced", dir, output.ErrExists)
}

// Copies that would not end, or whose source --force would remove.
var (
	errInSource = errors.New("the copy would lie in what is copied")
	errInCopy   = errors.New("it lies in the directory that the copy would replace")
)

// apart says no to a copy of the directory source, an absolute path without links, to dir when one lies in the other or both are one.
func apart(dir, source string) error {
	place, err := filepath.EvalSymlinks(filepath.Dir(dir))
	if err == nil {
		place, err = filepath.Abs(place)
	}
	if err != nil {
		return err
	}
	from, err := os.Stat(source)
	if err != nil {
		return err
	}
	if to, err := os.Lstat(dir); err == nil && liesIn(source, to) {
		return errInCopy
	}
	if liesIn(place, from) {
		return errInSource
	}
	return nil
}

// liesIn tells whether path, absolute and without links, is the directory dir or below it, under whatever name it is mounted.
func liesIn(path string, dir os.FileInfo) bool {
	for ; ; path = filepath.Dir(path) {
		if fi, err := os.Lstat(path); err == nil && os.SameFile(fi, dir) {
			return true
		}
		if path == filepath.Dir(path) {
			return false
		}
	}
}

// source opens the image of ref, fetched and converted if need be.
func (m *maker) source(ctx context.Context, ref string) (*image.Image, error) {
	if !image.IsReference(ref) || exists(ref) {
		return image.Open(ref)
	}
	if m.cache != nil {
		path, err := m.cached(ctx, ref)
		if err != nil {
			return nil, err
		}
		return image.Open(path)
	}
	f, err := output.Nameless(m.oci.TempDir)
	if err != nil {
		return nil, fmt.Errorf("a file for %s: %w", ref, err)
	}
	defer f.Close()
	if _, err := m.fill(ctx, f, ref, m.oci.TempDir); err != nil {
		return nil, err
	}
	return image.OpenFile(f, ref)
}

// publishDir gives the directory temp its name. What had the name is removed afterwards.
func publishDir(temp, dir string) error {
	err := unix.Renameat2(unix.AT_FDCWD, temp, unix.AT_FDCWD, dir, unix.RENAME_EXCHANGE)
	if errors.Is(err, unix.ENOENT) {
		return os.Rename(temp, dir)
	}
	if errors.Is(err, unix.EINVAL) { // NFS
		old := temp + ".old"
		if err = os.Rename(dir, old); err == nil {
			defer removeAll(old)
			err = os.Rename(temp, dir)
		}
	}
	return err
}

// removeAll removes a tree, as far as that can be done.
func removeAll(dir string) { removeSandbox(dir) }
