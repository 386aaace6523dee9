//go:build !lean

package main

import (
	"context"
	"fmt"
	"os"
	"path/filepath"

	"coracle/image"
	"coracle/image/oci"
	"coracle/image/sif"
)

// push stores the SIF file at path in a registry.
func (c *cli) push(path, ref string, s *sourceFlags) error {
	f, err := os.Open(path)
	if err != nil {
		return err
	}
	defer f.Close()
	fi, err := f.Stat()
	if err != nil {
		return err
	}
	if _, err := sif.Read(f, fi.Size()); err != nil {
		return &image.PathError{Path: path, Err: err}
	}
	s.disableCache = true
	m, err := c.newMaker(s, &writerFlags{})
	if err != nil {
		return err
	}
	ctx, cause := interruptible()
	return cause(m.push(ctx, f, fi.Size(), ref))
}

func (m *maker) push(ctx context.Context, f *os.File, size int64, ref string) error {
	defer m.show.stop()
	digest, err := oci.Push(ctx, f, size, filepath.Base(f.Name()), ref, &m.oci)
	if err != nil {
		return err
	}
	m.show.stop()
	if !m.c.global.quiet && !m.c.global.silent {
		fmt.Fprintf(m.c.err, "%s  %d MiB  %s\n", oneLine(oci.WithoutPassword(ref)), (size+1<<19)>>20, digest)
	}
	return nil
}
