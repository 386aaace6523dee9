package oci

import (
	"bytes"
	"context"
	"errors"
	"io"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
)

// A takingRegistry keeps what it is sent.
type takingRegistry struct {
	*fakeRegistry
	fails   int  // uploads that are answered with 503 first
	noPlace bool // it names no place for blobs
	uploads int
}

func (f *takingRegistry) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	path := strings.TrimPrefix(r.URL.Path, "/v2/team/app/")
	if r.Method == http.MethodGet || r.URL.Path == "/token" {
		f.fakeRegistry.ServeHTTP(w, r)
		return
	}
	if !f.allowed(w, r) {
		return
	}
	body, _ := io.ReadAll(r.Body)
	switch {
	case r.Method == http.MethodHead:
		if f.blobs[Digest(strings.TrimPrefix(path, "blobs/"))] == nil {
			w.WriteHeader(http.StatusNotFound)
		}
	case r.Method == http.MethodPost && f.noPlace:
		w.WriteHeader(http.StatusAccepted)
	case r.Method == http.MethodPost:
		w.Header().Set("Location", "/v2/team/app/blobs/uploads/1?state=a%2Fb") // relative, with a query
		w.WriteHeader(http.StatusAccepted)
	case f.fails > 0:
		f.fails--
		w.WriteHeader(http.StatusServiceUnavailable)
	case strings.HasPrefix(path, "manifests/"):
		f.addManifest(strings.TrimPrefix(path, "manifests/"), r.Header.Get("Content-Type"), body)
		w.WriteHeader(http.StatusCreated)
	case r.URL.Query().Get("state") != "a/b" || DigestOf(body) != Digest(r.URL.Query().Get("digest")):
		w.WriteHeader(http.StatusBadRequest)
	default:
		f.uploads++
		f.blobs[DigestOf(body)] = body
		w.WriteHeader(http.StatusCreated)
	}
}

// What is pushed can be pulled; what is there is not sent again.
func TestPush(t *testing.T) {
	text := bytes.Repeat([]byte("an image file "), 10000)
	for _, tt := range []struct {
		name string
		set  func(f *takingRegistry, o *Options)
		ref  string // behind oras://HOST/
		err  error
	}{
		{name: "plain"},
		{name: "after a failure", set: func(f *takingRegistry, o *Options) { f.fails = 2 }},
		{name: "basic", set: func(f *takingRegistry, o *Options) {
			f.user, o.Login = "ada:x", Credential{Username: "ada", Password: "x"}
		}},
		{name: "no login", set: func(f *takingRegistry, o *Options) { f.user = "ada:x" }, err: ErrLogin},
		{name: "no place", set: func(f *takingRegistry, o *Options) { f.noPlace = true }, err: ErrRegistry},
		{name: "digest", ref: "team/app@" + string(DigestOf(nil)), err: ErrReference},
	} {
		f := &takingRegistry{fakeRegistry: newFake(t)}
		srv := httptest.NewServer(f)
		defer srv.Close()
		o := &Options{NoHTTPS: true}
		if tt.set != nil {
			tt.set(f, o)
		}
		if tt.ref == "" {
			tt.ref = "team/app:file"
		}
		ref := "oras://" + strings.TrimPrefix(srv.URL, "http://") + "/" + tt.ref
		digest, err := Push(context.Background(), bytes.NewReader(text), int64(len(text)), "x.sif", ref, o)
		if !errors.Is(err, tt.err) {
			t.Errorf("%s: %v, want %v", tt.name, err, tt.err)
		}
		if err != nil {
			continue
		}
		if _, err := Push(context.Background(), bytes.NewReader(text), int64(len(text)), "x.sif", ref, o); err != nil || f.uploads != 2 {
			t.Errorf("%s: again: %v, %d uploads, want 2: of file and configuration", tt.name, err, f.uploads)
		}
		file, err := FindFile(context.Background(), ref, o)
		if err != nil {
			t.Errorf("%s: %v", tt.name, err)
			continue
		}
		var b bytes.Buffer
		if err := file.Copy(context.Background(), &b); err != nil || !bytes.Equal(b.Bytes(), text) || file.Digest != digest {
			t.Errorf("%s: %d bytes with digest %s, %v; want %d with %s", tt.name, b.Len(), file.Digest, err, len(text), digest)
		}
		file.Close()
	}
}
