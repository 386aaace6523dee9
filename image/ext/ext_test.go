package ext

import (
	"bytes"
	"errors"
	"io/fs"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"testing"
)

// mke2fs makes a file system of a directory with the given options of mke2fs.
func mke2fs(t testing.TB, dir string, options ...string) []byte {
	t.Helper()
	tool, err := exec.LookPath("mke2fs")
	if err != nil {
		tool = "/usr/sbin/mke2fs"
	}
	img := filepath.Join(t.TempDir(), "img")
	cmd := exec.Command(tool, append(options, "-q", "-F", "-d", dir, img, "8M")...)
	if out, err := cmd.CombinedOutput(); errors.Is(err, fs.ErrNotExist) {
		t.Skip("no mke2fs")
	} else if err != nil {
		t.Fatalf("%v: %v: %s", cmd, err, out)
	}
	b, err := os.ReadFile(img)
	if err != nil {
		t.Fatal(err)
	}
	return b
}

func sample(t testing.TB) string {
	t.Helper()
	dir := t.TempDir()
	long := strings.Repeat("long/", 30)
	for _, err := range []error{
		os.MkdirAll(filepath.Join(dir, "a/b"), 0o755),
		os.Mkdir(filepath.Join(dir, "many"), 0o700),
		os.WriteFile(filepath.Join(dir, "a/small"), []byte("hello"), 0o640),
		os.WriteFile(filepath.Join(dir, "a/large"), pattern(700_000), 0o644), // beyond direct blocks
		os.Symlink("small", filepath.Join(dir, "a/link")),
		os.Symlink(long, filepath.Join(dir, "a/longlink")),
	} {
		if err != nil {
			t.Fatal(err)
		}
	}
	f, err := os.Create(filepath.Join(dir, "holes"))
	if err == nil {
		_, err = f.WriteAt([]byte("end"), 300_000)
		f.Close()
	}
	for i := range 400 {
		err = errors.Join(err, os.WriteFile(filepath.Join(dir, "many", "some name "+strconv.Itoa(i)), nil, 0o644))
	}
	if err != nil {
		t.Fatal(err)
	}
	return dir
}

func pattern(n int) []byte {
	b := make([]byte, n)
	for i := range b {
		b[i] = byte(i * i >> 7)
	}
	return b
}

// What mke2fs writes is read as it was, with block maps and extents, small blocks and large ones, 32 and 64 bits.
func TestRead(t *testing.T) {
	dir := sample(t)
	for _, options := range [][]string{
		{"-t", "ext2", "-b", "1024"}, {"-t", "ext3"}, {"-t", "ext4", "-b", "1024"}, {"-t", "ext4", "-b", "4096", "-O", "64bit"}, {"-t", "ext4", "-I", "128", "-O", "^64bit"},
	} {
		img := mke2fs(t, dir, options...)
		r, err := Open(bytes.NewReader(img), int64(len(img)))
		if err != nil {
			t.Fatalf("%v: Open: %v", options, err)
		}
		compare(t, r, dir, options)
	}
}

func compare(t *testing.T, r *Reader, dir string, options []string) {
	err := filepath.WalkDir(dir, func(path string, d fs.DirEntry, err error) error {
		if err != nil {
			return err
		}
		name := strings.TrimPrefix(path, dir)
		ino, err := r.Walk(name)
		fi, _ := d.Info()
		if err != nil || fs.FileMode(ino.Perm) != fi.Mode().Perm() && d.Type() != fs.ModeSymlink && name != "" {
			t.Errorf("%v: Walk(%q) = %+v, %v; want %v", options, name, ino, err, fi.Mode())
			return nil
		}
		switch d.Type() {
		case fs.ModeDir:
			names, err := r.Names(&ino)
			entries, _ := os.ReadDir(path)
			want := []string{}
			for _, e := range entries {
				want = append(want, e.Name())
			}
			names = slices.DeleteFunc(names, func(s string) bool { return s == "lost+found" })
			slices.Sort(names)
			if err != nil || !slices.Equal(names, want) {
				t.Errorf("%v: Names(%q) = %d names, %v; want %d", options, name, len(names), err, len(want))
			}
		case fs.ModeSymlink:
			got, err := r.Readlink(&ino)
			if want, _ := os.Readlink(path); got != want || err != nil {
				t.Errorf("%v: Readlink(%q) = %q, %v; want %q", options, name, got, err, want)
			}
		default:
			want, _ := os.ReadFile(path)
			got := make([]byte, ino.Size)
			if _, err := r.ReadAt(&ino, got, 0); err != nil || !bytes.Equal(got, want) {
				t.Errorf("%v: ReadAt(%q): %d bytes, %v; want the %d written", options, name, len(got), err, len(want))
			}
		}
		return nil
	})
	if err != nil {
		t.Error(err)
	}
	if _, err := r.Walk("/a/none"); !errors.Is(err, fs.ErrNotExist) {
		t.Errorf("Walk of nothing: %v", err)
	}
	if _, err := r.Walk("/a/small/x"); !errors.Is(err, ErrNotDir) {
		t.Errorf("Walk through a file: %v", err)
	}
}

func TestOpenErrors(t *testing.T) {
	img := mke2fs(t, sample(t), "-t", "ext4")
	encrypted := bytes.Clone(img)
	encrypted[1024+0x62] |= 1 // INCOMPAT_ENCRYPT
	noInodes := bytes.Clone(img)
	copy(noInodes[1024+0x28:], []byte{0, 0, 0, 0})
	for _, tt := range []struct {
		img  []byte
		want error
	}{
		{nil, ErrCorrupt}, {img[:1500], ErrCorrupt}, {make([]byte, 4096), ErrCorrupt}, {encrypted, ErrUnsupported}, {noInodes, ErrCorrupt},
	} {
		if _, err := Open(bytes.NewReader(tt.img), int64(len(tt.img))); !errors.Is(err, tt.want) {
			t.Errorf("Open of %d bytes: %v, want %v", len(tt.img), err, tt.want)
		}
	}
}

// FuzzRead reads damaged file systems: no panic, no endless loop, no large allocation.
func FuzzRead(f *testing.F) {
	img := mke2fs(f, sample(f), "-t", "ext4", "-b", "1024", "-N", "512")
	for at := 1024; at < len(img) && at < 200_000; at += 1511 {
		f.Add(uint32(at), byte(0xff), uint32(1024+at%1024), byte(1))
	}
	f.Fuzz(func(t *testing.T, at1 uint32, x1 byte, at2 uint32, x2 byte) {
		i, j := int(at1)%len(img), int(at2)%len(img)
		a, b := img[i], img[j]
		img[i] ^= x1
		img[j] ^= x2
		defer func() { img[i], img[j] = a, b }()
		r, err := Open(bytes.NewReader(img), int64(len(img)))
		if err != nil {
			return
		}
		for _, name := range []string{"/", "/a", "/a/large", "/a/longlink", "/many", "/holes"} {
			ino, err := r.Walk(name)
			if err != nil {
				continue
			}
			r.Names(&ino)
			r.Readlink(&ino)
			r.Opaque(&ino)
			r.ReadAt(&ino, make([]byte, 4096), max(0, ino.Size-4096))
		}
	})
}
