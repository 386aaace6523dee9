package build

import (
	"archive/tar"
	"bytes"
	"compress/gzip"
	"context"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"runtime"
	"strings"
	"testing"
	"time"

	"coracle/image"
	"coracle/image/layer"
	"coracle/image/oci"
	"coracle/squash"
)

// A member is a file of a layer.
type member struct {
	name  string
	body  string
	typ   byte // 0: from the name: a directory with a slash at its end, a file without
	link  string
	xattr map[string]string
	set   func(*tar.Header) // nil: as tarball has it
}

func tarball(t testing.TB, members ...member) []byte {
	t.Helper()
	var b bytes.Buffer
	w := tar.NewWriter(&b)
	for _, m := range members {
		h := &tar.Header{Name: m.name, Typeflag: m.typ, Linkname: m.link, Mode: 0o644, Size: int64(len(m.body)), ModTime: time.Unix(1e9, 0), Uid: 70000, Format: tar.FormatPAX}
		if m.typ == 0 && strings.HasSuffix(m.name, "/") {
			h.Typeflag, h.Mode = tar.TypeDir, 0o755
		}
		for k, v := range m.xattr {
			if h.PAXRecords == nil {
				h.PAXRecords = map[string]string{}
			}
			h.PAXRecords["SCHILY.xattr."+k] = v
		}
		if m.set != nil {
			m.set(h)
		}
		if err := w.WriteHeader(h); err != nil {
			t.Fatal(err)
		}
		io.WriteString(w, m.body)
	}
	w.Close()
	return b.Bytes()
}

// layout writes an OCI layout of the layers, gzipped, and returns a reference to it.
func layout(t testing.TB, config oci.RunConfig, layers ...[]byte) string {
	t.Helper()
	dir := filepath.Join(t.TempDir(), "layout")
	put := func(b []byte) oci.Descriptor {
		sum := sha256.Sum256(b)
		name := hex.EncodeToString(sum[:])
		os.MkdirAll(filepath.Join(dir, "blobs/sha256"), 0o755)
		if err := os.WriteFile(filepath.Join(dir, "blobs/sha256", name), b, 0o644); err != nil {
			t.Fatal(err)
		}
		return oci.Descriptor{Digest: oci.Digest("sha256:" + name), Size: int64(len(b))}
	}
	c := map[string]any{"created": "2024-05-06T07:08:09Z", "os": "linux", "architecture": oci.HostPlatform().Architecture, "config": config}
	var m oci.Manifest
	m.SchemaVersion, m.MediaType = 2, "application/vnd.oci.image.manifest.v1+json"
	var diffs []oci.Digest
	for _, l := range layers {
		var z bytes.Buffer
		w, _ := gzip.NewWriterLevel(&z, gzip.BestSpeed)
		w.Write(l)
		w.Close()
		d := put(z.Bytes())
		d.MediaType = "application/vnd.oci.image.layer.v1.tar+gzip"
		m.Layers = append(m.Layers, d)
		diffs = append(diffs, oci.DigestOf(l))
	}
	c["rootfs"] = map[string]any{"type": "layers", "diff_ids": diffs}
	raw, _ := json.Marshal(c)
	m.Config = put(raw)
	m.Config.MediaType = "application/vnd.oci.image.config.v1+json"
	raw, _ = json.Marshal(m)
	d := put(raw)
	d.MediaType = m.MediaType
	raw, _ = json.Marshal(map[string]any{"schemaVersion": 2, "manifests": []oci.Descriptor{d}})
	os.WriteFile(filepath.Join(dir, "index.json"), raw, 0o644)
	os.WriteFile(filepath.Join(dir, "oci-layout"), []byte(`{"imageLayoutVersion":"1.0.0"}`), 0o644)
	return "oci:" + dir
}

// convert makes a SIF file and returns its path.
func convert(t testing.TB, ref string, o *Options) (string, Result, error) {
	t.Helper()
	img, err := oci.Open(context.Background(), ref, nil)
	if err != nil {
		t.Fatal(err)
	}
	defer img.Close()
	f, err := os.Create(filepath.Join(t.TempDir(), "x.sif"))
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	r, err := Convert(context.Background(), img, f, o)
	if err == nil {
		err = f.Truncate(r.Size)
	}
	return f.Name(), r, err
}

// read opens an image file's tree.
func read(t testing.TB, path string) *image.Image {
	t.Helper()
	img, err := image.Open(path)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { img.Close() })
	return img
}

func contents(t testing.TB, img *image.Image, path string) string {
	t.Helper()
	b, err := img.Tree.ReadFile(path, 1<<26)
	if err != nil {
		t.Errorf("%s: %v", path, err)
	}
	return string(b)
}

var big = strings.Repeat("0123456789abcdef", 40_000)

func TestConvert(t *testing.T) {
	ref := layout(t, oci.RunConfig{Env: []string{"A=b"}, Cmd: []string{"/bin/x", "y z"}, Labels: map[string]string{"k": "v"}},
		tarball(t, member{name: "bin/"}, member{name: "bin/x", body: "old"}, member{name: "etc/"}, member{name: "etc/a", body: big, xattr: map[string]string{"user.note": "n"}},
			member{name: "etc/b", typ: tar.TypeLink, link: "etc/a"}, member{name: "lib", typ: tar.TypeSymlink, link: "usr/lib"}, member{name: "usr/lib/"},
			member{name: "gone/"}, member{name: "gone/x", body: "x"}),
		tarball(t, member{name: "bin/x", body: "new"}, member{name: ".wh.gone"}, member{name: "etc/.wh.a"}, member{name: "lib/so", body: "so"}, member{name: "empty"}),
	)
	path, r, err := convert(t, ref, nil)
	if err != nil {
		t.Fatal(err)
	}
	if r.Reread != 1 { // etc/a was skipped, and lives on as etc/b
		t.Errorf("%d layers read again, want 1", r.Reread)
	}
	img := read(t, path)
	for name, want := range map[string]string{"/bin/x": "new", "/etc/b": big, "/usr/lib/so": "so", "/empty": ""} {
		if got := contents(t, img, name); got != want {
			t.Errorf("%s has %d bytes %.20q, want %d", name, len(got), got, len(want))
		}
	}
	for _, name := range []string{"/gone", "/etc/a"} {
		if _, err := img.Tree.Lstat(name); !errors.Is(err, fs.ErrNotExist) {
			t.Errorf("%s: %v, want it hidden", name, err)
		}
	}
	ino, err := img.Squash.Walk("/etc/b")
	if err != nil || ino.UID != 70000 || ino.MTime != 1e9 || ino.Links != 1 || !ino.HasXattrs() {
		t.Errorf("/etc/b = %+v, %v", ino, err)
	}
	meta, err := img.Metadata()
	if err != nil || meta.Attributes.Labels["k"] != "v" || !strings.Contains(meta.Attributes.Deffile, "bootstrap: oci\nfrom: layout\n") || !strings.Contains(meta.Attributes.Runscript, "'y z'") {
		t.Errorf("metadata %+v, %v", meta.Attributes, err)
	}
	if s := img.SIF; s.Header.Created != time.Date(2024, 5, 6, 7, 8, 9, 0, time.UTC).Unix() || s.Header.Arch != oci.HostPlatform().Architecture {
		t.Errorf("header %+v", s.Header)
	}
}

// The bytes do not depend on how many workers or processors there are, nor on when and where.
func TestConvertReproducible(t *testing.T) {
	var members []member
	for i := range 300 {
		members = append(members, member{name: fmt.Sprintf("d%d/f%d", i%7, i), body: strings.Repeat(fmt.Sprint(i), i*50)})
	}
	ref := layout(t, oci.RunConfig{}, tarball(t, members...), tarball(t, members[100:120]...))
	var first []byte
	for _, workers := range []int{1, 2, 5} {
		path, _, err := convert(t, ref, &Options{Squash: squash.WriterOptions{Workers: workers}})
		if err != nil {
			t.Fatal(err)
		}
		b, _ := os.ReadFile(path)
		if first == nil {
			first = b
		}
		if !bytes.Equal(b, first) {
			t.Errorf("%d workers make other bytes than 1", workers)
		}
	}
	defer runtime.GOMAXPROCS(runtime.GOMAXPROCS(0))
	for _, processors := range []int{1, 2} {
		runtime.GOMAXPROCS(processors)
		if b := whole(t, ref, nil, 0); !bytes.Equal(b, first) {
			t.Errorf("%d processors make other bytes", processors)
		}
	}
	when := int64(12345)
	path, _, err := convert(t, ref, &Options{Time: &when})
	if err != nil || read(t, path).SIF.Header.Created != when {
		t.Errorf("with SOURCE_DATE_EPOCH: %v", err)
	}
}

func TestConvertRefuses(t *testing.T) {
	for _, tt := range []struct {
		name   string
		layers [][]byte
		o      *Options
		err    error
	}{
		{"no layers", nil, nil, ErrEmpty},
		{"leads out", [][]byte{tarball(t, member{name: "../x"})}, nil, layer.ErrPath},
		{"hard link to nothing", [][]byte{tarball(t, member{name: "a", typ: tar.TypeLink, link: "b"})}, nil, layer.ErrLink},
		{"too large", [][]byte{tarball(t, member{name: "a", body: big})}, &Options{MaxSize: 1000}, layer.ErrTooLarge},
		{"not a tar archive", [][]byte{[]byte(big)}, nil, layer.ErrArchive},
		{"cut short", [][]byte{tarball(t, member{name: "a", body: big})[:1000]}, nil, layer.ErrArchive},
	} {
		if _, _, err := convert(t, layout(t, oci.RunConfig{}, tt.layers...), tt.o); !errors.Is(err, tt.err) {
			t.Errorf("%s: %v, want %v", tt.name, err, tt.err)
		}
	}
}

func TestConvertDigest(t *testing.T) {
	ref := layout(t, oci.RunConfig{}, tarball(t, member{name: "a", body: big}))
	err := filepath.WalkDir(strings.TrimPrefix(ref, "oci:"), func(path string, d fs.DirEntry, err error) error {
		if b, _ := os.ReadFile(path); bytes.HasPrefix(b, []byte("\x1f\x8b")) {
			b[9]++ // the operating system that compressed it, which nothing else looks at
			return os.WriteFile(path, b, 0o644)
		}
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
	if _, _, err := convert(t, ref, nil); !errors.Is(err, oci.ErrDigest) {
		t.Errorf("a layer with other bytes: %v, want ErrDigest", err)
	}
}

func TestConvertCancel(t *testing.T) {
	img, err := oci.Open(context.Background(), layout(t, oci.RunConfig{}, tarball(t, member{name: "a", body: big})), nil)
	if err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(context.Background())
	cancel()
	f, _ := os.Create(filepath.Join(t.TempDir(), "x"))
	defer f.Close()
	if _, err := Convert(ctx, img, f, nil); !errors.Is(err, context.Canceled) {
		t.Errorf("%v, want Canceled", err)
	}
}
