package build

import (
	"archive/tar"
	"fmt"
	"io/fs"
	"math/rand/v2"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"coracle/image/oci"
)

// randomLayers makes layers of few names, so that they meet: files, directories, links of
// both kinds, whiteouts and opaque directories.
func randomLayers(t *testing.T, r *rand.Rand) [][]byte {
	names := []string{"a", "b", "c", "a/b", "a/c", "b/a", "b/c", "c/a", "a/b/c", "b/a/c", "c/a/b", "l", "l/a", "l/a/b", "a/l"}
	links := []string{"a", "/b", "c", "../b", "a/b", "b/a", "."}
	var layers [][]byte
	for n := range 1 + r.IntN(3) {
		var members []member
		for i := range 1 + r.IntN(6) {
			name := names[r.IntN(len(names))]
			dir, base := filepath.Split(name)
			switch r.IntN(12) {
			default:
				members = append(members, member{name: name, body: fmt.Sprint(n, ".", i)})
			case 4, 5, 6:
				members = append(members, member{name: name + "/"})
			case 7:
				members = append(members, member{name: name, typ: tar.TypeSymlink, link: links[r.IntN(len(links))]})
			case 8:
				members = append(members, member{name: name, typ: tar.TypeLink, link: names[r.IntN(len(names))]})
			case 9, 10:
				members = append(members, member{name: dir + ".wh." + base})
			case 11:
				members = append(members, member{name: name + "/.wh..wh..opq"})
			}
		}
		layers = append(layers, tarball(t, members...))
	}
	return layers
}

// listTree lists what is below root as text, without the files that we generate.
func listTree(fsys fs.FS, skip []string, readlink func(string) string) string {
	var lines []string
	fs.WalkDir(fsys, ".", func(path string, d fs.DirEntry, err error) error {
		if err != nil || path == "." {
			return err
		}
		if slices.Contains(skip, path) {
			if d.IsDir() {
				return fs.SkipDir
			}
			return nil
		}
		text := ""
		switch {
		case d.Type() == fs.ModeSymlink:
			text = readlink(path)
		case d.Type().IsRegular():
			b, _ := fs.ReadFile(fsys, path)
			text = string(b)
		}
		lines = append(lines, fmt.Sprintf("%s %v %q", path, d.Type(), text))
		return nil
	})
	return strings.Join(lines, "\n")
}

// What umoci unpacks is what we put into the image. Only root can unpack owners.
func TestLikeUmoci(t *testing.T) {
	if _, err := exec.LookPath("umoci"); err != nil || os.Getuid() != 0 {
		t.Skip("needs umoci and root")
	}
	skip := []string{dirMeta}
	for _, f := range links() {
		skip = append(skip, f.path)
	}
	for _, e := range mountPoints() {
		skip = append(skip, e.Name)
	}
	r := rand.New(rand.NewPCG(5, 6))
	same := 0
	for i := range 300 {
		ref := layout(t, oci.RunConfig{}, randomLayers(t, r)...)
		path, _, err := convert(t, ref, nil)
		tagged(t, strings.TrimPrefix(ref, "oci:"))
		bundle := filepath.Join(t.TempDir(), "bundle")
		out, uerr := exec.Command("umoci", "unpack", "--image", strings.TrimPrefix(ref, "oci:")+":t", bundle).CombinedOutput()
		if (err != nil) != (uerr != nil) {
			t.Errorf("image %d: we say %v, umoci %v\n%s", i, err, uerr, out)
			continue
		}
		if err != nil {
			continue
		}
		same++
		img := read(t, path)
		rootfs := filepath.Join(bundle, "rootfs")
		got := listTree(img.Squash.FS(), skip, func(p string) string { e, _ := img.Tree.Lstat("/" + p); return e.Target })
		want := listTree(os.DirFS(rootfs), skip, func(p string) string { s, _ := os.Readlink(filepath.Join(rootfs, p)); return s })
		if got != want {
			t.Errorf("image %d:\n%s\numoci unpacks\n%s", i, got, want)
		}
	}
	t.Logf("%d images compared", same)
	if same < 30 {
		t.Errorf("only %d images of 300 can be unpacked", same)
	}
}

// tagged gives the image of a layout the tag "t".
func tagged(t *testing.T, dir string) {
	t.Helper()
	path := filepath.Join(dir, "index.json")
	b, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	s := strings.Replace(string(b), `"size":`, `"annotations":{"org.opencontainers.image.ref.name":"t"},"size":`, 1)
	if err := os.WriteFile(path, []byte(s), 0o644); err != nil {
		t.Fatal(err)
	}
}
