package main

import (
	"errors"
	"maps"
	"os"
	"path/filepath"
	"testing"
)

// TestResidentBelow looks at a tree that has just been written, after one of its files has been evicted, and at a copy.
func TestResidentBelow(t *testing.T) {
	page := int64(os.Getpagesize())
	root := filepath.Join(t.TempDir(), "tree")
	kept, gone := filepath.Join(root, "sub/kept"), filepath.Join(root, "gone")
	if err := errors.Join(os.MkdirAll(filepath.Dir(kept), 0o755), os.WriteFile(kept, make([]byte, 3*page), 0o644),
		os.WriteFile(gone, []byte("x"), 0o644), os.Link(kept, kept+"-again"), os.Symlink("kept", kept+"-link")); err != nil {
		t.Fatal(err)
	}
	check := func(want pages) {
		t.Helper()
		got, err := residentBelow(root)
		if err != nil || !maps.Equal(got, want) {
			t.Errorf("residentBelow = %v, %v; want %v", got, err, want)
		}
		if n, err := residentAt(root, got); err != nil || n != want.sum() {
			t.Errorf("residentAt = %d, %v; want %d", n, err, want.sum())
		}
	}
	check(pages{"sub/kept": 3 * page, "gone": page})
	if err := evict(gone); err != nil {
		t.Skip("a file system that lives in the page cache:", err)
	}
	check(pages{"sub/kept": 3 * page})
	if err := evict(root); err != nil {
		t.Fatal(err)
	}
	check(pages{})
	if err := ownCopy(root, root+"-copy"); err != nil {
		t.Fatal(err)
	}
	if got, err := residentBelow(root + "-copy"); err != nil || got.sum() != 7*page { // two names, two files
		t.Errorf("a new copy: %v, %v; want 7 pages", got, err)
	}
}

func TestMountPoints(t *testing.T) {
	points, err := mountPoints()
	if err != nil || !points["/"] || !points["/proc"] {
		t.Errorf("mountPoints = %v, %v; want / and /proc among them", points, err)
	}
}
