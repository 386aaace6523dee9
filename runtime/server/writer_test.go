package server

import (
	"path/filepath"
	"testing"

	"golang.org/x/sys/unix"
)

// Who looks for a writer tells one from readers and from nobody, and leaves no lock behind.
func TestWritten(t *testing.T) {
	path := filepath.Join(t.TempDir(), "overlay")
	open := func() int {
		fd, err := unix.Open(path, unix.O_RDWR|unix.O_CREAT|unix.O_CLOEXEC, 0o600)
		if err != nil {
			t.Fatal(err)
		}
		t.Cleanup(func() { unix.Close(fd) })
		return fd
	}
	ours, other := open(), open()
	for _, tt := range []struct {
		who  string
		lock int
		want bool
	}{
		{"nobody", unix.LOCK_UN, false},
		{"a reader", unix.LOCK_SH, false},
		{"a writer", unix.LOCK_EX, true},
	} {
		if err := unix.Flock(other, tt.lock); err != nil {
			t.Fatal(err)
		}
		if got := written(ours); got != tt.want {
			t.Errorf("written() = %v, want %v: %s has it", got, tt.want, tt.who)
		}
		if err := unix.Flock(other, unix.LOCK_EX|unix.LOCK_NB); err != nil {
			t.Errorf("where %s has it a lock is left: %v", tt.who, err)
		}
	}
	unix.Flock(other, unix.LOCK_UN)
	if err := Lock(ours, path, true); err != nil {
		t.Error(err)
	}
	if err := Lock(other, path, true); err == nil {
		t.Error("two writers have it")
	}
}
