package image

import (
	"bytes"
	"errors"
	"io/fs"
	"os"
	"path/filepath"
	"sync"
	"testing"
	"time"
)

func TestKept(t *testing.T) {
	var k Kept
	path := write(t, "app.squashfs", appSquashfs)
	link := filepath.Join(t.TempDir(), "link")
	if err := os.Symlink(path, link); err != nil {
		t.Fatal(err)
	}
	want, err := Open(path)
	if err != nil {
		t.Fatal(err)
	}
	defer want.Close()
	const file = "/.singularity.d/runscript"
	content, err := want.Tree.ReadFile(file, 1<<20)
	if err != nil {
		t.Fatal(err)
	}
	var wg sync.WaitGroup
	for range 4 {
		for _, name := range []string{path, link} {
			wg.Go(func() {
				img, err := k.Open(name)
				if err != nil {
					t.Error(err)
					return
				}
				defer img.Close()
				if img.Path != name || img.Real != want.Real || img.Inode != want.Inode {
					t.Errorf("%s is %s, inode %d; want %s, %d", img.Path, img.Real, img.Inode, want.Real, want.Inode)
				}
				got, err := img.Tree.ReadFile(file, 1<<20)
				if err != nil || !bytes.Equal(got, content) {
					t.Errorf("read %q, %v; want %q", got, err, content)
				}
				clear(got) // it is the caller's
				if _, err := img.Tree.ReadFile(file, 1); err == nil {
					t.Error("a limit does not count for what is remembered")
				}
				if _, err := img.Tree.Lstat("/none"); !errors.Is(err, fs.ErrNotExist) {
					t.Errorf("/none: %v", err)
				}
			})
		}
	}
	wg.Wait()
}

// What was remembered of a file says nothing of another one under its name, or of the changed one.
func TestKeptChanges(t *testing.T) {
	var k Kept
	path := write(t, "app.squashfs", appSquashfs)
	first, err := k.Open(path)
	if err != nil {
		t.Fatal(err)
	}
	defer first.Close()
	other := write(t, "other.squashfs", appSquashfs)
	if err := os.Rename(other, path); err != nil {
		t.Fatal(err)
	}
	second, err := k.Open(path)
	if err != nil {
		t.Fatal(err)
	}
	defer second.Close()
	if second.Inode == first.Inode || second.Tree == first.Tree {
		t.Errorf("inode %d again, of another file", second.Inode)
	}
	if err := os.Chtimes(path, time.Time{}, time.Now().Add(time.Hour)); err != nil {
		t.Fatal(err)
	}
	third, err := k.Open(path)
	if err != nil {
		t.Fatal(err)
	}
	defer third.Close()
	if third.ModTime == second.ModTime || third.Tree == second.Tree {
		t.Error("the file has changed, and the same is said of it")
	}
	if _, err := k.Open(path + ".none"); !errors.Is(err, fs.ErrNotExist) {
		t.Errorf("a missing file: %v", err)
	}
}
