package measure

import (
	"os"
	"path/filepath"
	"testing"
)

// TestResident writes a file, takes it out of the page cache, and reads a little of it again.
func TestResident(t *testing.T) {
	page := os.Getpagesize()
	path := filepath.Join(t.TempDir(), "file")
	if err := os.WriteFile(path, make([]byte, 600*page+1), 0o644); err != nil {
		t.Fatal(err)
	}
	check := func(least, most int) {
		t.Helper()
		if got, err := Resident(path); err != nil || got < int64(least*page) || got > int64(most*page) {
			t.Errorf("Resident = %d, %v; want %d to %d pages", got, err, least, most)
		}
	}
	check(601, 601)
	f, err := os.Open(path)
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	if err := Evict(path); err != nil {
		t.Fatal(err)
	}
	if got, err := Resident(path); err == nil && got == int64(601*page) {
		t.Skip("a file system that lives in the page cache")
	}
	check(0, 0)
	if _, err := f.ReadAt(make([]byte, 1), int64(500*page)); err != nil {
		t.Fatal(err)
	}
	check(1, 600) // and what was read ahead
}

func TestResidentErrors(t *testing.T) {
	empty := filepath.Join(t.TempDir(), "empty")
	if err := os.WriteFile(empty, nil, 0o644); err != nil {
		t.Fatal(err)
	}
	if got, err := Resident(empty); got != 0 || err != nil {
		t.Errorf("Resident of an empty file = %d, %v", got, err)
	}
	for _, path := range []string{filepath.Dir(empty), empty + "-not"} {
		if got, err := Resident(path); err == nil {
			t.Errorf("Resident(%q) = %d without an error", path, got)
		}
	}
	if os.Getuid() != 0 {
		if got, err := Resident("/etc/passwd"); err == nil {
			t.Errorf("Resident of another's file = %d without an error", got)
		}
	}
}
