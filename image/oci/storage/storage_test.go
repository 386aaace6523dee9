package storage

import (
	"archive/tar"
	"bytes"
	"compress/gzip"
	"context"
	"encoding/base64"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
)

// A file of a layer: its name as the archive and as the disk has it, and what is in it.
type file struct{ name, disk, text string }

// archive returns the tar archive of files, and its record as a store keeps it.
func archive(t testing.TB, files ...file) (whole, record []byte) {
	t.Helper()
	var b, rec bytes.Buffer
	w := tar.NewWriter(&b)
	lines := json.NewEncoder(&rec)
	done := 0
	segment := func() {
		lines.Encode(map[string]any{"type": segmentPart, "payload": b.Bytes()[done:]})
		done = b.Len()
	}
	for _, f := range files {
		if err := w.WriteHeader(&tar.Header{Name: f.name, Typeflag: tar.TypeReg, Mode: 0o600, Uid: 33, Gid: 34, Size: int64(len(f.text))}); err != nil {
			t.Fatal(err)
		}
		segment()
		if f.text != "" {
			io.WriteString(w, f.text)
			done = b.Len()
			lines.Encode(map[string]any{"type": filePart, "name": f.name, "size": len(f.text), "payload": "AAAAAAAAAAA="})
		}
		w.Flush()
	}
	w.Close()
	segment()
	return b.Bytes(), rec.Bytes()
}

func put(t testing.TB, path string, b []byte) {
	t.Helper()
	if err := os.MkdirAll(filepath.Dir(path), 0o755); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(path, b, 0o644); err != nil {
		t.Fatal(err)
	}
}

func gzipped(b []byte) []byte {
	var out bytes.Buffer
	w := gzip.NewWriter(&out)
	w.Write(b)
	w.Close()
	return out.Bytes()
}

// Names of two layers and an image.
const low, high, imageID = "aa01", "aa02", "cafe0123"

// diff is where a driver has the files of a layer.
func diff(driver, id string) string {
	if driver == "vfs" {
		return "vfs/dir/" + id
	}
	return "overlay/" + id + "/diff"
}

// store makes a store with one image of two layers, the upper one with the files given.
func store(t testing.TB, driver string, files ...file) (root string, lower, upper []byte) {
	t.Helper()
	root = t.TempDir()
	list := func(kind string, v any) {
		b, _ := json.Marshal(v)
		put(t, filepath.Join(root, driver+"-"+kind, kind+".json"), b)
	}
	list("images", []map[string]any{{"id": imageID, "digest": "sha256:11", "names": []string{"localhost/app:1"}, "layer": high}})
	list("layers", []map[string]any{{"id": low, "diff-digest": "sha256:01"}, {"id": high, "parent": low, "diff-digest": "sha256:02"}})
	put(t, filepath.Join(root, driver+"-images", imageID, "manifest"), []byte("the manifest"))
	put(t, filepath.Join(root, driver+"-images", imageID, "="+base64.StdEncoding.EncodeToString([]byte("sha256:cc"))), []byte("the config"))
	for _, l := range []struct {
		id    string
		files []file
		whole *[]byte
	}{{low, []file{{"etc/issue", "", "lower"}, {"empty", "", ""}}, &lower}, {high, files, &upper}} {
		whole, record := archive(t, l.files...)
		*l.whole = whole
		put(t, filepath.Join(root, driver+"-layers", l.id+".tar-split.gz"), gzipped(record))
		for _, f := range l.files {
			if f.disk == "" {
				f.disk = f.name
			}
			put(t, filepath.Join(root, diff(driver, l.id), f.disk), []byte(f.text))
		}
	}
	return root, lower, upper
}

func image(t testing.TB, places ...Place) *Image {
	t.Helper()
	set, err := Open(places, nil)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { set.Close() })
	img := set.Images()[0]
	if err := img.Resolve(); err != nil {
		t.Fatal(err)
	}
	return img
}

func readLayer(img *Image, n int) ([]byte, error) {
	r, err := img.Layer(context.Background(), n)
	if err != nil {
		return nil, err
	}
	defer r.Close()
	return io.ReadAll(r)
}

// Layers come back byte for byte, from either driver, links among the parents included.
func TestLayers(t *testing.T) {
	for _, driver := range []string{"overlay", "vfs"} {
		root, lower, upper := store(t, driver, file{"lib/a", "usr/lib/a", strings.Repeat("x", 100000)}, file{"\xff", "", "no UTF-8"}, file{"b", "", "b"})
		if err := os.Symlink("/usr/lib", filepath.Join(root, diff(driver, high), "lib")); err != nil { // absolute: of the image's root
			t.Fatal(err)
		}
		img := image(t, Place{Root: root})
		if got := img.Layers(); !slices.Equal(got, []string{"sha256:01", "sha256:02"}) {
			t.Errorf("%s: Layers() = %q", driver, got)
		}
		for name, want := range map[string]string{"manifest": "the manifest", "sha256:cc": "the config"} {
			if b, err := img.BigData(name); string(b) != want || err != nil {
				t.Errorf("%s: BigData(%q) = %q, %v", driver, name, b, err)
			}
		}
		record := filepath.Join(root, driver+"-layers", high+".tar-split.gz")
		mendRawName(t, record)
		for n, want := range [][]byte{lower, upper} {
			if got, err := readLayer(img, n); !bytes.Equal(got, want) || err != nil {
				t.Errorf("%s: layer %d: %d bytes, %v; want %d", driver, n, len(got), err, len(want))
			}
		}
	}
}

// mendRawName writes names that are no UTF-8 as stores do.
func mendRawName(t *testing.T, path string) {
	t.Helper()
	b, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	z, err := gzip.NewReader(bytes.NewReader(b))
	if err != nil {
		t.Fatal(err)
	}
	text, _ := io.ReadAll(z)
	text = bytes.Replace(text, []byte(`"name":"\ufffd"`), []byte(`"name_raw":"/w=="`), 1)
	put(t, path, gzipped(text))
}

// A layer may stand on one of an additional store, and stores that are not there do not matter.
func TestAdditionalStore(t *testing.T) {
	root, lower, _ := store(t, "overlay", file{"b", "", "b"})
	shared := t.TempDir()
	b, _ := json.Marshal([]map[string]any{{"id": low, "diff-digest": "sha256:01"}})
	put(t, filepath.Join(shared, "vfs-layers/layers.json"), b)
	put(t, filepath.Join(shared, "vfs-images/images.json"), []byte("[]"))
	for from, to := range map[string]string{"overlay-layers/aa01.tar-split.gz": "vfs-layers/aa01.tar-split.gz", "overlay/aa01/diff": "vfs/dir/aa01"} {
		os.MkdirAll(filepath.Dir(filepath.Join(shared, to)), 0o755)
		if err := os.Rename(filepath.Join(root, from), filepath.Join(shared, to)); err != nil {
			t.Fatal(err)
		}
	}
	b, _ = json.Marshal([]map[string]any{{"id": high, "parent": low, "diff-digest": "sha256:02"}})
	put(t, filepath.Join(root, "overlay-layers/layers.json"), b)
	img := image(t, Place{Root: "/nowhere"}, Place{Root: root, Driver: "overlay"}, Place{Root: shared})
	if got, err := readLayer(img, 0); !bytes.Equal(got, lower) || err != nil {
		t.Errorf("%d bytes, %v", len(got), err)
	}
	_, err := Open([]Place{{Root: "/nowhere"}, {Root: root, Driver: "vfs"}}, nil)
	if !errors.Is(err, ErrNoStore) {
		t.Errorf("Open of nothing: %v", err)
	}
}

// What is wrong with a store is said, and nothing outside of a layer is read.
func TestDamage(t *testing.T) {
	secret := filepath.Join(t.TempDir(), "secret")
	put(t, secret, []byte("secret"))
	for _, tt := range []struct {
		name   string
		damage func(root string) error
		want   error
	}{
		{"record gone", func(r string) error { return os.Remove(r + "/overlay-layers/aa02.tar-split.gz") }, ErrNoRecord},
		{"record cut", func(r string) error { return os.Truncate(r+"/overlay-layers/aa02.tar-split.gz", 60) }, ErrCorrupt},
		{"no record", func(r string) error {
			return os.WriteFile(r+"/overlay-layers/aa02.tar-split.gz", gzipped([]byte("{}\n")), 0o600)
		}, ErrCorrupt},
		{"file gone", func(r string) error { return os.Remove(r + "/overlay/aa02/diff/b") }, fs.ErrNotExist},
		{"file short", func(r string) error { return os.Truncate(r+"/overlay/aa02/diff/b", 3) }, ErrCorrupt},
		{"directory", func(r string) error {
			return errors.Join(os.Remove(r+"/overlay/aa02/diff/b"), os.Mkdir(r+"/overlay/aa02/diff/b", 0o755))
		}, ErrCorrupt},
		{"link", func(r string) error {
			return errors.Join(os.Remove(r+"/overlay/aa02/diff/b"), os.Symlink(secret, r+"/overlay/aa02/diff/b"))
		}, errLoop},
		{"link above", func(r string) error {
			return errors.Join(os.RemoveAll(r+"/overlay/aa02/diff/d"), os.Symlink(filepath.Dir(secret), r+"/overlay/aa02/diff/d"))
		}, fs.ErrNotExist},
	} {
		root, _, _ := store(t, "overlay", file{"b", "", "secret"}, file{"d/secret", "", "secret"})
		if err := tt.damage(root); err != nil {
			t.Fatal(err)
		}
		if _, err := readLayer(image(t, Place{Root: root}), 1); !errors.Is(err, tt.want) {
			t.Errorf("%s: %v, want %v", tt.name, err, tt.want)
		}
	}
}

// Lists that cannot be right are errors, before a name of theirs becomes part of a path.
func TestBadLists(t *testing.T) {
	for _, tt := range []struct{ list, text string }{
		{"images", "[{"},
		{"layers", "{}"},
		{"images", `[{"id":"../../x","layer":"aa02"}]`},
		{"images", `[{"id":"cafe","layer":"bb"}]`},
		{"layers", `[{"id":"aa02","parent":"../x"},{"id":"../x"}]`},
		{"layers", `[{"id":"aa02","parent":"aa02"}]`}, // a circle
	} {
		root, _, _ := store(t, "overlay")
		put(t, filepath.Join(root, "overlay-"+tt.list, tt.list+".json"), []byte(tt.text))
		set, err := Open([]Place{{Root: root}}, nil)
		if err == nil {
			err = set.Images()[0].Resolve()
		}
		if !errors.Is(err, ErrCorrupt) {
			t.Errorf("%s %s: %v", tt.list, tt.text, err)
		}
	}
}

// FuzzLayer: no record of an archive makes the reader do more than fail.
func FuzzLayer(f *testing.F) {
	_, record := archive(f, file{"b", "", "text"}, file{"d/x", "", "more"})
	f.Add(record)
	f.Add([]byte(`{"type":1,"name":"../../../etc/passwd","size":10}` + "\n"))
	f.Add([]byte(`{"type":1,"name":"b","size":9223372036854775807}` + "\n"))
	root, _, _ := store(f, "overlay", file{"b", "", "text"}, file{"d/x", "", "more"})
	img := image(f, Place{Root: root, Driver: "overlay"})
	f.Fuzz(func(t *testing.T, record []byte) {
		put(t, filepath.Join(root, "overlay-layers", high+".tar-split.gz"), gzipped(record))
		b, err := readLayer(img, 1)
		if bytes.Contains(b, []byte("root:x:0")) && !bytes.Contains(record, []byte("root")) {
			t.Error("a file outside of the layer was read")
		}
		if err == nil && len(b) > len(record)+len("textmore")*bytes.Count(record, []byte("\n"))+64 {
			t.Error(fmt.Sprint(len(b), " bytes of nothing"))
		}
	})
}
