package oci

import (
	"bytes"
	"encoding/base64"
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync"
	"testing"
)

// A fakeRegistry serves one image, and misbehaves on demand.
type fakeRegistry struct {
	blobs     map[Digest][]byte
	manifests map[string][]byte // by tag and digest
	types     map[string]string // media types of manifests
	user      string            // "user:password" for basic authentication, or for tokens
	tokens    bool
	cut       int // bytes after which the first transfers of layers break
	cuts      int // how many transfers break
	fail      int // requests that are answered with 503 first
	noRanges  bool

	mu   sync.Mutex
	seen []string // method, path and range of requests that were let in
	url  string
}

const fakeLayerText = "a layer that is no archive"

func newFake(t *testing.T) *fakeRegistry {
	f := &fakeRegistry{blobs: map[Digest][]byte{}, manifests: map[string][]byte{}, types: map[string]string{}}
	layer := bytes.Repeat([]byte(fakeLayerText), 1000)
	f.add("latest", HostPlatform(), layer)
	srv := httptest.NewServer(f)
	t.Cleanup(srv.Close)
	f.url = srv.URL
	return f
}

// add adds an image of one layer.
func (f *fakeRegistry) add(tag string, p Platform, layer []byte) Descriptor {
	config, _ := json.Marshal(map[string]any{
		"architecture": p.Architecture, "os": p.OS, "config": map[string]any{"Env": []string{"A=b"}},
		"rootfs": map[string]any{"type": "layers", "diff_ids": []Digest{DigestOf(layer)}},
	})
	m := Manifest{SchemaVersion: 2, MediaType: typeManifest,
		Config: Descriptor{MediaType: typeConfig, Digest: DigestOf(config), Size: int64(len(config))},
		Layers: []Descriptor{{MediaType: typeLayer, Digest: DigestOf(layer), Size: int64(len(layer))}}}
	raw, _ := json.Marshal(m)
	f.blobs[DigestOf(config)], f.blobs[DigestOf(layer)] = config, layer
	f.addManifest(tag, typeManifest, raw)
	return Descriptor{MediaType: typeManifest, Digest: DigestOf(raw), Size: int64(len(raw)), Platform: &p}
}

func (f *fakeRegistry) addManifest(tag, mediaType string, raw []byte) {
	for _, key := range []string{tag, string(DigestOf(raw))} {
		f.manifests[key], f.types[key] = raw, mediaType
	}
}

func (f *fakeRegistry) host() string { return strings.TrimPrefix(f.url, "http://") }

func (f *fakeRegistry) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	f.mu.Lock()
	defer f.mu.Unlock()
	if r.URL.Path == "/token" {
		f.token(w, r)
		return
	}
	if !f.allowed(w, r) {
		return
	}
	if f.fail > 0 {
		f.fail--
		w.WriteHeader(http.StatusServiceUnavailable)
		return
	}
	f.seen = append(f.seen, strings.TrimSpace(r.Method+" "+r.URL.Path+" "+r.Header.Get("Range")))
	path := strings.TrimPrefix(r.URL.Path, "/v2/team/app/")
	if ref, ok := strings.CutPrefix(path, "manifests/"); ok && f.manifests[ref] != nil {
		w.Header().Set("Content-Type", f.types[ref])
		w.Write(f.manifests[ref])
		return
	}
	if path == "tags/list" {
		answer := struct{ Tags []string }{[]string{"bad\x1b tag"}}
		for tag := range f.manifests {
			answer.Tags = append(answer.Tags, tag) // digests too, which are no tags
		}
		json.NewEncoder(w).Encode(answer)
		return
	}
	if d, ok := strings.CutPrefix(path, "blobs/"); ok && f.blobs[Digest(d)] != nil {
		f.blob(w, r, f.blobs[Digest(d)])
		return
	}
	w.WriteHeader(http.StatusNotFound)
	io.WriteString(w, `{"errors":[{"code":"MANIFEST_UNKNOWN","message":"manifest\u001b unknown"}]}`)
}

func (f *fakeRegistry) blob(w http.ResponseWriter, r *http.Request, b []byte) {
	var at int
	if n, _ := fmt.Sscanf(r.Header.Get("Range"), "bytes=%d-", &at); n == 1 && !f.noRanges {
		w.Header().Set("Content-Range", fmt.Sprintf("bytes %d-%d/%d", at, len(b)-1, len(b)))
		w.Header().Set("Content-Length", fmt.Sprint(len(b)-at))
		w.WriteHeader(http.StatusPartialContent)
		b = b[at:]
	} else {
		w.Header().Set("Content-Length", fmt.Sprint(len(b)))
	}
	if f.cuts > 0 && len(b) > f.cut {
		f.cuts--
		w.Write(b[:f.cut])
		w.(http.Flusher).Flush()
		panic(http.ErrAbortHandler)
	}
	w.Write(b)
}

func (f *fakeRegistry) allowed(w http.ResponseWriter, r *http.Request) bool {
	switch {
	case f.user == "" && !f.tokens:
		return true
	case f.tokens && r.Header.Get("Authorization") == "Bearer good":
		return true
	case f.tokens:
		w.Header().Set("WWW-Authenticate", `Bearer realm="`+f.url+`/token",service="fake registry",scope="repository:team/app:pull"`)
	case r.Header.Get("Authorization") == "Basic "+base64.StdEncoding.EncodeToString([]byte(f.user)):
		return true
	default:
		w.Header().Set("WWW-Authenticate", `Basic realm="fake"`)
	}
	w.WriteHeader(http.StatusUnauthorized)
	return false
}

func (f *fakeRegistry) token(w http.ResponseWriter, r *http.Request) {
	q := r.URL.Query()
	if r.Method == http.MethodPost {
		r.ParseForm()
		if r.Form.Get("refresh_token") == "identity" {
			io.WriteString(w, `{"access_token":"good"}`)
			return
		}
	}
	user, password, _ := r.BasicAuth()
	if f.user != "" && user+":"+password != f.user || q.Get("service") != "fake registry" || q.Get("scope") != "repository:team/app:pull" {
		w.WriteHeader(http.StatusUnauthorized)
		return
	}
	io.WriteString(w, `{"token":"good"}`)
}
