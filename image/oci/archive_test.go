package oci

import (
	"context"
	"encoding/json"
	"io"
	"os"
	"path/filepath"
	"testing"
)

// layoutArchive returns an archive of an OCI layout with one image.
func layoutArchive(t testing.TB) []byte {
	t.Helper()
	l := packed(t, "file", "x")
	config, _ := json.Marshal(map[string]any{"os": "linux", "architecture": HostPlatform().Architecture,
		"rootfs": map[string]any{"type": "layers", "diff_ids": []Digest{DigestOf(l)}}})
	m, _ := json.Marshal(Manifest{SchemaVersion: 2, MediaType: typeManifest,
		Config: Descriptor{MediaType: typeConfig, Digest: DigestOf(config), Size: int64(len(config))},
		Layers: []Descriptor{{MediaType: typeLayer, Digest: DigestOf(l), Size: int64(len(l))}}})
	index, _ := json.Marshal(Manifest{SchemaVersion: 2, Manifests: []Descriptor{{MediaType: typeManifest, Digest: DigestOf(m), Size: int64(len(m))}}})
	files := []string{"oci-layout", `{"imageLayoutVersion":"1.0.0"}`, "index.json", string(index)}
	for _, b := range [][]byte{l, config, m} {
		files = append(files, blobPath(DigestOf(b)), string(b))
	}
	return packed(t, files...)
}

// FuzzArchive: whatever an archive holds, opening it and reading its layers ends, in an error or an image whose layers
// have the digests that the image says.
func FuzzArchive(f *testing.F) {
	f.Add(layoutArchive(f))
	f.Add(dockerSave(f, `"app:1"`, "x"))
	f.Add(packed(f, "manifest.json -> manifest.json", "", "oci-layout -> ../../etc/passwd", ""))
	path := filepath.Join(f.TempDir(), "x.tar")
	f.Fuzz(func(t *testing.T, b []byte) {
		if err := os.WriteFile(path, b, 0o600); err != nil {
			t.Fatal(err)
		}
		for _, transport := range []string{transportArchive, transportDockerArchive} {
			img, err := Open(context.Background(), transport+":"+path, &Options{TempDir: filepath.Dir(path)})
			if err != nil {
				continue
			}
			for n := range img.Layers() {
				r, err := img.Layer(context.Background(), n)
				if err != nil {
					continue
				}
				got, err := io.ReadAll(io.LimitReader(r, 1<<20))
				if err == nil && len(got) < 1<<20 && transport == transportDockerArchive && verify(got, img.Config.RootFS.DiffIDs[n]) != nil {
					t.Errorf("layer %d of %s is not what its digest says", n, transport)
				}
				r.Close()
			}
			img.Close()
		}
	})
}
