package oci

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync/atomic"
	"testing"
	"time"
)

// endless answers with text again and again, a piece every pause, until the client has enough.
func endless(text string, pause time.Duration) http.HandlerFunc {
	return func(w http.ResponseWriter, r *http.Request) {
		for {
			if _, err := io.WriteString(w, text); err != nil {
				return
			}
			if pause > 0 {
				w.(http.Flusher).Flush()
			}
			select {
			case <-r.Context().Done():
				return
			case <-time.After(pause):
			}
		}
	}
}

// A registry that means ill ends in one error of a line, soon and without much memory.
func TestHostileRegistry(t *testing.T) {
	layerDigest := DigestOf([]byte(strings.Repeat(fakeLayerText, 1000)))
	for _, tt := range []struct {
		name    string
		path    string // of requests that handler answers; the others are answered well
		handler http.HandlerFunc
		err     error
		max     int32 // requests that handler may get
	}{
		{"redirections", "/v2/team/app/manifests/", func(w http.ResponseWriter, r *http.Request) {
			http.Redirect(w, r, r.URL.Path+"x", http.StatusTemporaryRedirect)
		}, ErrRegistry, 10},
		{"redirection to a file", "/v2/team/app/manifests/", func(w http.ResponseWriter, r *http.Request) {
			w.Header().Set("Location", "file:///etc/passwd")
			w.WriteHeader(http.StatusFound)
		}, nil, 1},
		{"endless manifest", "/v2/team/app/manifests/", endless(strings.Repeat(" ", 64<<10), 0), ErrManifest, 1},
		{"slow manifest", "/v2/team/app/manifests/", endless(" ", 20*time.Millisecond), ErrSlow, 1},
		{"endless headers", "/v2/team/app/manifests/", func(w http.ResponseWriter, r *http.Request) {
			w.Header().Set("X-Long", strings.Repeat("x", 2<<20))
		}, nil, 5},
		{"login without end", "/v2/team/app/manifests/", func(w http.ResponseWriter, r *http.Request) {
			w.Header().Set("WWW-Authenticate", `Basic realm="x"`)
			w.WriteHeader(http.StatusUnauthorized)
		}, ErrLogin, 1},
		{"endless blob", "/v2/team/app/blobs/" + string(layerDigest), endless(strings.Repeat("x", 64<<10), 0), ErrDigest, 1},
		{"slow blob", "/v2/team/app/blobs/" + string(layerDigest), endless("x", 20*time.Millisecond), errStalled, maxTries},
		{"short blob", "/v2/team/app/blobs/" + string(layerDigest), func(w http.ResponseWriter, r *http.Request) {
			io.WriteString(w, "x")
		}, io.EOF, maxTries},
		{"blob of another length", "/v2/team/app/blobs/" + string(layerDigest), func(w http.ResponseWriter, r *http.Request) {
			w.Header().Set("Content-Length", "9000000")
			io.WriteString(w, "x")
		}, io.ErrUnexpectedEOF, maxTries},
		{"another part", "/v2/team/app/blobs/" + string(layerDigest), func(w http.ResponseWriter, r *http.Request) {
			if r.Header.Get("Range") != "" {
				w.Header().Set("Content-Range", "bytes 0-0/1")
				w.WriteHeader(http.StatusPartialContent)
			}
			io.WriteString(w, "x")
		}, ErrRegistry, 2},
	} {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			f := newFake(t)
			var n atomic.Int32
			srv := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
				if !strings.HasPrefix(r.URL.Path, tt.path) {
					f.ServeHTTP(w, r)
					return
				}
				n.Add(1)
				tt.handler(w, r)
			}))
			defer srv.Close()
			patience := 20 * time.Second // a busy machine is no slow registry
			if tt.err == ErrSlow || tt.err == errStalled {
				patience = 300 * time.Millisecond
			}
			_, err := layerText("docker://"+strings.TrimPrefix(srv.URL, "http://")+"/team/app", &Options{patience: patience})
			if err == nil || !errors.Is(err, tt.err) && tt.err != nil {
				t.Errorf("error %v, want %v", err, tt.err)
			}
			if text := fmt.Sprint(err); len(text) > 400 || strings.ContainsAny(text, "\n\x1b") {
				t.Errorf("the error is no line: %.600q", text)
			}
			if got := n.Load(); got > tt.max {
				t.Errorf("%d requests, want at most %d", got, tt.max)
			}
		})
	}
}

// A file of a web server goes on where the connection broke, unless it has become another one.
func TestURLResumes(t *testing.T) {
	text := strings.Repeat("image file ", 50000)
	for _, tt := range []struct {
		name string
		etag func(request int) string
		ok   bool
	}{
		{"the same", func(int) string { return `"1"` }, true},
		{"another", func(n int) string { return fmt.Sprintf(`"%d"`, n) }, false},
	} {
		n := 0
		srv := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
			n++
			w.Header().Set("ETag", tt.etag(n))
			if r.Header.Get("Range") == "" {
				w.Header().Set("Content-Length", fmt.Sprint(len(text)))
				io.WriteString(w, text[:300000])
				w.(http.Flusher).Flush()
				panic(http.ErrAbortHandler)
			}
			http.ServeContent(w, r, "", time.Time{}, strings.NewReader(text))
		}))
		f, err := FindFile(context.Background(), srv.URL+"/x.sif", &Options{patience: time.Second})
		if err != nil {
			t.Fatal(err)
		}
		var b strings.Builder
		err = f.Copy(context.Background(), &b)
		if (err == nil) != tt.ok || tt.ok && b.String() != text {
			t.Errorf("%s: %d bytes, %v", tt.name, b.Len(), err)
		}
		f.Close()
		srv.Close()
	}
}
