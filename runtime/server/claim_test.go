package server

import (
	"os"
	"path/filepath"
	"testing"

	"golang.org/x/sys/unix"
)

// A directory that somebody has just made, and not locked yet, may be taken for an old one: then it has lost its name before
// the lock can be had, so that nobody works in a directory that is being removed.
func TestTakeOld(t *testing.T) {
	top := t.TempDir()
	dir, err := unix.Open(top, unix.O_RDONLY|unix.O_DIRECTORY|unix.O_CLOEXEC, 0)
	if err != nil {
		t.Fatal(err)
	}
	defer unix.Close(dir)
	const prefix = "coracle-test-"
	name := prefix + "new"
	path := filepath.Join(top, name)
	if err := os.Mkdir(path, 0o700); err != nil {
		t.Fatal(err)
	}
	fd, err := unix.Open(path, unix.O_RDONLY|unix.O_CLOEXEC, 0)
	if err != nil {
		t.Fatal(err)
	}
	defer unix.Close(fd)
	old, ok := TakeOld(dir, prefix, name)
	if _, err := os.Stat(path); !ok || !os.IsNotExist(err) {
		t.Fatalf("TakeOld of an unlocked directory = %q, %v; the name: %v", old, ok, err)
	}
	if err := unix.Flock(fd, unix.LOCK_EX|unix.LOCK_NB); err != nil {
		t.Fatal(err)
	}
	if fd, err := ClaimDir(dir, name); !os.IsNotExist(err) {
		t.Errorf("ClaimDir of a directory that was taken: %d, %v; want that it does not exist", fd, err)
	}
	if sameFile(fd, dir, name) {
		t.Error("sameFile: the directory still has its first name")
	}
	if again, ok := TakeOld(dir, prefix, old); ok {
		t.Errorf("TakeOld took %q, which is locked, as %q", old, again)
	}
}
