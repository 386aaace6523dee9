package rules

import (
	"archive/tar"
	"bytes"
	"crypto/sha256"
	"encoding/json"
	"fmt"
	"os"
	"path/filepath"
	goruntime "runtime"
	"strings"
	"testing"
	"time"
)

// smallLayout writes an OCI layout, the same every time: a layer of ten directories with a hundred files each, of 20
// bytes to 10 KiB, and one that replaces the files of the first directory.
func smallLayout(t *testing.T) (dir string) {
	t.Helper()
	dir = t.TempDir()
	type object = map[string]any
	put := func(mediaType string, data []byte) object {
		sum := fmt.Sprintf("%x", sha256.Sum256(data))
		writeFile(t, filepath.Join(dir, "blobs/sha256", sum), data)
		return object{"mediaType": "application/vnd.oci.image." + mediaType, "digest": "sha256:" + sum, "size": len(data)}
	}
	document := func(mediaType string, v any) object {
		data, err := json.Marshal(v)
		if err != nil {
			t.Fatal(err)
		}
		return put(mediaType, data)
	}
	layers := []object{put("layer.v1.tar", smallLayer(t, 1, 10)), put("layer.v1.tar", smallLayer(t, 2, 1))}
	config := document("config.v1+json", object{
		"created": "2024-05-06T07:08:09Z", "architecture": goruntime.GOARCH, "os": "linux", "config": object{},
		"rootfs": object{"type": "layers", "diff_ids": []any{layers[0]["digest"], layers[1]["digest"]}},
	})
	manifest := document("manifest.v1+json", object{
		"schemaVersion": 2, "mediaType": "application/vnd.oci.image.manifest.v1+json", "config": config, "layers": layers,
	})
	index, err := json.Marshal(object{"schemaVersion": 2, "manifests": []object{manifest}})
	if err != nil {
		t.Fatal(err)
	}
	writeFile(t, filepath.Join(dir, "index.json"), index)
	writeFile(t, filepath.Join(dir, "oci-layout"), []byte(`{"imageLayoutVersion":"1.0.0"}`))
	return dir
}

func writeFile(t *testing.T, path string, data []byte) {
	t.Helper()
	if err := os.MkdirAll(filepath.Dir(path), 0o755); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(path, data, 0o644); err != nil {
		t.Fatal(err)
	}
}

// smallLayer is a tar stream of so many directories of a version.
func smallLayer(t *testing.T, version, dirs int) []byte {
	t.Helper()
	var b bytes.Buffer
	w := tar.NewWriter(&b)
	add := func(h *tar.Header, content string) {
		h.ModTime, h.Size = time.Unix(1_700_000_000, 0), int64(len(content))
		if err := w.WriteHeader(h); err != nil {
			t.Fatal(err)
		}
		if _, err := w.Write([]byte(content)); err != nil {
			t.Fatal(err)
		}
	}
	for d := range dirs {
		dir := fmt.Sprintf("data/%02d/", d)
		add(&tar.Header{Name: dir, Typeflag: tar.TypeDir, Mode: 0o755}, "")
		for f := range 100 {
			add(&tar.Header{Name: fmt.Sprintf("%s%03d", dir, f), Typeflag: tar.TypeReg, Mode: 0o644},
				strings.Repeat(fmt.Sprintf("version %d of file %d\n", version, f), 1+f*5))
		}
	}
	if err := w.Close(); err != nil {
		t.Fatal(err)
	}
	return b.Bytes()
}
