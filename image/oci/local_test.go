package oci

import (
	"archive/tar"
	"bytes"
	"compress/gzip"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"coracle/image/layer"
)

// packed returns a tar archive of files by name; a name with an arrow is a symbolic link.
func packed(t testing.TB, files ...string) []byte {
	t.Helper()
	var b bytes.Buffer
	w := tar.NewWriter(&b)
	for i := 0; i+1 < len(files); i += 2 {
		h := &tar.Header{Name: files[i], Typeflag: tar.TypeReg, Mode: 0o644, Size: int64(len(files[i+1]))}
		if name, link, ok := strings.Cut(files[i], " -> "); ok {
			h.Name, h.Typeflag, h.Linkname, h.Size = name, tar.TypeSymlink, link, 0
		}
		if err := w.WriteHeader(h); err != nil {
			t.Fatal(err)
		}
		if h.Size > 0 {
			io.WriteString(w, files[i+1])
		}
	}
	w.Close()
	return b.Bytes()
}

func write(t testing.TB, name string, b []byte) string {
	t.Helper()
	path := filepath.Join(t.TempDir(), name)
	if err := os.WriteFile(path, b, 0o644); err != nil {
		t.Fatal(err)
	}
	return path
}

// dockerSave returns an archive as docker save writes it, with a layer that is a link.
func dockerSave(t testing.TB, tags string, content string) []byte {
	t.Helper()
	l := string(packed(t, "file", content))
	config, _ := json.Marshal(map[string]any{"os": "linux", "architecture": HostPlatform().Architecture,
		"rootfs": map[string]any{"type": "layers", "diff_ids": []Digest{DigestOf([]byte(l)), DigestOf([]byte(l))}}})
	manifest := fmt.Sprintf(`[{"Config":"c.json","RepoTags":[%s],"Layers":["a/layer.tar","b/layer.tar"]}]`, tags)
	return packed(t, "a/layer.tar", l, "b/layer.tar -> ../a/layer.tar", "", "c.json", string(config), "manifest.json", manifest)
}

// firstFile returns the contents of the first file of each layer.
func firstFile(img *Image) (string, error) {
	var out []string
	for n := range img.Layers() {
		r, err := img.Layer(context.Background(), n)
		if err != nil {
			return "", err
		}
		defer r.Close()
		lr := layer.NewReader(r, n, nil)
		if _, err := lr.Next(); err != nil {
			return "", err
		}
		b, err := io.ReadAll(lr)
		if err == nil {
			_, err = io.Copy(io.Discard, r)
		}
		if err != nil {
			return "", err
		}
		out = append(out, string(b))
	}
	return strings.Join(out, " "), nil
}

func TestDockerArchive(t *testing.T) {
	b := dockerSave(t, `"app:1","other:2"`, "hello")
	var z bytes.Buffer
	w := gzip.NewWriter(&z)
	w.Write(b)
	w.Close()
	for _, tt := range []struct {
		name string
		ref  string
		err  error
	}{
		{"plain", "docker-archive:" + write(t, "x.tar", b), nil},
		{"compressed", "docker-archive:" + write(t, "x.tar.gz", z.Bytes()), nil},
		{"by tag", "docker-archive:" + write(t, "x.tar", b) + ":app:1", nil},
		{"by full name", "docker-archive:" + write(t, "x.tar", b) + ":docker.io/library/other:2", nil},
		{"by another tag", "docker-archive:" + write(t, "x.tar", b) + ":app:3", ErrNotFound},
		{"no archive", "docker-archive:" + write(t, "x.tar", []byte("text")), ErrArchive},
		{"another archive", "docker-archive:" + write(t, "x.tar", packed(t, "x", "y")), ErrArchive},
		{"a directory", "docker-archive:" + t.TempDir(), ErrArchive},
		{"no file", "docker-archive:/nonexistent.tar", fs.ErrNotExist},
		{"wrong layer", "docker-archive:" + write(t, "x.tar", bytes.Replace(b, []byte("hello"), []byte("jello"), 1)), ErrDigest},
		{"cut short", "docker-archive:" + write(t, "x.tar", b[:700]), ErrArchive},
	} {
		img, err := Open(context.Background(), tt.ref, nil)
		got := ""
		if err == nil {
			got, err = firstFile(img)
			img.Close()
		}
		if !errors.Is(err, tt.err) || err == nil && got != "hello hello" {
			t.Errorf("%s: %q, %v; want %v", tt.name, got, err, tt.err)
		}
	}
}

// An archive through a pipe, as from docker save.
func TestDockerArchivePipe(t *testing.T) {
	r, w, err := os.Pipe()
	if err != nil {
		t.Fatal(err)
	}
	go func() {
		w.Write(dockerSave(t, `"app:1"`, "hello"))
		w.Close()
	}()
	a, err := newArchive(context.Background(), r, t.TempDir())
	if err != nil {
		t.Fatal(err)
	}
	defer a.close()
	if b, err := readFile(a, "b/layer.tar", 1<<20); err != nil || !bytes.Contains(b, []byte("hello")) {
		t.Errorf("%d bytes, %v", len(b), err)
	}
	if _, err := a.open("../../etc/passwd"); !errors.Is(err, fs.ErrNotExist) {
		t.Errorf("a path that leads out: %v", err)
	}
}

// ociFiles returns the files of a layout with an image for each tag.
func ociFiles(t testing.TB, tags ...string) []string {
	t.Helper()
	files := []string{"oci-layout", `{"imageLayoutVersion":"1.0.0"}`}
	index := Manifest{SchemaVersion: 2}
	put := func(s string) Descriptor {
		d := DigestOf([]byte(s))
		files = append(files, "blobs/sha256/"+d.Hex(), s)
		return Descriptor{Digest: d, Size: int64(len(s))}
	}
	for _, tag := range tags {
		l := put(string(packed(t, "file", tag)))
		l.MediaType = typeLayer
		config, _ := json.Marshal(map[string]any{"os": "linux", "architecture": HostPlatform().Architecture, "rootfs": map[string]any{"diff_ids": []Digest{l.Digest}}})
		m := Manifest{SchemaVersion: 2, MediaType: typeManifest, Config: put(string(config)), Layers: []Descriptor{l}}
		raw, _ := json.Marshal(m)
		d := put(string(raw))
		d.MediaType = typeManifest
		if tag != "" {
			d.Annotations = map[string]string{annotationRef: tag}
		}
		index.Manifests = append(index.Manifests, d)
	}
	raw, _ := json.Marshal(index)
	return append(files, "index.json", string(raw))
}

func TestLayout(t *testing.T) {
	dir := func(files []string) string {
		root := filepath.Join(t.TempDir(), "lay:out")
		for i := 0; i+1 < len(files); i += 2 {
			path := filepath.Join(root, files[i])
			os.MkdirAll(filepath.Dir(path), 0o755)
			os.WriteFile(path, []byte(files[i+1]), 0o644)
		}
		return root
	}
	two, one := ociFiles(t, "v1", "v2"), ociFiles(t, "")
	index, _ := parseManifest([]byte(two[len(two)-1]))
	second := index.Manifests[1].Digest
	for _, tt := range []struct {
		name, ref, want string
		err             error
	}{
		{"only image", "oci:" + dir(one), "", nil},
		{"tag", "oci:" + dir(two) + ":v2", "v2", nil},
		{"digest", "oci:" + dir(two) + "@" + string(second), "v2", nil},
		{"archive", "oci-archive:" + write(t, "a.tar", packed(t, two...)) + ":v1", "v1", nil},
		{"archive with one", "oci-archive:" + write(t, "a.tar", packed(t, one...)), "", nil},
		{"no tag for two", "oci:" + dir(two), "", ErrNotFound},
		{"no such tag", "oci:" + dir(two) + ":v3", "", ErrNotFound},
		{"no such digest", "oci:" + dir(two) + "@sha256:" + strings.Repeat("0", 64), "", fs.ErrNotExist},
		{"no layout", "oci:" + t.TempDir(), "", ErrArchive},
		{"not there", "oci:/nonexistent:v1", "", fs.ErrNotExist},
		{"no path", "oci:", "", ErrReference},
		{"no transport", "x", "", ErrReference},
		{"unknown transport", "ftp://x", "", ErrReference},
	} {
		img, err := Open(context.Background(), tt.ref, nil)
		got := ""
		if err == nil {
			got, err = firstFile(img)
			img.Close()
		}
		if !errors.Is(err, tt.err) || err == nil && got != tt.want {
			t.Errorf("%s: %q, %v; want %q, %v", tt.name, got, err, tt.want, tt.err)
		}
	}
	var choice *ChoiceError
	if _, err := Open(context.Background(), "oci:"+dir(two), nil); !errors.As(err, &choice) || len(choice.Names) != 2 {
		t.Errorf("two images: %v, want a choice of two", err)
	}
}

func TestParseName(t *testing.T) {
	digest := "sha256:" + strings.Repeat("a", 64)
	for _, tt := range []struct {
		in, want string
		err      error
	}{
		{"debian", "docker.io/library/debian:latest", nil},
		{"debian:12", "docker.io/library/debian:12", nil},
		{"user/app", "docker.io/user/app:latest", nil},
		{"index.docker.io/library/debian", "docker.io/library/debian:latest", nil},
		{"localhost/app", "localhost/app:latest", nil},
		{"127.0.0.1:5000/a/b/c:T-1.x", "127.0.0.1:5000/a/b/c:T-1.x", nil},
		{"[::1]:5000/a", "[::1]:5000/a:latest", nil},
		{"registry.example/app@" + digest, "registry.example/app@" + digest, nil},
		{"registry.example/app:1@" + digest, "registry.example/app:1@" + digest, nil},
		{"", "", ErrReference}, {"Debian", "", ErrReference}, {"a//b", "", ErrReference}, {"a:", "", ErrReference},
		{"a:b c", "", ErrReference}, {"a@sha256:abc", "", ErrReference}, {"-a", "", ErrReference}, {"a/../b", "", ErrReference},
		{"registry.example/", "", ErrReference}, {"a:" + strings.Repeat("t", 129), "", ErrReference}, {"a?b", "", ErrReference},
	} {
		n, err := ParseName(tt.in)
		if !errors.Is(err, tt.err) || err == nil && n.String() != tt.want {
			t.Errorf("ParseName(%q) = %v, %v; want %s, %v", tt.in, n, err, tt.want, tt.err)
		}
	}
}

func FuzzParseName(f *testing.F) {
	f.Add("registry.example:5000/team/app:1@sha256:" + strings.Repeat("a", 64))
	f.Fuzz(func(t *testing.T, s string) {
		n, err := ParseName(s)
		if err != nil {
			return
		}
		if again, err := ParseName(n.String()); err != nil || again != n {
			t.Errorf("ParseName(%q) = %v, which reads as %v, %v", s, n, again, err)
		}
		if strings.ContainsAny(n.String(), " \n?#%\\") || strings.Contains(n.Repository, "..") && strings.Contains(n.Repository, "/../") {
			t.Errorf("ParseName(%q) = %q", s, n)
		}
	})
}

func TestCredentials(t *testing.T) {
	bin := t.TempDir()
	os.WriteFile(filepath.Join(bin, "docker-credential-fake"), []byte("#!/bin/sh\nread s\n[ \"$s\" = helped.example ] || { echo 'credentials not found in native keychain'; exit 1; }\necho '{\"Username\":\"u\",\"Secret\":\"s\"}'\n"), 0o755)
	t.Setenv("PATH", bin+":"+os.Getenv("PATH"))
	file := write(t, "config.json", []byte(`{
		"auths": {
			"registry.example": {"auth": "YTpi"}, "registry.example/team": {"auth": "YzpkOmU="},
			"https://index.docker.io/v1/": {"username": "h", "password": "w"}, "bad.example": {"auth": "%"}, "empty.example": {}},
		"credHelpers": {"helped.example": "fake", "evil.example": "../../bin/sh"}, "credsStore": "fake"}`))
	for _, tt := range []struct {
		name string
		want Credential
		bad  bool
	}{
		{"registry.example/other/app", Credential{Username: "a", Password: "b"}, false},
		{"registry.example/team/app", Credential{Username: "c", Password: "d:e"}, false},
		{"registry.example/teams/app", Credential{Username: "a", Password: "b"}, false},
		{"debian", Credential{Username: "h", Password: "w"}, false},
		{"helped.example/app", Credential{Username: "u", Password: "s"}, false},
		{"empty.example/app", Credential{}, false},
		{"unknown.example/app", Credential{}, false},
		{"bad.example/app", Credential{}, true},
		{"evil.example/app", Credential{}, true},
	} {
		n, err := ParseName(tt.name)
		if err != nil {
			t.Fatal(err)
		}
		got, err := FindCredential(context.Background(), []string{"/nonexistent", file}, n)
		if got != tt.want || (err != nil) != tt.bad {
			t.Errorf("%s: %+v, %v; want %+v", tt.name, got, err, tt.want)
		}
	}
	if _, err := FindCredential(context.Background(), []string{"/nonexistent"}, Name{}); !errors.Is(err, fs.ErrNotExist) {
		t.Errorf("the only file is missing: %v", err)
	}
}

func TestChallenges(t *testing.T) {
	for _, tt := range []struct{ in, want string }{
		{`Bearer realm="https://a/token",service="s",scope="x:y:pull,push"`, `[{bearer map[realm:https://a/token scope:x:y:pull,push service:s]}]`},
		{`Basic realm="a \"b\""`, `[{basic map[realm:a "b"]}]`},
		{`Basic realm=x, Bearer realm = "y"`, `[{basic map[realm:x]} {bearer map[realm:y]}]`},
		{`Negotiate`, `[{negotiate map[]}]`},
		{`Basic realm="open`, `[{basic map[realm:open]}]`},
		{`="x"`, `[]`}, {``, `[]`}, {`a="b"`, `[]`},
	} {
		if got := fmt.Sprint(challenges([]string{tt.in})); got != tt.want {
			t.Errorf("challenges(%q) = %s, want %s", tt.in, got, tt.want)
		}
	}
}

func FuzzChallenges(f *testing.F) {
	f.Add(`Bearer realm="https://a/token",service="s", Basic realm=x`)
	f.Fuzz(func(t *testing.T, s string) { challenges([]string{s}) })
}

func FuzzManifest(f *testing.F) {
	f.Add([]byte(`{"schemaVersion":2,"config":{"digest":"sha256:0"},"layers":[]}`))
	f.Add([]byte(`{"schemaVersion":2,"manifests":[{"digest":"sha256:0","platform":{"os":"linux","architecture":"amd64"}}]}`))
	f.Fuzz(func(t *testing.T, b []byte) {
		s := &Source{o: &Options{Platform: HostPlatform()}, raw: b, store: &layout{fsys: dirFS{t.TempDir()}}}
		if img, err := s.resolve(context.Background()); err == nil {
			t.Errorf("an image without blobs: %+v", img.Manifest)
		}
	})
}
