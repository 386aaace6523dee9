package image

import (
	"bytes"
	"errors"
	"io/fs"
	"os"
	"path/filepath"
	"reflect"
	goruntime "runtime"
	"strings"
	"testing"

	"coracle/image/ext"
	"coracle/image/sif"
	"coracle/squash"

	theirs "github.com/sylabs/sif/v2/pkg/sif"
	"golang.org/x/sys/unix"
)

const launchLine31 = "#!/usr/bin/env run-singularity\n"

// Every format shows the same tree, through symlinks too.
func TestFormats(t *testing.T) {
	for _, tt := range []struct {
		path   string
		format Format
		offset int64
		arch   string
		detail string
	}{
		{write(t, "a", appSquashfs), Squashfs, 0, "", "squashfs gzip, 31 files"},
		{write(t, "a.simg", []byte(launchLine31), appSquashfs), Simg, 31, "", "simg squashfs gzip, 31 files"},
		{write(t, "b", []byte("#!/opt/bin/run it\n"), appSquashfs), Simg, 18, "", "simg squashfs gzip, 31 files"},
		{sifFile(t, theirs.FsSquash, theirs.PartPrimSys, "arm64", appSquashfs), SIF, 32768, "arm64", "SIF squashfs gzip, 31 files"},
		{sandbox(t), Directory, 0, "", "directory"},
	} {
		link := filepath.Join(t.TempDir(), "link")
		if err := os.Symlink(tt.path, link); err != nil {
			t.Fatal(err)
		}
		img := mustOpen(t, link)
		if img.Format != tt.format || img.Offset != tt.offset || img.Arch != tt.arch || img.Detail() != tt.detail {
			t.Errorf("Open(%s) = %s at %d for %q, %q; want %s at %d for %q, %q", filepath.Base(tt.path),
				img.Format, img.Offset, img.Arch, img.Detail(), tt.format, tt.offset, tt.arch, tt.detail)
		}
		if img.Real != tt.path || img.Path != link {
			t.Errorf("Open(%s): paths %s and %s", link, img.Real, img.Path)
		}
		if got, err := img.Tree.ReadFile("/usr/bin/tool", 10); err != nil || string(got) != "x" {
			t.Errorf("%s: ReadFile = %q, %v", tt.format, got, err)
		}
	}
}

// A file without a name is an image as good as any, and stays the caller's.
func TestOpenFile(t *testing.T) {
	f, err := os.Open(write(t, "a", appSquashfs))
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	if err := os.Remove(f.Name()); err != nil {
		t.Fatal(err)
	}
	img, err := OpenFile(f, "docker://app:1")
	if err != nil {
		t.Fatal(err)
	}
	if got, err := img.Tree.ReadFile("/usr/bin/tool", 10); err != nil || string(got) != "x" {
		t.Errorf("ReadFile = %q, %v", got, err)
	}
	if img.Real != "docker://app:1" || img.Descriptor <= 0 || img.Descriptor == int(f.Fd()) {
		t.Errorf("path %s, descriptor %d of %d", img.Real, img.Descriptor, f.Fd())
	}
	img.Close()
	if _, err := f.Stat(); err != nil {
		t.Errorf("after Close: %v", err)
	}
}

func TestOpenErrors(t *testing.T) {
	dir := t.TempDir()
	for _, name := range []string{"blast_2.14.sif", "Blast.sif.bak", "other.sif", ".blast.sif"} {
		if err := os.WriteFile(filepath.Join(dir, name), nil, 0o600); err != nil {
			t.Fatal(err)
		}
	}
	if err := os.Symlink("gone", filepath.Join(dir, "dangling")); err != nil {
		t.Fatal(err)
	}
	if err := unix.Mkfifo(filepath.Join(dir, "fifo"), 0o600); err != nil {
		t.Fatal(err)
	}
	truncated := sifFile(t, theirs.FsSquash, theirs.PartPrimSys, "amd64", appSquashfs)
	if err := os.Truncate(truncated, 33000); err != nil {
		t.Fatal(err)
	}
	compressor := bytes.Clone(appSquashfs)
	compressor[20] = 9
	extHead := make([]byte, 2048)
	extHead[1080], extHead[1081] = 0x53, 0xef

	for _, tt := range []struct {
		path string
		want error  // nil: only the text counts
		text string // part of the message
	}{
		{filepath.Join(dir, "blast.sif"), fs.ErrNotExist, "no such file (in " + dir + ")"},
		{filepath.Join(dir, "no/x.sif"), fs.ErrNotExist, "there is no directory " + dir + "/no"},
		{filepath.Join(dir, "other.sif/x"), fs.ErrNotExist, "there is no directory " + dir + "/other.sif"},
		{filepath.Join(dir, "dangling"), fs.ErrNotExist, `a symlink to "gone", which does not exist`},
		{filepath.Join(dir, "fifo"), ErrNotFile, "neither a regular file nor a directory"},
		{filepath.Join(dir, "other.sif"), ErrEmpty, "the file is empty"},
		{"", fs.ErrNotExist, ""},
		{truncated, sif.ErrTruncated, "it has 33000 bytes"},
		{write(t, "s", appSquashfs[:1000]), squash.ErrCorrupt, "truncated"},
		{write(t, "c", compressor), squash.ErrUnsupported, "compressor 9"},
		{sifFile(t, theirs.FsSquash, theirs.PartData, "amd64", appSquashfs), sif.ErrNoPrimary, ""},
		{sifFile(t, theirs.FsEncryptedSquashfs, theirs.PartPrimSys, "amd64", appSquashfs), ErrEncrypted, ""},
		{sifFile(t, theirs.FsExt3, theirs.PartPrimSys, "amd64", extHead), ext.ErrCorrupt, ""},
		{sifFile(t, theirs.FsRaw, theirs.PartPrimSys, "amd64", extHead), nil, "its primary partition holds Raw"},
		{sifFile(t, theirs.FsSquash, theirs.PartPrimSys, "amd64", extHead), squash.ErrNotSquashfs, ""},
		{write(t, "e", extHead), ext.ErrCorrupt, ""},
		{write(t, "g", []byte("\x1f\x8bxx")), nil, "looks like a gzip archive"},
		{write(t, "d", []byte("\n# comment\nBootStrap: docker\n")), nil, "looks like a definition file"},
		{write(t, "h", []byte("#!/bin/sh\nhsqx")), nil, "looks like a script"},
		{write(t, "z", make([]byte, 100)), nil, "nothing but zero bytes"},
		{write(t, "t", []byte("hello")), nil, "neither SIF nor squashfs"},
	} {
		img, err := Open(tt.path)
		if err == nil {
			img.Close()
			t.Errorf("Open(%s): no error, want %q", tt.path, tt.text)
			continue
		}
		var pe *PathError
		if !errors.As(err, &pe) || pe.Path != tt.path || tt.want != nil && !errors.Is(err, tt.want) || !strings.Contains(err.Error(), tt.text) {
			t.Errorf("Open(%s): %v, want %q (%v)", tt.path, err, tt.text, tt.want)
		}
	}
	var missing *MissingError
	if _, err := Open(filepath.Join(dir, "blast.sif")); !errors.As(err, &missing) ||
		!reflect.DeepEqual(missing.Similar, []string{"blast_2.14.sif", "Blast.sif.bak"}) {
		t.Errorf("similar names: %v", err)
	}
}

func TestDirectoryNotReadable(t *testing.T) {
	dir := t.TempDir()
	if err := os.Chmod(dir, 0o300); err != nil {
		t.Fatal(err)
	}
	if os.Getuid() == 0 { // root reads every directory: be nobody on this thread
		if err := os.Chmod(filepath.Dir(dir), 0o755); err != nil {
			t.Fatal(err)
		}
		goruntime.LockOSThread()
		defer goruntime.UnlockOSThread()
		if _, err := unix.SetfsuidRetUid(65534); err != nil {
			t.Fatal(err)
		}
		defer unix.Setfsuid(0)
	}
	if _, err := Open(dir); !errors.Is(err, fs.ErrPermission) || !strings.Contains(err.Error(), "the directory is not readable") {
		t.Errorf("Open of a directory with mode 0300: %v", err)
	}
}

func TestOpenData(t *testing.T) {
	both := sifFile(t, theirs.FsSquash, theirs.PartPrimSys, "amd64", appSquashfs)
	data := sifFile(t, theirs.FsSquash, theirs.PartData, "amd64", appSquashfs)
	for _, tt := range []struct {
		path, id string
		want     error
	}{
		{both, "", nil},
		{both, "2", nil},
		{both, "1", sif.ErrNoPartition}, // the definition file
		{both, "9", sif.ErrNoPartition},
		{data, "", nil},
		{data, "2", nil},
		{write(t, "x", appSquashfs), "", nil},
	} {
		img, err := OpenData(tt.path, tt.id)
		if !errors.Is(err, tt.want) {
			t.Errorf("OpenData(%s, %q): %v, want %v", tt.path, tt.id, err, tt.want)
		}
		if err == nil {
			img.Close()
		}
	}
	if _, err := OpenData(write(t, "x", appSquashfs), "2"); err == nil {
		t.Error("OpenData of a squashfs file with a partition: no error")
	}
	if _, err := OpenData(both, "x"); err == nil {
		t.Error("OpenData of partition x: no error")
	}
}

func TestCheckArch(t *testing.T) {
	for _, tt := range []struct {
		arch, host string
		ok         bool
	}{
		{"", "amd64", true}, {"amd64", "amd64", true}, {"386", "amd64", true}, {"arm", "arm64", true},
		{"mips", "amd64", false}, {"amd64", "386", false},
	} {
		err := CheckArch(tt.arch, tt.host)
		if (err == nil) != tt.ok {
			t.Errorf("CheckArch(%q, %q) = %v", tt.arch, tt.host, err)
		}
	}
}

func TestDistance(t *testing.T) {
	for _, tt := range []struct {
		a, b string
		want int
	}{
		{"", "", 0}, {"abc", "abc", 0}, {"abc", "", 3}, {"", "abc", 3}, {"exce", "exec", 1}, {"bnd", "bind", 1}, {"kitten", "sitting", 3},
	} {
		if got := Distance(tt.a, tt.b); got != tt.want {
			t.Errorf("Distance(%q, %q) = %d, want %d", tt.a, tt.b, got, tt.want)
		}
	}
}

func BenchmarkOpen(b *testing.B) {
	path := sifFile(b, theirs.FsSquash, theirs.PartPrimSys, "amd64", appSquashfs)
	for b.Loop() {
		img, err := Open(path)
		if err != nil {
			b.Fatal(err)
		}
		img.Close()
	}
}
