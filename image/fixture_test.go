package image

import (
	"bytes"
	_ "embed"
	"os"
	"path/filepath"
	"testing"

	"coracle/bind"

	theirs "github.com/sylabs/sif/v2/pkg/sif"
)

// appSquashfs holds metadata, an app and symlinks of every kind. Made by
//
//	mksquashfs TREE app.squashfs -all-root -nopad -no-xattrs -mkfs-time 0 -comp gzip -b 4096
//
//go:embed testdata/app.squashfs
var appSquashfs []byte

const deffile = "bootstrap: docker\nfrom: debian\n"

// write makes a file in a directory of its own and returns its path.
func write(t testing.TB, name string, parts ...[]byte) string {
	t.Helper()
	path := filepath.Join(t.TempDir(), name)
	if err := os.WriteFile(path, bytes.Join(parts, nil), 0o600); err != nil {
		t.Fatal(err)
	}
	return path
}

// sifFile makes a SIF file with the reference library: a definition file and one partition.
func sifFile(t testing.TB, fs theirs.FSType, part theirs.PartType, arch string, data []byte) string {
	t.Helper()
	path := filepath.Join(t.TempDir(), "app.sif")
	object := func(typ theirs.DataType, data []byte, opts ...theirs.DescriptorInputOpt) theirs.DescriptorInput {
		d, err := theirs.NewDescriptorInput(typ, bytes.NewReader(data), opts...)
		if err != nil {
			t.Fatal(err)
		}
		return d
	}
	f, err := theirs.CreateContainerAtPath(path, theirs.OptCreateDeterministic(), theirs.OptCreateWithDescriptors(
		object(theirs.DataDeffile, []byte(deffile)),
		object(theirs.DataPartition, data, theirs.OptPartitionMetadata(fs, part, arch)),
	))
	if err != nil {
		t.Fatal(err)
	}
	if err := f.UnloadContainer(); err != nil {
		t.Fatal(err)
	}
	return path
}

// unpack writes a tree to the directory dir.
func unpack(t testing.TB, tree bind.Tree, path, dir string) {
	t.Helper()
	names, err := tree.ReadDir(path)
	if err != nil {
		t.Fatal(err)
	}
	for _, name := range names {
		from, to := filepath.Join(path, name), filepath.Join(dir, name)
		e, err := tree.Lstat(from)
		if err != nil {
			t.Fatal(err)
		}
		switch e.Kind {
		case bind.Directory:
			if err := os.Mkdir(to, os.FileMode(e.Perm)); err != nil {
				t.Fatal(err)
			}
			unpack(t, tree, from, to)
		case bind.Symlink:
			if err := os.Symlink(e.Target, to); err != nil {
				t.Fatal(err)
			}
		case bind.File:
			b, err := tree.ReadFile(from, 1<<20)
			if err == nil {
				err = os.WriteFile(to, b, os.FileMode(e.Perm&0o777))
			}
			if err != nil {
				t.Fatal(err)
			}
		}
	}
}

// sandbox unpacks appSquashfs.
func sandbox(t testing.TB) string {
	t.Helper()
	img := mustOpen(t, write(t, "app.squashfs", appSquashfs))
	dir := t.TempDir()
	unpack(t, img.Tree, "/", dir)
	return dir
}

func mustOpen(t testing.TB, path string) *Image {
	t.Helper()
	img, err := Open(path)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { img.Close() })
	return img
}
