package user

import (
	"os"
	"path/filepath"
	"testing"
)

func TestStage(t *testing.T) {
	src := filepath.Join(t.TempDir(), "tree")
	if err := os.MkdirAll(filepath.Join(src, "sub"), 0o755); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(filepath.Join(src, "sub/file"), []byte("x"), 0o644); err != nil {
		t.Fatal(err)
	}
	account := Account{UID: os.Getuid(), GID: os.Getgid()}
	dir, err := account.Stage(src, src+"=images/one", src+"/sub/file=images/two")
	if err != nil {
		t.Fatal(err)
	}
	defer os.RemoveAll(dir)
	for _, name := range []string{"tree/sub/file", "images/one/sub/file", "images/two"} {
		if data, err := os.ReadFile(filepath.Join(dir, name)); err != nil || string(data) != "x" {
			t.Errorf("%s: %q, %v", name, data, err)
		}
	}
}
