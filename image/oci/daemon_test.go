package oci

import (
	"bytes"
	"compress/gzip"
	"context"
	"errors"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"testing"

	"coracle/image/output"

	"golang.org/x/sys/unix"
)

// serveUnix serves a handler at a socket, and returns the DOCKER_HOST of it.
func serveUnix(t *testing.T, h http.HandlerFunc) string {
	t.Helper()
	l, err := net.Listen("unix", filepath.Join(t.TempDir(), "sock"))
	if err != nil {
		t.Fatal(err)
	}
	srv := httptest.NewUnstartedServer(h)
	srv.Listener.Close()
	srv.Listener = l
	srv.Start()
	t.Cleanup(srv.Close)
	return "unix://" + l.Addr().String()
}

func TestDaemonErrors(t *testing.T) {
	asked := ""
	host := serveUnix(t, func(w http.ResponseWriter, r *http.Request) {
		asked = r.URL.Path
		switch r.URL.Path {
		case "/images/large:1/json":
			io.WriteString(w, `{"Size": 4611686018427387904}`)
		case "/images/broken:latest/json":
			io.WriteString(w, `no JSON`)
		case "/images/broken:latest/get":
			io.WriteString(w, `no archive`)
		default:
			w.WriteHeader(http.StatusNotFound)
		}
	})
	unheard := filepath.Join(t.TempDir(), "unheard")
	l, err := net.ListenUnix("unix", &net.UnixAddr{Name: unheard})
	if err != nil {
		t.Fatal(err)
	}
	l.SetUnlinkOnClose(false)
	l.Close()
	for _, tt := range []struct {
		host, ref string
		is        func(error) bool
		asked     string
	}{
		{host, "large:1", func(err error) bool {
			return errors.As(err, new(*SpoolError)) && errors.As(err, new(*output.SpaceError))
		}, "/images/large:1/json"},
		{host, "broken", func(err error) bool { return errors.Is(err, ErrArchive) }, "/images/broken:latest/get"},
		{host, "none:1", func(err error) bool { return errors.Is(err, ErrNotFound) }, "/images/none:1/json"},
		{host, "", func(err error) bool { return errors.Is(err, ErrReference) }, ""},
		{"unix://" + unheard, "app", func(err error) bool { return errors.Is(err, ErrNoDaemon) }, ""},
		{"unix://" + unheard + "/none", "app", func(err error) bool { return errors.Is(err, ErrNoDaemon) }, ""},
		{"tcp://127.0.0.1:1", "app", func(err error) bool { return errors.Is(err, ErrReference) }, ""},
	} {
		asked = ""
		_, err := Find(context.Background(), "docker-daemon:"+tt.ref, &Options{DockerHost: tt.host, TempDir: t.TempDir()})
		if !tt.is(err) || asked != tt.asked {
			t.Errorf("docker-daemon:%s at %s: %v, the last question %q; want the question %q", tt.ref, tt.host, err, asked, tt.asked)
		}
	}
}

// An archive that breaks off is the archive's fault, and what is known to be too large is not begun.
func TestSpoolErrors(t *testing.T) {
	var b bytes.Buffer
	z := gzip.NewWriter(&b)
	z.Write(bytes.Repeat([]byte("archive "), 1000))
	z.Close()
	dir := t.TempDir()
	if _, err := spool(context.Background(), bytes.NewReader(b.Bytes()[:b.Len()/2]), dir); !errors.Is(err, ErrArchive) || errors.As(err, new(*SpoolError)) {
		t.Errorf("half an archive: %v, want ErrArchive", err)
	}
	if _, err := newArchive(context.Background(), large(t), dir); !errors.As(err, new(*SpoolError)) {
		t.Errorf("more than there is: %v, want a SpoolError", err)
	}
	if left, err := os.ReadDir(dir); err != nil || len(left) > 0 {
		t.Errorf("left: %v, %v", left, err)
	}
	if _, err := spool(context.Background(), &b, filepath.Join(dir, "none")); !errors.Is(err, os.ErrNotExist) {
		t.Errorf("no directory: %v, want ErrNotExist", err)
	}
}

// large opens a file that claims to be larger than the room there is.
func large(t *testing.T) *os.File {
	t.Helper()
	var st unix.Statfs_t
	f, err := os.Create(filepath.Join(t.TempDir(), "large"))
	if err == nil {
		err = unix.Statfs(f.Name(), &st)
	}
	if err == nil {
		err = f.Truncate(int64(st.Bavail)*st.Bsize + 1<<30)
	}
	if err != nil {
		t.Fatal(err)
	}
	return f
}
