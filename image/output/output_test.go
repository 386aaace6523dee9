package output

import (
	"errors"
	"os"
	"path/filepath"
	"testing"
)

func names(t *testing.T, dir string) []string {
	t.Helper()
	list, err := os.ReadDir(dir)
	if err != nil {
		t.Fatal(err)
	}
	var out []string
	for _, e := range list {
		out = append(out, e.Name())
	}
	return out
}

// both runs a test with nameless files and with ones that have a name on the way.
func both(t *testing.T, fn func(t *testing.T, create func(string, bool) (*File, error), dir string)) {
	t.Run("nameless", func(t *testing.T) {
		fn(t, func(path string, over bool) (*File, error) { return Create(path, 0o644, over) }, t.TempDir())
	})
	t.Run("named", func(t *testing.T) {
		fn(t, func(path string, over bool) (*File, error) {
			f, err := Create(path, 0o644, over)
			if err != nil {
				return nil, err
			}
			f.temp = tempName(path)
			if f.File, err = os.Create(f.temp); err != nil {
				return nil, err
			}
			return f, nil
		}, t.TempDir())
	})
}

func TestCommit(t *testing.T) {
	both(t, func(t *testing.T, create func(string, bool) (*File, error), dir string) {
		path := filepath.Join(dir, "x")
		f, err := create(path, false)
		if err != nil {
			t.Fatal(err)
		}
		if _, err := os.Lstat(path); err == nil {
			t.Error("the file has its name before it is finished")
		}
		f.WriteString("whole")
		if err := f.Commit(); err != nil {
			t.Fatal(err)
		}
		f.Close()
		b, err := os.ReadFile(path)
		fi, _ := os.Stat(path)
		if string(b) != "whole" || err != nil || fi.Mode().Perm()&^0o644 != 0 || fi.Mode().Perm()&0o600 != 0o600 {
			t.Errorf("%q, %v, mode %v", b, err, fi.Mode())
		}
		if got := names(t, dir); len(got) != 1 {
			t.Errorf("the directory has %q", got)
		}
	})
}

// A file that need not be on the disk has its name all the same.
func TestCommitSoon(t *testing.T) {
	both(t, func(t *testing.T, create func(string, bool) (*File, error), dir string) {
		path := filepath.Join(dir, "x")
		for _, text := range []string{"one", "two"} {
			f, err := create(path, true)
			if err != nil {
				t.Fatal(err)
			}
			f.WriteString(text)
			if err := f.CommitSoon(); err != nil {
				t.Fatal(err)
			}
			if b, err := os.ReadFile(path); string(b) != text || err != nil || len(names(t, dir)) != 1 {
				t.Errorf("%q, %v, want %q; the directory has %q", b, err, text, names(t, dir))
			}
		}
	})
}

func TestGiveUp(t *testing.T) {
	both(t, func(t *testing.T, create func(string, bool) (*File, error), dir string) {
		f, err := create(filepath.Join(dir, "x"), true)
		if err != nil {
			t.Fatal(err)
		}
		f.WriteString("half")
		f.Close()
		if got := names(t, dir); len(got) != 0 {
			t.Errorf("the directory has %q", got)
		}
		if err := f.Commit(); err == nil {
			t.Error("Commit after Close works")
		}
	})
}

func TestExists(t *testing.T) {
	both(t, func(t *testing.T, create func(string, bool) (*File, error), dir string) {
		path := filepath.Join(dir, "x")
		late, err := create(path, false)
		if err != nil {
			t.Fatal(err)
		}
		over, err := create(path, true)
		if err != nil {
			t.Fatal(err)
		}
		os.WriteFile(path, []byte("old"), 0o600)
		if _, err := create(path, false); !errors.Is(err, ErrExists) {
			t.Errorf("Create: %v, want ErrExists", err)
		}
		if err := late.Commit(); !errors.Is(err, ErrExists) {
			t.Errorf("Commit: %v, want ErrExists", err)
		}
		over.WriteString("new")
		if err := over.Commit(); err != nil {
			t.Error(err)
		}
		if b, _ := os.ReadFile(path); string(b) != "new" {
			t.Errorf("the file has %q", b)
		}
		if got := names(t, dir); len(got) != 1 {
			t.Errorf("the directory has %q", got)
		}
	})
	if _, err := Create(t.TempDir(), 0o644, true); !errors.Is(err, ErrExists) {
		t.Errorf("Create over a directory: %v, want ErrExists", err)
	}
}

// A file server may have carried out a request that it says has failed.
func TestArrived(t *testing.T) {
	for _, over := range []bool{false, true} {
		dir := t.TempDir()
		path := filepath.Join(dir, "x")
		f, err := Create(path, 0o644, over)
		if err != nil {
			t.Fatal(err)
		}
		f.temp = tempName(path)
		if f.File, err = os.Create(f.temp); err != nil {
			t.Fatal(err)
		}
		f.WriteString("whole")
		if err := os.Link(f.temp, path); err != nil { // what the server did
			t.Fatal(err)
		}
		if over {
			os.Remove(f.temp)
		}
		if err := f.Commit(); err != nil {
			t.Errorf("over %v: Commit: %v", over, err)
		}
		if b, _ := os.ReadFile(path); string(b) != "whole" || len(names(t, dir)) != 1 {
			t.Errorf("over %v: %q, %q", over, b, names(t, dir))
		}
	}
}

func TestNeedSpace(t *testing.T) {
	if err := NeedSpace("/", 1<<62); !errors.As(err, new(*SpaceError)) {
		t.Errorf("4 EiB: %v, want a SpaceError", err)
	}
	if err := NeedSpace("/", 0); err != nil {
		t.Errorf("nothing: %v", err)
	}
}
