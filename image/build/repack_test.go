package build

import (
	"archive/tar"
	"context"
	"errors"
	"os"
	"path/filepath"
	"testing"

	"coracle/image"
	"coracle/image/layer"
	"coracle/image/oci"
	"coracle/image/sif"
	"coracle/squash"

	"golang.org/x/sys/unix"
)

func repack(t *testing.T, from string, o *Options) (string, error) {
	t.Helper()
	f, err := os.Create(filepath.Join(t.TempDir(), "x.sif"))
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	r, err := Repack(context.Background(), read(t, from), f, o)
	if err == nil {
		err = f.Truncate(r.Size)
	}
	return f.Name(), err
}

func TestRepackSIF(t *testing.T) {
	path, _, err := convert(t, layout(t, oci.RunConfig{Labels: map[string]string{"k": "v"}},
		tarball(t, member{name: "a", body: big, xattr: map[string]string{"user.x": "y"}}, member{name: "b", typ: tar.TypeLink, link: "a"},
			member{name: "l", typ: tar.TypeSymlink, link: "a"}, member{name: "dev/null", typ: tar.TypeChar}, member{name: "p", typ: tar.TypeFifo})), nil)
	if err != nil {
		t.Fatal(err)
	}
	again, err := repack(t, path, &Options{Squash: squash.WriterOptions{Compression: squash.Compression{Compressor: squash.Gzip}}})
	if err != nil {
		t.Fatal(err)
	}
	was, is := read(t, path), read(t, again)
	if c := is.Squash.Super().Compressor; c != squash.Gzip {
		t.Errorf("compressor %v, want gzip", c)
	}
	if got := contents(t, is, "/b"); got != big {
		t.Errorf("/b has %d bytes, want %d", len(got), len(big))
	}
	for _, name := range []string{"/", "/a", "/b", "/l", "/dev/null", "/p", "/.singularity.d/runscript"} {
		a, err := was.Squash.Walk(name)
		b, err2 := is.Squash.Walk(name)
		if err != nil || err2 != nil || a.Type != b.Type || a.Perm != b.Perm || a.UID != b.UID || a.MTime != b.MTime || a.Links != b.Links || a.Size != b.Size && a.Type != squash.Directory || a.Rdev != b.Rdev || a.HasXattrs() != b.HasXattrs() {
			t.Errorf("%s: %+v, %v; want %+v, %v", name, b, err2, a, err)
		}
	}
	if len(is.SIF.Descriptors) != len(was.SIF.Descriptors) || is.SIF.Find(sif.TypeGenericJSON, nameManifest) == nil || is.SIF.Header.Created != was.SIF.Header.Created {
		t.Errorf("objects %+v, want those of %+v", is.SIF.Descriptors, was.SIF.Descriptors)
	}
	if _, err := repack(t, path, &Options{MaxSize: 1000}); !errors.Is(err, layer.ErrTooLarge) {
		t.Errorf("with a limit of 1000 bytes: %v, want ErrTooLarge", err)
	}
}

func TestRepackDirectory(t *testing.T) {
	dir := t.TempDir()
	os.MkdirAll(filepath.Join(dir, ".singularity.d"), 0o755)
	os.WriteFile(filepath.Join(dir, ".singularity.d/Singularity"), []byte("bootstrap: x\n"), 0o644)
	os.WriteFile(filepath.Join(dir, "a"), []byte(big), 0o640)
	os.Chmod(filepath.Join(dir, "a"), os.ModeSetuid|0o755)
	os.Link(filepath.Join(dir, "a"), filepath.Join(dir, "b"))
	os.Symlink("a", filepath.Join(dir, "l"))
	unix.Mkfifo(filepath.Join(dir, "p"), 0o600)
	path, err := repack(t, dir, nil)
	if err != nil {
		t.Fatal(err)
	}
	img := read(t, path)
	a, err := img.Squash.Walk("/a")
	b, err2 := img.Squash.Walk("/b")
	if err != nil || err2 != nil || a.Number != b.Number || a.Links != 2 || a.Perm != 0o4755 || a.UID != 0 {
		t.Errorf("a %+v, %v, b %+v, %v", a, err, b, err2)
	}
	if contents(t, img, "/b") != big {
		t.Error("/b has other contents")
	}
	if e, err := img.Tree.Lstat("/l"); err != nil || e.Target != "a" {
		t.Errorf("/l = %+v, %v", e, err)
	}
	if d := img.SIF.Find(sif.TypeDeffile, ""); d == nil {
		t.Error("no definition file")
	}
	if _, err := image.Open(filepath.Join(dir, "p")); err == nil {
		t.Error("a fifo opens")
	}
}
