package squash

import (
	"bytes"
	"os"
	"os/exec"
	"path/filepath"
	"testing"
)

// needTool skips a test where a program is missing. In CI (CORACLE_CI=1) that
// is a failure.
func needTool(t testing.TB, name string) {
	t.Helper()
	if _, err := exec.LookPath(name); err == nil {
		return
	}
	if os.Getenv("CORACLE_CI") == "1" {
		t.Fatalf("no %s", name)
	}
	t.Skipf("no %s", name)
}

// run runs a program with input on stdin.
func run(t testing.TB, input []byte, name string, args ...string) {
	t.Helper()
	cmd := exec.Command(name, args...)
	cmd.Stdin = bytes.NewReader(input)
	if out, err := cmd.CombinedOutput(); err != nil {
		t.Fatalf("%s %q: %v\n%s", name, args, err, out)
	}
}

// makeImage has mksquashfs make an image of a directory and returns its bytes.
func makeImage(t testing.TB, dir string, args ...string) []byte {
	t.Helper()
	needTool(t, "mksquashfs")
	img := filepath.Join(t.TempDir(), "img")
	run(t, nil, "mksquashfs", append([]string{dir, img, "-noappend", "-no-progress", "-quiet"}, args...)...)
	return readAll(t, img)
}

// makeTarImage has sqfstar make an image of a tar archive.
func makeTarImage(t testing.TB, archive []byte, args ...string) []byte {
	t.Helper()
	needTool(t, "sqfstar")
	img := filepath.Join(t.TempDir(), "img")
	run(t, archive, "sqfstar", append([]string{"-no-progress", "-quiet"}, append(args, img)...)...)
	return readAll(t, img)
}

func readAll(t testing.TB, path string) []byte {
	t.Helper()
	b, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	return b
}

func openImage(t testing.TB, img []byte) *Reader {
	t.Helper()
	r, err := Open(bytes.NewReader(img), int64(len(img)), nil)
	if err != nil {
		t.Fatal(err)
	}
	return r
}
