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
	path := filepath.Join(dir, layerDir, key)
	whole, _ := os.ReadFile(path)
	zeros := make([]byte, len(whole))
	for _, b := range [][]byte{nil, whole[:20], whole[:32], whole[:len(whole)-1], zeros, append(whole[:len(whole)-1:len(whole)-1], 0)} {
		if err := os.WriteFile(path, b, 0o600); err != nil {
			t.Fatal(err)
		}
		if got, err := c.Layer(key); !errors.Is(err, errDamaged) {
			t.Errorf("Layer() = %q, %v, where %q is left of it; want errDamaged", got, err, b)
		}
	}
	if err := os.Chmod(path, 0o620); err != nil {
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
