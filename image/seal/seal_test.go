package seal

import (
	"bytes"
	"errors"
	"io"
	"os"
	"path/filepath"
	"testing"

	"coracle/squash"

	"golang.org/x/sys/unix"
)

// buffer is a file in memory.
type buffer struct{ b []byte }

func (m *buffer) WriteAt(p []byte, off int64) (int, error) {
	if need := int(off) + len(p); need > len(m.b) {
		m.b = append(m.b, make([]byte, need-len(m.b))...)
	}
	return copy(m.b[off:], p), nil
}

// upper makes a directory as overlayfs leaves it, as far as an ordinary user can.
func upper(t *testing.T) string {
	t.Helper()
	dir := t.TempDir()
	for _, d := range []string{"etc", "opaque"} {
		if err := os.Mkdir(filepath.Join(dir, d), 0o750); err != nil {
			t.Fatal(err)
		}
	}
	if err := os.WriteFile(filepath.Join(dir, "etc/new"), []byte("hello"), 0o640); err != nil {
		t.Fatal(err)
	}
	if err := os.Link(filepath.Join(dir, "etc/new"), filepath.Join(dir, "etc/other")); err != nil {
		t.Fatal(err)
	}
	if err := os.Symlink("new", filepath.Join(dir, "etc/link")); err != nil {
		t.Fatal(err)
	}
	if err := unix.Mknod(filepath.Join(dir, "etc/gone"), unix.S_IFCHR, 0); err != nil {
		t.Fatal(err) // Linux 5.8 lets everybody make a whiteout
	}
	for name, value := range map[string]string{"opaque": "y", "origin": "handle", "impure": "y"} {
		if err := unix.Setxattr(filepath.Join(dir, "opaque"), "user.overlay."+name, []byte(value), 0); err != nil {
			t.Skipf("no user attributes here: %v", err)
		}
	}
	unix.Setxattr(filepath.Join(dir, "opaque"), "user.note", []byte("kept"), 0)
	return dir
}

func TestWrite(t *testing.T) {
	dir := upper(t)
	var out buffer
	res, err := Write(&out, dir, &Options{UID: os.Getuid(), GID: os.Getgid()})
	if err != nil || res.Size != int64(len(out.b)) || res.Inodes != 6 {
		t.Fatalf("Write = %+v, %v; wrote %d bytes, want 6 inodes", res, err, len(out.b))
	}
	r, err := squash.Open(bytes.NewReader(out.b), res.Size, nil)
	if err != nil {
		t.Fatal(err)
	}
	gone, err := r.Walk("/etc/gone")
	if err != nil || gone.Type != squash.CharDevice || gone.Rdev != 0 {
		t.Errorf("the whiteout is %+v, %v; want a character device 0:0", gone, err)
	}
	file, err := r.Walk("/etc/new")
	other, err2 := r.Walk("/etc/other")
	if err != nil || err2 != nil || file.Number != other.Number || file.Perm != 0o640 || file.UID != 0 || file.GID != 0 {
		t.Errorf("the linked file is %+v and %+v (%v, %v); want one inode, mode 640, of root", file, other, err, err2)
	}
	text := make([]byte, 5)
	if _, err := r.ReadAt(&file, text, 0); err != nil && err != io.EOF || string(text) != "hello" {
		t.Errorf("its contents are %q, %v", text, err)
	}
	opaque, err := r.Walk("/opaque")
	if err != nil {
		t.Fatal(err)
	}
	got := map[string]string{}
	if err := r.Xattrs(&opaque, func(name string, value []byte) bool { got[name] = string(value); return true }); err != nil {
		t.Fatal(err)
	}
	if len(got) != 2 || got["user.overlay.opaque"] != "y" || got["user.note"] != "kept" {
		t.Errorf("attributes of the opaque directory = %v, want its mark and the user's note alone", got)
	}
}

func TestWriteIncomplete(t *testing.T) {
	dir := upper(t)
	if err := unix.Setxattr(filepath.Join(dir, "etc/new"), "user.overlay.metacopy", nil, 0); err != nil {
		t.Skipf("no user attributes here: %v", err)
	}
	if _, err := Write(&buffer{}, dir, nil); !errors.Is(err, ErrIncomplete) {
		t.Errorf("Write of a file without its data: %v, want %v", err, ErrIncomplete)
	}
}
