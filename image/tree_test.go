package image

import (
	"errors"
	"io/fs"
	"os"
	"path/filepath"
	"reflect"
	"testing"

	"coracle/bind"

	"golang.org/x/sys/unix"
)

// Squashfs and directory answer alike.
func TestTrees(t *testing.T) {
	dir := sandbox(t)
	for name, tree := range map[string]bind.Tree{
		"squashfs": mustOpen(t, write(t, "x", appSquashfs)).Tree,
		"sandbox":  HostTree(dir),
	} {
		for _, tt := range []struct {
			path string
			want bind.Entry
			err  error
		}{
			{path: "/", want: bind.Entry{Kind: bind.Directory, Perm: 0o755}},
			{path: "/bin", want: bind.Entry{Kind: bind.Symlink, Perm: 0o777, Target: "usr/bin"}},
			{path: "/loop", want: bind.Entry{Kind: bind.Symlink, Perm: 0o777, Target: "loop"}},
			{path: "/usr/bin", want: bind.Entry{Kind: bind.Directory, Perm: 0o755}},
			{path: "/bin/tool", err: fs.ErrNotExist}, // through a symlink: the asker resolves
			{path: "/nothing", err: fs.ErrNotExist},
			{path: "/usr/bin/tool/x", err: fs.ErrNotExist}, // through a file
		} {
			got, err := tree.Lstat(tt.path)
			if name == "sandbox" && tt.path == "/" { // the directory is the test's
				got.Perm = tt.want.Perm
			}
			if got != tt.want || !errors.Is(err, tt.err) {
				t.Errorf("%s: Lstat(%s) = %+v, %v; want %+v, %v", name, tt.path, got, err, tt.want, tt.err)
			}
		}
		names, err := tree.ReadDir("/")
		if want := []string{".singularity.d", "abs", "bin", "dev", "loop", "out", "proc", "scif", "singularity", "usr"}; err != nil || !reflect.DeepEqual(names, want) {
			t.Errorf("%s: ReadDir(/) = %q, %v; want %q", name, names, err, want)
		}
		var size *SizeError
		if _, err := tree.ReadFile("/.singularity.d/test", 5); !errors.As(err, &size) {
			t.Errorf("%s: ReadFile over its limit: %v", name, err)
		}
		for _, p := range []string{"/usr", "/out", "/out/x"} {
			if b, err := tree.ReadFile(p, 1<<20); err == nil {
				t.Errorf("%s: ReadFile(%s) = %q, want an error", name, p, b)
			}
		}
		for in, want := range map[string]string{
			"/bin/tool": "/usr/bin/tool", "/abs/bin/tool": "/usr/bin/tool", "/singularity": "/.singularity.d/runscript",
			"/bin/../../x": "/x", "/": "/", "/out": "/etc/passwd",
		} {
			if got := resolve(tree, in); got != want {
				t.Errorf("%s: resolve(%s) = %s, want %s", name, in, got, want)
			}
		}
	}
}

// A sandbox's symlinks do not lead out, with openat2 and without.
func TestSandboxKeepsIn(t *testing.T) {
	dir := sandbox(t)
	if err := os.Symlink("/etc", filepath.Join(dir, "etc")); err != nil {
		t.Fatal(err)
	}
	if err := unix.Mkfifo(filepath.Join(dir, "fifo"), 0o600); err != nil {
		t.Fatal(err)
	}
	tree := HostTree(dir)
	for _, p := range []string{"/etc/passwd", "/out", "/../../../../etc/passwd", "/fifo"} {
		if b, err := tree.ReadFile(p, 1<<20); err == nil {
			t.Errorf("ReadFile(%s) = %d bytes, want an error", p, len(b))
		}
	}
	if _, err := tree.ReadDir("/etc"); !errors.Is(err, fs.ErrNotExist) {
		t.Errorf("ReadDir of a symlink: %v, want ErrNotExist", err)
	}
	for _, tt := range []struct {
		path string
		ok   bool
	}{{"usr/bin/tool", true}, {".", true}, {"etc/passwd", false}, {"../x", false}, {"out", false}, {"usr/bin/tool/x", false}} {
		root, err := unix.Open(dir, unix.O_PATH|unix.O_CLOEXEC, 0)
		if err != nil {
			t.Fatal(err)
		}
		fd, err := openStepwise(root, tt.path, unix.O_RDONLY|unix.O_NOFOLLOW|unix.O_CLOEXEC)
		if (err == nil) != tt.ok {
			t.Errorf("openStepwise(%s): %v", tt.path, err)
		}
		if err == nil {
			unix.Close(fd)
		}
	}
}

func TestHostRoot(t *testing.T) {
	tree := HostTree("/")
	if e, err := tree.Lstat("/proc/self"); err != nil || e.Kind != bind.Symlink || e.Target == "" {
		t.Errorf("Lstat(/proc/self) = %+v, %v", e, err)
	}
	if b, err := tree.ReadFile("/proc/sys/kernel/ostype", 100); err != nil || string(b) != "Linux\n" {
		t.Errorf("ReadFile of a file without a size = %q, %v", b, err)
	}
	if _, err := tree.Lstat("/proc/version/x"); !errors.Is(err, fs.ErrNotExist) {
		t.Errorf("Lstat below a file: %v, want ErrNotExist", err)
	}
}
