//go:build !lean

package main

import (
	"errors"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"coracle/image/build"
	"coracle/image/cache"
)

func TestKeeper(t *testing.T) {
	dir := t.TempDir()
	store, err := cache.Open(filepath.Join(dir, "cache"))
	if err != nil {
		t.Fatal(err)
	}
	path := filepath.Join(dir, "app.sif")
	if err := os.WriteFile(path, []byte("an image"), 0o600); err != nil {
		t.Fatal(err)
	}
	want := build.Kept{Key: "0123", Offset: 3, Size: 2, List: []byte("a\nlist"), Index: []byte("an\nindex"), Sum: [16]byte{1}}
	m := &maker{cache: store}
	m.keep(path, []build.Kept{want})
	k := newKeeper(store)
	got, r, file, err := k.Find(want.Key)
	if err != nil || string(got.List) != string(want.List) || string(got.Index) != string(want.Index) || got.Sum != want.Sum || got.Offset != 3 {
		t.Fatalf("Find() = %+v, %v, want %+v", got, err, want)
	}
	b := make([]byte, 2)
	if _, err := r.ReadAt(b, 3); err != nil || string(b) != "im" {
		t.Errorf("the file has %q, %v", b, err)
	}
	file.Close()
	if len(k.Program()) != 64 {
		t.Errorf("Program() = %q", k.Program())
	}
	if err := os.Remove(path); err != nil {
		t.Fatal(err)
	}
	if _, _, _, err := k.Find(want.Key); !errors.Is(err, os.ErrNotExist) {
		t.Errorf("the image is gone: %v", err)
	}
	if err := os.Mkdir(path, 0o700); err != nil {
		t.Fatal(err)
	}
	if _, _, _, err := k.Find(want.Key); !errors.Is(err, errKept) {
		t.Errorf("the image is a directory: %v, want errKept", err)
	}
	if err := store.PutLayer("4567", []byte(`{"Key":"0123","Path":"`+path+"\"}\n")); err != nil {
		t.Fatal(err)
	}
	if _, _, _, err := k.Find("4567"); !errors.Is(err, errKept) {
		t.Errorf("another key's: %v, want errKept", err)
	}
}

func TestParseKept(t *testing.T) {
	for _, bad := range []string{"", "\n", "{}", "{", "{\n", "[]\n", `{"Len":-1}` + "\n", `{"Len":3}` + "\nab", `{"Len":"1"}` + "\nab"} {
		if k, err := parseKept([]byte(bad)); !errors.Is(err, errKept) {
			t.Errorf("parseKept(%q) = %+v, %v, want errKept", bad, k, err)
		}
	}
}

func TestBuildID(t *testing.T) {
	for program, want := range map[string]string{
		"\x7fELF\x02\x00\x00\x00\x04\x00\x00\x00Go\x00\x00idx": "id",
		"\x02\x00\x00\x00\x04\x00\x00\x00Go\x00\x00i":          "i", // cut
		"\x04\x00\x00\x00Go\x00\x00id":                         "",
		"\x7fELF":                                              "",
	} {
		if got := buildID(strings.NewReader(program)); string(got) != want {
			t.Errorf("buildID(%q) = %q, want %q", program, got, want)
		}
	}
	f, err := os.Open("/proc/self/exe")
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	if id := buildID(f); strings.Count(string(id), "/") != 3 {
		t.Errorf("this program's buildID is %q", id)
	}
}
