package remove

import (
	"os"
	"path/filepath"
	"testing"

	"golang.org/x/sys/unix"
)

// deepen makes a chain of n directories below dir.
func deepen(t *testing.T, dir string, n int) {
	t.Helper()
	at, err := unix.Open(dir, unix.O_PATH|unix.O_CLOEXEC, 0)
	for range n {
		if err == nil {
			err = unix.Mkdirat(at, "d", 0o755)
		}
		next := -1
		if err == nil {
			next, err = unix.Openat(at, "d", unix.O_PATH|unix.O_CLOEXEC, 0)
		}
		unix.Close(at)
		at = next
	}
	unix.Close(at)
	if err != nil {
		t.Fatal(err)
	}
}

func TestTree(t *testing.T) {
	parent, outside := t.TempDir(), t.TempDir()
	tree := filepath.Join(parent, "tree")
	keep := filepath.Join(outside, "keep")
	for _, err := range []error{
		os.MkdirAll(filepath.Join(tree, "a/b/shut"), 0o755),
		os.WriteFile(filepath.Join(tree, "a/b/shut/file"), nil, 0o000),
		os.WriteFile(keep, nil, 0o644),
		os.Symlink(outside, filepath.Join(tree, "a/link")),
		os.Symlink("nowhere", filepath.Join(tree, "dangling")),
		os.WriteFile(filepath.Join(tree, ".deep1"), nil, 0o644), // a name that is taken
		os.Chmod(filepath.Join(tree, "a/b/shut"), 0),
		os.Chmod(filepath.Join(tree, "a/b"), 0o500),
	} {
		if err != nil {
			t.Fatal(err)
		}
	}
	deepen(t, tree, 5*maxDepth)
	dir, err := unix.Open(parent, unix.O_PATH|unix.O_CLOEXEC, 0)
	if err != nil {
		t.Fatal(err)
	}
	defer unix.Close(dir)
	if err := Tree(dir, "tree"); err != nil {
		t.Errorf("Tree: %v", err)
	}
	if left, _ := os.ReadDir(parent); len(left) > 0 {
		t.Errorf("Tree left %v", left)
	}
	if _, err := os.Stat(keep); err != nil {
		t.Errorf("Tree went through a symlink: %v", err)
	}
	if err := Tree(dir, "tree"); err != nil {
		t.Errorf("Tree of what is gone: %v, want nil", err)
	}
}

// A directory that somebody else has removed since it was opened is no error, or the rest would stay.
func TestEmptyRemoved(t *testing.T) {
	dir := filepath.Join(t.TempDir(), "gone")
	if err := os.Mkdir(dir, 0o755); err != nil {
		t.Fatal(err)
	}
	fd, err := unix.Open(dir, unix.O_RDONLY|unix.O_DIRECTORY|unix.O_CLOEXEC, 0)
	if err != nil {
		t.Fatal(err)
	}
	defer unix.Close(fd)
	if err := os.Remove(dir); err != nil {
		t.Fatal(err)
	}
	r := remover{top: fd}
	if err := r.empty(fd, 0); err != nil {
		t.Errorf("empty of a removed directory: %v; want nil", err)
	}
}
