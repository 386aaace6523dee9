package oci

import (
	"bytes"
	"context"
	"encoding/base64"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"reflect"
	"strings"
	"testing"
)

// layerText opens an image and returns the bytes of its only layer's blob.
func layerText(ref string, o *Options) (string, error) {
	o.NoHTTPS = true
	img, err := Open(context.Background(), ref, o)
	if err != nil {
		return "", err
	}
	defer img.Close()
	blob, err := img.store.blob(context.Background(), img.Manifest.Layers[0])
	if err != nil {
		return "", err
	}
	defer blob.Close()
	b, err := io.ReadAll(newVerifier(blob, img.Manifest.Layers[0].Digest, img.Manifest.Layers[0].Size))
	return string(b), err
}

func TestRegistry(t *testing.T) {
	want := strings.Repeat(fakeLayerText, 1000)
	login := func(t *testing.T, host string) []string {
		path := filepath.Join(t.TempDir(), "config.json")
		os.WriteFile(path, []byte(`{"auths":{"`+host+`":{"auth":"`+base64.StdEncoding.EncodeToString([]byte("ada:s:cret"))+`"}}}`), 0o600)
		return []string{path}
	}
	for _, tt := range []struct {
		name  string
		set   func(t *testing.T, f *fakeRegistry, o *Options)
		ref   string // behind docker://HOST/; "": team/app
		err   error
		reads int // requests for blobs of layers; 0: not looked at
	}{
		{name: "plain"},
		{name: "tag", ref: "team/app:latest"},
		{name: "token without login", set: func(t *testing.T, f *fakeRegistry, o *Options) { f.tokens = true }},
		{name: "token", set: func(t *testing.T, f *fakeRegistry, o *Options) {
			f.tokens, f.user, o.AuthFiles = true, "ada:s:cret", login(t, f.host())
		}},
		{name: "token for a repository", set: func(t *testing.T, f *fakeRegistry, o *Options) {
			f.tokens, f.user, o.AuthFiles = true, "ada:s:cret", login(t, f.host()+"/team")
		}},
		{name: "identity token", set: func(t *testing.T, f *fakeRegistry, o *Options) {
			f.tokens, f.user, o.Login = true, "x", Credential{IdentityToken: "identity"}
		}},
		{name: "basic", set: func(t *testing.T, f *fakeRegistry, o *Options) {
			f.user, o.Login = "ada:s:cret", Credential{Username: "ada", Password: "s:cret"}
		}},
		{name: "no login", set: func(t *testing.T, f *fakeRegistry, o *Options) { f.user = "ada:x" }, err: ErrLogin},
		{name: "no login for tokens", set: func(t *testing.T, f *fakeRegistry, o *Options) { f.tokens, f.user = true, "ada:x" }, err: ErrLogin},
		{name: "wrong password", set: func(t *testing.T, f *fakeRegistry, o *Options) {
			f.user, o.Login = "ada:x", Credential{Username: "ada", Password: "y"}
		}, err: ErrDenied},
		{name: "wrong password for tokens", set: func(t *testing.T, f *fakeRegistry, o *Options) {
			f.tokens, f.user, o.Login = true, "ada:x", Credential{Username: "ada", Password: "y"}
		}, err: ErrDenied},
		{name: "no such tag", ref: "team/app:2", err: ErrNotFound},
		{name: "unavailable for a moment", set: func(t *testing.T, f *fakeRegistry, o *Options) { f.fail = 2 }},
		{name: "broken connection", set: func(t *testing.T, f *fakeRegistry, o *Options) { f.cut, f.cuts = 7000, 2 }, reads: 3},
		{name: "broken connection without ranges", set: func(t *testing.T, f *fakeRegistry, o *Options) { f.cut, f.cuts, f.noRanges = 7000, 1, true }, reads: 2},
		{name: "wrong contents", set: func(t *testing.T, f *fakeRegistry, o *Options) {
			d := DigestOf([]byte(want))
			f.blobs[d] = bytes.Replace(f.blobs[d], []byte("no"), []byte("an"), 1)
		}, err: ErrDigest},
		{name: "too short", set: func(t *testing.T, f *fakeRegistry, o *Options) {
			d := DigestOf([]byte(want))
			f.blobs[d] = append(f.blobs[d], 'x')
		}, err: ErrDigest},
		{name: "wrong digest in reference", ref: "team/app@sha256:" + strings.Repeat("0", 64), set: func(t *testing.T, f *fakeRegistry, o *Options) {
			f.manifests["sha256:"+strings.Repeat("0", 64)] = f.manifests["latest"]
		}, err: ErrDigest},
		{name: "schema 1", set: func(t *testing.T, f *fakeRegistry, o *Options) {
			f.addManifest("latest", typeSchema1+"+prettyjws", []byte(`{"schemaVersion":1,"fsLayers":[]}`))
		}, err: ErrSchema1},
		{name: "not a manifest", set: func(t *testing.T, f *fakeRegistry, o *Options) {
			f.addManifest("latest", "text/html", []byte("<html>"))
		}, err: ErrManifest},
		{name: "foreign layer", set: func(t *testing.T, f *fakeRegistry, o *Options) {
			f.addManifest("latest", typeManifest, bytes.Replace(f.manifests["latest"], []byte(typeLayer), []byte("application/vnd.oci.image.layer.nondistributable.v1.tar+gzip"), 1))
		}, err: ErrForeign},
		{name: "an artifact", set: func(t *testing.T, f *fakeRegistry, o *Options) {
			f.addManifest("latest", typeManifest, bytes.Replace(f.manifests["latest"], []byte(typeConfig), []byte("application/vnd.cncf.helm.config.v1+json"), 1))
		}, err: ErrNotImage},
		{name: "upper case", ref: "Team/app", err: ErrReference},
	} {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			f, o := newFake(t), &Options{}
			if tt.set != nil {
				tt.set(t, f, o)
			}
			if tt.ref == "" {
				tt.ref = "team/app"
			}
			got, err := layerText("docker://"+f.host()+"/"+tt.ref, o)
			if !errors.Is(err, tt.err) {
				t.Fatalf("error %v, want %v", err, tt.err)
			}
			if err == nil && got != want {
				t.Errorf("the layer has %d bytes, want %d", len(got), len(want))
			}
			if err != nil && strings.ContainsAny(err.Error(), "\x1b\n") {
				t.Errorf("error %q has control characters", err)
			}
			reads := 0
			for _, s := range f.seen {
				if strings.Contains(s, string(DigestOf([]byte(want)))) {
					reads++
				}
			}
			if tt.reads != 0 && reads != tt.reads {
				t.Errorf("%d requests for the layer, want %d: %q", reads, tt.reads, f.seen)
			}
		})
	}
}

func TestRegistryIndex(t *testing.T) {
	f := newFake(t)
	var index Manifest
	for _, p := range []Platform{{"linux", "arm64", "v8"}, {"linux", "arm", "v6"}, {"linux", "arm", "v7"}, {"linux", "s390x", ""}, {"unknown", "unknown", ""}} {
		index.Manifests = append(index.Manifests, f.add(p.String(), p, []byte("layer for "+p.String())))
	}
	index.SchemaVersion, index.MediaType = 2, typeIndex
	raw, _ := json.Marshal(index)
	f.addManifest("multi", typeIndex, raw)
	for _, tt := range []struct{ platform, want string }{
		{"arm64", "linux/arm64/v8"}, {"aarch64", "linux/arm64/v8"}, {"linux/arm/v6", "linux/arm/v6"}, {"arm", "linux/arm/v7"}, {"s390x", "linux/s390x"},
	} {
		p, err := ParsePlatform(tt.platform)
		if err != nil {
			t.Fatal(err)
		}
		got, err := layerText("docker://"+f.host()+"/team/app:multi", &Options{Platform: p})
		if err != nil || got != "layer for "+tt.want {
			t.Errorf("%s: %q, %v; want the layer for %s", tt.platform, got, err, tt.want)
		}
	}
	_, err := layerText("docker://"+f.host()+"/team/app:multi", &Options{Platform: Platform{"linux", "riscv64", ""}})
	if pe := (*PlatformError)(nil); !errors.As(err, &pe) || len(pe.Have) != 4 || !errors.Is(err, ErrNotFound) {
		t.Errorf("riscv64: %v, want a PlatformError with 4 platforms", err)
	}
	if _, err := layerText("docker://"+f.host()+"/team/app", &Options{Platform: Platform{"linux", "riscv64", ""}}); !errors.As(err, new(*PlatformError)) {
		t.Errorf("riscv64 of an image without index: %v", err)
	}
}

func TestRegistryOneRequest(t *testing.T) {
	f := newFake(t)
	s, err := Find(context.Background(), "docker://"+f.host()+"/team/app", &Options{NoHTTPS: true})
	if err != nil {
		t.Fatal(err)
	}
	s.Close()
	if want := []string{"GET /v2/team/app/manifests/latest"}; !reflect.DeepEqual(f.seen, want) {
		t.Errorf("Find sends %q, want %q", f.seen, want)
	}
}

// Whoever asks for a tag that is not there learns which ones are.
func TestRegistryTags(t *testing.T) {
	f := newFake(t)
	for _, tag := range []string{"1.9", "1.10", "2"} {
		f.addManifest(tag, typeManifest, f.manifests["latest"])
	}
	_, err := layerText("docker://"+f.host()+"/team/app:1.8", &Options{})
	var tag *TagError
	if !errors.As(err, &tag) || !errors.Is(err, ErrNotFound) {
		t.Fatalf("%v, want a TagError", err)
	}
	if got := tag.Nearest(3); !reflect.DeepEqual(got, []string{"1.9", "1.10", "latest"}) {
		t.Errorf("Nearest(3) = %q", got)
	}
	if got := tag.Nearest(9); len(got) != 4 {
		t.Errorf("Nearest(9) = %q", got)
	}
}

func TestRegistryHTTPS(t *testing.T) {
	f := newFake(t)
	_, err := Find(context.Background(), "docker://"+f.host()+"/team/app", nil)
	if !errors.Is(err, ErrPlainHTTP) {
		t.Errorf("HTTPS to a server without: %v, want ErrPlainHTTP", err)
	}
}

func TestRegistryMirror(t *testing.T) {
	f := newFake(t)
	conf := filepath.Join(t.TempDir(), "registries.conf")
	os.WriteFile(conf, []byte(`
[[registry]]
prefix = "registry.invalid"
location = "registry.invalid"
[[registry.mirror]]
location = "`+f.host()+`/nothing"
[[registry.mirror]]
location = "`+f.host()+`"
`), 0o600)
	got, err := layerText("docker://registry.invalid/team/app", &Options{RegistriesFiles: []string{conf}})
	if err != nil || !strings.HasPrefix(got, fakeLayerText) {
		t.Errorf("through a mirror: %.30q, %v", got, err)
	}
}

func TestEndpoints(t *testing.T) {
	conf := filepath.Join(t.TempDir(), "registries.conf")
	os.WriteFile(conf, []byte(`
unqualified-search-registries = ["docker.io"]
[[registry]]
prefix = "example.org/team"
location = "mirror.example.org/copies/team"
insecure = true
[[registry]]
location = "bad.org"
blocked = true
[[registry]]
prefix = "*.internal"
location = "gate.internal/all"
[[registry]]
location = "docker.io"
[[registry.mirror]]
location = "hub.example.org"
pull-from-mirror = "digest-only"
`), 0o600)
	for _, tt := range []struct {
		in   string
		want []endpoint
		err  error
	}{
		{in: "debian:12", want: []endpoint{{host: "registry-1.docker.io", repository: "library/debian"}}},
		{in: "debian@sha256:" + strings.Repeat("0", 64), want: []endpoint{{host: "hub.example.org", repository: "library/debian"}, {host: "registry-1.docker.io", repository: "library/debian"}}},
		{in: "example.org/team/app", want: []endpoint{{host: "mirror.example.org", repository: "copies/team/app", insecure: true}}},
		{in: "example.org/teams/app", want: []endpoint{{host: "example.org", repository: "teams/app"}}},
		{in: "a.internal/x/y", want: []endpoint{{host: "gate.internal", repository: "all/x/y"}}},
		{in: "bad.org/x", err: ErrBlocked},
	} {
		n, err := ParseName(tt.in)
		if err != nil {
			t.Fatal(err)
		}
		got, err := endpoints(n, []string{filepath.Join(t.TempDir(), "none"), conf})
		if !reflect.DeepEqual(got, tt.want) || !errors.Is(err, tt.err) {
			t.Errorf("endpoints(%s) = %v, %v; want %v, %v", tt.in, got, err, tt.want, tt.err)
		}
	}
}

func TestArtifact(t *testing.T) {
	f := newFake(t)
	sif := []byte("an image file")
	f.blobs[DigestOf(sif)] = sif
	manifest := func(mediaType string, n int) {
		m := Manifest{SchemaVersion: 2, MediaType: typeManifest, Config: Descriptor{MediaType: "application/vnd.sylabs.sif.config.v1+json", Digest: DigestOf(nil)}}
		for range n {
			m.Layers = append(m.Layers, Descriptor{MediaType: mediaType, Digest: DigestOf(sif), Size: int64(len(sif))})
		}
		raw, _ := json.Marshal(m)
		f.addManifest("sif", typeManifest, raw)
	}
	get := func() error {
		file, err := FindFile(context.Background(), "oras://"+f.host()+"/team/app:sif", &Options{NoHTTPS: true})
		if err != nil {
			return err
		}
		defer file.Close()
		var b bytes.Buffer
		if err := file.Copy(context.Background(), &b); err != nil {
			return err
		}
		if b.String() != string(sif) {
			return fmt.Errorf("got %q, want %q", b.String(), sif)
		}
		return nil
	}
	manifest(typeSIFLayer, 1)
	if err := get(); err != nil {
		t.Error(err)
	}
	f.blobs[DigestOf(sif)] = []byte("an image fool")
	if err := get(); !errors.Is(err, ErrDigest) {
		t.Errorf("other bytes: %v, want ErrDigest", err)
	}
	for _, n := range []int{0, 2} {
		manifest(typeSIFLayer, n)
		if err := get(); !errors.Is(err, ErrNotImage) {
			t.Errorf("%d layers: %v, want ErrNotImage", n, err)
		}
	}
	manifest(typeLayer, 1)
	if err := get(); !errors.Is(err, ErrNotImage) {
		t.Errorf("another kind of layer: %v, want ErrNotImage", err)
	}
}

func TestURL(t *testing.T) {
	srv := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if r.URL.Path != "/x.sif" {
			w.WriteHeader(http.StatusNotFound)
			return
		}
		w.Header().Set("ETag", r.URL.RawQuery)
		io.WriteString(w, "image")
	}))
	defer srv.Close()
	digests := map[Digest]bool{}
	for _, query := range []string{"a", "b", "a"} {
		f, err := FindFile(context.Background(), srv.URL+"/x.sif?"+query, nil)
		if err != nil {
			t.Fatal(err)
		}
		var b bytes.Buffer
		if err := f.Copy(context.Background(), &b); err != nil || b.String() != "image" {
			t.Errorf("%q, %v", b.String(), err)
		}
		f.Close()
		digests[f.Digest] = true
	}
	if len(digests) != 2 {
		t.Errorf("%d digests, want one for each version", len(digests))
	}
	if _, err := FindFile(context.Background(), srv.URL+"/y.sif", nil); !errors.Is(err, ErrNotFound) {
		t.Errorf("not there: %v, want ErrNotFound", err)
	}
}
