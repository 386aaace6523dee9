package cache

import (
	"errors"
	"io/fs"
	"os"
	"path/filepath"
	"testing"
	"time"
)

func TestLayer(t *testing.T) {
	c, dir := open(t)
	key := "0123456789abcdef"
	if _, err := c.Layer(key); !errors.Is(err, fs.ErrNotExist) {
		t.Errorf("a layer that was never kept: %v", err)
	}
	for _, text := range []string{"one", "two"} {
		if err := c.PutLayer(key, []byte(text[:1]), []byte(text[1:])); err != nil {
			t.Fatal(err)
		}
		if b, err := c.Layer(key); err != nil || string(b) != text {
			t.Errorf("Layer() = %q, %v, want %q", b, err, text)
		}
	}
	list, err := List(dir)
	if err != nil || len(list) != 1 || list[0].Kind != KindLayer || !(Filter{Kind: KindLayer}).Matches(list[0], time.Now()) {
		t.Fatalf("List() = %+v, %v", list, err)
	}
	if err := os.Chmod(filepath.Join(dir, layerDir, key), 0o620); err != nil {
		t.Fatal(err)
	}
	if _, err := c.Layer(key); !errors.Is(err, errForeign) {
		t.Errorf("a layer that others may write: %v, want errForeign", err)
	}
	if err := Remove(list[0]); err != nil {
		t.Error(err)
	}
	if _, err := c.Layer("../lock/x"); !errors.Is(err, fs.ErrNotExist) {
		t.Errorf("a key that leads out: %v", err)
	}
}
