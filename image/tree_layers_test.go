package image

import (
	"errors"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"testing"

	"coracle/bind"
	"coracle/bind/bindtest"

	"golang.org/x/sys/unix"
)

func TestLayeredTree(t *testing.T) {
	top := t.TempDir()
	for _, err := range []error{
		os.MkdirAll(filepath.Join(top, "etc/opaque"), 0o755),
		os.WriteFile(filepath.Join(top, "etc/changed"), []byte("top"), 0o600),
		os.WriteFile(filepath.Join(top, "etc/opaque/mine"), nil, 0o644),
		os.WriteFile(filepath.Join(top, "dir-before"), nil, 0o644), // a directory below
		unix.Mknod(filepath.Join(top, "etc/gone"), unix.S_IFCHR, 0),
	} {
		if err != nil {
			t.Fatal(err)
		}
	}
	if err := unix.Setxattr(filepath.Join(top, "etc/opaque"), "user.overlay.opaque", []byte("y"), 0); err != nil {
		t.Skipf("no user attributes here: %v", err)
	}
	lowest := bindtest.New(map[string]string{
		"/etc/changed": "file:below", "/etc/gone/file": "file:", "/etc/kept": "file:below", "/etc/opaque/theirs": "file:", "/dir-before/x": "file:",
	})
	tree := LayeredTree([]Layer{{Tree: HostTree(top), Dir: top}, {Tree: lowest}})
	for _, tt := range []struct {
		path string
		kind bind.Kind // 0: missing
	}{
		{"/", bind.Directory}, {"/etc", bind.Directory}, {"/etc/changed", bind.File}, {"/etc/kept", bind.File},
		{"/etc/gone", 0}, {"/etc/gone/file", 0}, {"/etc/opaque/mine", bind.File}, {"/etc/opaque/theirs", 0},
		{"/dir-before", bind.File}, {"/dir-before/x", 0}, {"/none", 0},
	} {
		e, err := tree.Lstat(tt.path)
		if e.Kind != tt.kind || (err != nil) != (tt.kind == 0) || err != nil && !errors.Is(err, fs.ErrNotExist) {
			t.Errorf("Lstat(%q) = %+v, %v; want kind %d", tt.path, e, err, tt.kind)
		}
	}
	for path, want := range map[string]string{"/etc/changed": "top", "/etc/kept": "below"} {
		if got, err := tree.ReadFile(path, 100); err != nil || string(got) != want {
			t.Errorf("ReadFile(%q) = %q, %v; want %q", path, got, err, want)
		}
	}
	for path, want := range map[string][]string{"/": {"dir-before", "etc"}, "/etc": {"changed", "kept", "opaque"}, "/etc/opaque": {"mine"}} {
		if got, err := tree.ReadDir(path); err != nil || !slices.Equal(got, want) {
			t.Errorf("ReadDir(%q) = %q, %v; want %q", path, got, err, want)
		}
	}
}
