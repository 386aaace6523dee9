package layer

import (
	"archive/tar"
	"bytes"
	"errors"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"reflect"
	"strings"
	"testing"
	"time"

	"coracle/squash"
)

func archive(t testing.TB, headers ...tar.Header) []byte {
	t.Helper()
	var b bytes.Buffer
	w := tar.NewWriter(&b)
	for _, h := range headers {
		if err := w.WriteHeader(&h); err != nil {
			t.Fatal(err)
		}
		if h.Typeflag == tar.TypeReg {
			w.Write(bytes.Repeat([]byte{'x'}, int(h.Size)))
		}
	}
	if err := w.Close(); err != nil {
		t.Fatal(err)
	}
	return b.Bytes()
}

func readAll(r *Reader) ([]*Entry, error) {
	var list []*Entry
	for {
		e, err := r.Next()
		if err == io.EOF {
			return list, nil
		}
		if err != nil {
			return list, err
		}
		list = append(list, e)
	}
}

func TestReader(t *testing.T) {
	mtime := time.Unix(1_700_000_000, 0)
	long := strings.Repeat("long/", 60) + "name"
	b := archive(t,
		tar.Header{Typeflag: tar.TypeDir, Name: "./", Mode: 0o755, ModTime: mtime},
		tar.Header{Typeflag: tar.TypeReg, Name: "/etc/./passwd", Mode: 0o4644, Size: 5, Uid: 70000, Gid: 1 << 31, ModTime: mtime,
			PAXRecords: map[string]string{
				"SCHILY.xattr.security.capability":     "\x01\x00\x00\x02",
				"SCHILY.xattr.user.b":                  "2",
				"SCHILY.xattr.user.a":                  "1",
				"SCHILY.xattr.security.selinux":        "x",
				"SCHILY.xattr.system.posix_acl_access": "x",
			}},
		tar.Header{Typeflag: tar.TypeXGlobalHeader, PAXRecords: map[string]string{"comment": "c"}},
		tar.Header{Typeflag: tar.TypeSymlink, Name: "l", Linkname: "../etc/", Mode: 0o4600},
		tar.Header{Typeflag: tar.TypeLink, Name: "h", Linkname: "./etc/passwd", Mode: 0o644},
		tar.Header{Typeflag: tar.TypeChar, Name: "c", Devmajor: 5, Devminor: 300, Mode: 0o600},
		tar.Header{Typeflag: tar.TypeBlock, Name: "b", Devmajor: 8, Devminor: 1},
		tar.Header{Typeflag: tar.TypeFifo, Name: "p"},
		tar.Header{Typeflag: tar.TypeReg, Name: long, Format: tar.FormatGNU},
	)
	got, err := readAll(NewReader(bytes.NewReader(b), 2, nil))
	if err != nil {
		t.Fatal(err)
	}
	want := []*Entry{
		{Type: squash.Directory, Perm: 0o755, MTime: mtime.Unix()},
		{Name: "etc/passwd", Type: squash.Regular, Perm: 0o4644, Size: 5, UID: 70000, GID: 1 << 31, MTime: mtime.Unix(),
			Xattrs: []Xattr{{"security.capability", "\x01\x00\x00\x02"}, {"user.a", "1"}, {"user.b", "2"}}},
		{Name: "l", Type: squash.Symlink, Link: "../etc/", Perm: 0o777},
		{Name: "h", Kind: HardLink, Type: squash.Regular, Link: "etc/passwd", Perm: 0o644},
		{Name: "c", Type: squash.CharDevice, Rdev: 5<<8 | 300&0xff | 300&^0xff<<12, Perm: 0o600},
		{Name: "b", Type: squash.BlockDevice, Rdev: 8<<8 | 1},
		{Name: "p", Type: squash.Fifo},
		{Name: long, Type: squash.Regular},
	}
	for i, e := range want {
		e.Layer, e.Seq = 2, int32(i)
	}
	if len(got) != len(want) {
		t.Fatalf("%d entries, want %d", len(got), len(want))
	}
	for i := range want {
		if got[i].MTime <= 0 {
			got[i].MTime = want[i].MTime
		}
		if !reflect.DeepEqual(got[i], want[i]) {
			t.Errorf("entry %d = %+v, want %+v", i, *got[i], *want[i])
		}
	}
}

func TestReaderRefuses(t *testing.T) {
	for _, tt := range []struct {
		h   tar.Header
		err error
	}{
		{tar.Header{Typeflag: tar.TypeReg, Name: "a/../../b"}, ErrPath},
		{tar.Header{Typeflag: tar.TypeReg, Name: ".."}, ErrPath},
		{tar.Header{Typeflag: tar.TypeReg, Name: strings.Repeat("x", 256)}, ErrPath},
		{tar.Header{Typeflag: tar.TypeReg, Name: strings.Repeat("x/", 2100) + "x"}, ErrPath},
		{tar.Header{Typeflag: tar.TypeLink, Name: "a", Linkname: "../b"}, ErrLink},
		{tar.Header{Typeflag: tar.TypeLink, Name: "a", Linkname: "/"}, ErrLink},
		{tar.Header{Typeflag: tar.TypeSymlink, Name: "a", Linkname: strings.Repeat("x/", 2048) + "x"}, ErrValue},
		{tar.Header{Typeflag: tar.TypeChar, Name: "a", Devmajor: 1 << 12}, ErrValue},
		{tar.Header{Typeflag: tar.TypeReg, Name: "a", Uid: 1 << 32}, ErrValue},
		{tar.Header{Typeflag: 'Z', Name: "a"}, ErrType},
	} {
		_, err := readAll(NewReader(bytes.NewReader(archive(t, tt.h)), 0, nil))
		if !errors.Is(err, tt.err) {
			t.Errorf("%.30q: %v, want %v", tt.h.Name, err, tt.err)
		}
	}
}

func TestReaderLimits(t *testing.T) {
	file := tar.Header{Typeflag: tar.TypeReg, Name: "a", Size: 600}
	b := archive(t, file, file)
	if _, err := readAll(NewReader(bytes.NewReader(b), 0, &Limits{Size: 1200})); err != nil {
		t.Errorf("1200 of 1200 bytes: %v", err)
	}
	if _, err := readAll(NewReader(bytes.NewReader(b), 0, &Limits{Size: 1199})); !errors.Is(err, ErrTooLarge) {
		t.Errorf("1200 of 1199 bytes: %v, want ErrTooLarge", err)
	}
	if _, err := readAll(NewReader(bytes.NewReader(b), 0, &Limits{Entries: 1})); !errors.Is(err, ErrTooMany) {
		t.Errorf("2 of 1 entries: %v, want ErrTooMany", err)
	}
	shared := &Limits{Size: 2000}
	_, err := readAll(NewReader(bytes.NewReader(b), 0, shared))
	_, err2 := readAll(NewReader(bytes.NewReader(b), 1, shared))
	if err != nil || !errors.Is(err2, ErrTooLarge) {
		t.Errorf("two layers of 1200 bytes in 2000: %v, %v; want nil, ErrTooLarge", err, err2)
	}
	endless := io.MultiReader(bytes.NewReader(b), zeros{})
	r := NewReader(endless, 0, &Limits{Size: 1 << 20})
	if _, err := readAll(r); err != nil {
		t.Fatal(err)
	}
	if err := r.Drain(); !errors.Is(err, ErrTooLarge) {
		t.Errorf("an archive that never ends: %v, want ErrTooLarge", err)
	}
}

type zeros struct{}

func (zeros) Read(p []byte) (int, error) { clear(p); return len(p), nil }

func TestReaderTruncated(t *testing.T) {
	b := archive(t, tar.Header{Typeflag: tar.TypeReg, Name: "a", Size: 600}, tar.Header{Typeflag: tar.TypeReg, Name: "b", Size: 6})
	// Not the padding behind the contents: an archive may end there, and digests tell.
	for n := 1; n < 4*512; n += 7 {
		if n >= 512+600 && n <= 512+1024 {
			continue
		}
		_, err := readAll(NewReader(bytes.NewReader(b[:n]), 0, nil))
		if !errors.Is(err, ErrArchive) {
			t.Errorf("first %d bytes: %v, want ErrArchive", n, err)
		}
	}
}

// GNU tar writes sparse files in four formats; each reads as the whole file.
func TestReaderSparse(t *testing.T) {
	if _, err := exec.LookPath("tar"); err != nil {
		t.Skip("no tar")
	}
	dir := t.TempDir()
	f, err := os.Create(filepath.Join(dir, "s"))
	if err != nil {
		t.Fatal(err)
	}
	f.WriteAt([]byte("head"), 0)
	f.WriteAt([]byte("tail"), 1<<20)
	f.Close()
	want, _ := os.ReadFile(filepath.Join(dir, "s"))
	for _, format := range [][]string{
		{"--format=gnu"}, {"--format=posix", "--sparse-version=0.0"},
		{"--format=posix", "--sparse-version=0.1"}, {"--format=posix", "--sparse-version=1.0"},
	} {
		b, err := exec.Command("tar", append(format, "-C", dir, "-cS", "s")...).Output()
		if err != nil {
			t.Fatalf("tar %v: %v", format, err)
		}
		r := NewReader(bytes.NewReader(b), 0, nil)
		e, err := r.Next()
		if err != nil {
			t.Fatalf("%v: %v", format, err)
		}
		got, err := io.ReadAll(r)
		if err != nil || e.Size != int64(len(want)) || !bytes.Equal(got, want) {
			t.Errorf("%v: size %d, read %d bytes, %v; want %d", format, e.Size, len(got), err, len(want))
		}
		if len(b) > 1<<16 {
			t.Errorf("%v: the archive is not sparse", format)
		}
	}
}

func TestClean(t *testing.T) {
	for _, tt := range []struct {
		in, want string
		err      error
	}{
		{"", "", nil}, {".", "", nil}, {"./", "", nil}, {"/", "", nil},
		{"a", "a", nil}, {"./a//b/.", "a/b", nil}, {"/a/b/", "a/b", nil}, {"..a/b..", "..a/b..", nil},
		{"..", "", ErrPath}, {"a/..", "", ErrPath}, {"a\x00b", "", ErrPath},
	} {
		if got, err := Clean(tt.in); got != tt.want || !errors.Is(err, tt.err) {
			t.Errorf("Clean(%q) = %q, %v; want %q, %v", tt.in, got, err, tt.want, tt.err)
		}
	}
}

func FuzzReader(f *testing.F) {
	f.Add(archive(f, tar.Header{Typeflag: tar.TypeReg, Name: "a", Size: 3}, tar.Header{Typeflag: tar.TypeLink, Name: "b", Linkname: "a"},
		tar.Header{Typeflag: tar.TypeReg, Name: ".wh.c", PAXRecords: map[string]string{"SCHILY.xattr.user.a": "1"}}))
	f.Fuzz(func(t *testing.T, b []byte) {
		r := NewReader(bytes.NewReader(b), 0, &Limits{Size: 1 << 20, Entries: 1000})
		list, err := readAll(r)
		if err != nil {
			return
		}
		for _, e := range list {
			if clean, err := Clean(e.Name); err != nil || clean != e.Name {
				t.Errorf("name %q: Clean = %q, %v", e.Name, clean, err)
			}
			if e.Size < 0 || e.Size > 1<<20 {
				t.Errorf("%q has size %d", e.Name, e.Size)
			}
		}
		if tree, err := Merge([][]*Entry{list}); err == nil {
			tree.Walk(func(path string, _ uint32, _ squash.Type) {
				if clean, err := Clean(path); clean != path || err != nil && len(path) <= maxPath {
					t.Errorf("%q is in the tree", path)
				}
			})
		}
		sameList(t, list)
	})
}
