package fuse

import (
	"bytes"
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"strings"
	"sync/atomic"
	"testing"

	"golang.org/x/sys/unix"

	"coracle/squash"
)

// breakable is an image file whose reading can be made to fail.
type breakable struct {
	io.ReaderAt
	broken atomic.Bool
}

var errGone = errors.New("stale file handle")

func (b *breakable) ReadAt(p []byte, off int64) (int, error) {
	if b.broken.Load() {
		return 0, errGone
	}
	return b.ReaderAt.ReadAt(p, off)
}

// damageTree has files in blocks of their own, and one of its own fragment.
func damageTree(t *testing.T) (src string, image []byte) {
	src = t.TempDir()
	for i := range 4 {
		must(t, os.WriteFile(filepath.Join(src, fmt.Sprintf("f%d", i)), pattern(5*4096, uint64(i)), 0o644))
	}
	must(t, os.WriteFile(filepath.Join(src, "tail"), pattern(100, 9), 0o644))
	image, err := os.ReadFile(mksquashfs(t, src, "-comp", "gzip", "-b", "4096"))
	must(t, err)
	return src, image
}

// blockOf returns where the block of a file lies.
func blockOf(t *testing.T, image []byte, name string, i int) squash.Block {
	t.Helper()
	img := openReader(t, bytes.NewReader(image), int64(len(image)))
	root, err := img.Inode(img.Root())
	must(t, err)
	d, err := img.Lookup(&root, name)
	must(t, err)
	ino, err := img.Inode(d.Ref)
	must(t, err)
	b, err := img.Block(&ino, i)
	must(t, err)
	return b
}

// A damaged block is EIO for its file, one line in the log, and nothing for the
// others.
func TestCorruptBlock(t *testing.T) {
	src, image := damageTree(t)
	b := blockOf(t, image, "f1", 2)
	for i := range b.Size {
		image[b.Off+int64(i)] ^= 0x5a
	}
	m := mountImage(t, openReader(t, bytes.NewReader(image), int64(len(image))), Options{ReadAhead: 2})
	for range 3 {
		if _, err := os.ReadFile(filepath.Join(m.dir, "f1")); !errors.Is(err, unix.EIO) {
			t.Errorf("read a file with a corrupt block: %v, want EIO", err)
		}
	}
	for _, name := range []string{"f0", "f2", "f3", "tail"} {
		compareFiles(t, filepath.Join(m.dir, name), filepath.Join(src, name))
	}
	if l := m.log(); len(l) != 1 || !strings.Contains(l[0], "corrupt") || !strings.Contains(l[0], "inode number") {
		t.Errorf("log = %q, want one line about the corrupt file", l)
	}
}

// An image file that is cut short, or cannot be read any more, gives EIO; what
// is left of it is still served.
func TestTruncatedImage(t *testing.T) {
	src, image := damageTree(t)
	path := filepath.Join(t.TempDir(), "image")
	must(t, os.WriteFile(path, image, 0o600))
	m := mountImage(t, openImage(t, path), Options{})
	compareFiles(t, filepath.Join(m.dir, "f0"), filepath.Join(src, "f0")) // metadata is in memory now
	must(t, os.Truncate(path, blockOf(t, image, "f2", 3).Off+1))
	for _, name := range []string{"f2", "f3"} {
		if _, err := os.ReadFile(filepath.Join(m.dir, name)); !errors.Is(err, unix.EIO) {
			t.Errorf("read %s behind the end of the image file: %v, want EIO", name, err)
		}
	}
	compareFiles(t, filepath.Join(m.dir, "f1"), filepath.Join(src, "f1"))
}

func TestUnreadableImage(t *testing.T) {
	src, image := damageTree(t)
	b := &breakable{ReaderAt: bytes.NewReader(image)}
	m := mountImage(t, openReader(t, b, int64(len(image))), Options{ReadAhead: -1})
	f := filepath.Join(m.dir, "f1")
	var st unix.Stat_t
	must(t, unix.Stat(f, &st))
	b.broken.Store(true)
	if _, err := os.ReadFile(f); !errors.Is(err, unix.EIO) {
		t.Errorf("read while the image cannot be: %v, want EIO", err)
	}
	b.broken.Store(false)
	compareFiles(t, f, filepath.Join(src, "f1")) // errors are not kept
	if l := m.log(); len(l) != 1 || !strings.Contains(l[0], errGone.Error()) {
		t.Errorf("log = %q, want one line with %q", l, errGone)
	}
}

// entryAt finds the stored directory entry of a name that occurs once.
func entryAt(t *testing.T, image []byte, name string) []byte {
	t.Helper()
	head := binary.LittleEndian.AppendUint16(nil, uint16(len(name)-1))
	i := bytes.Index(image, append(head, name...))
	if i < 6 || bytes.Contains(image[i+3:], append(head, name...)) {
		t.Fatalf("no single entry %q in the image", name)
	}
	return image[i-6:]
}

// hostileImage has a/target and a/b/victim, with the victim's entry changed.
// Its metadata is not compressed.
func hostileImage(t *testing.T, change func(image, target, victim []byte)) []byte {
	src := t.TempDir()
	must(t, os.MkdirAll(filepath.Join(src, "a/target/deep"), 0o755))
	must(t, os.MkdirAll(filepath.Join(src, "a/b/victim"), 0o755))
	must(t, os.WriteFile(filepath.Join(src, "good"), []byte("good"), 0o644))
	image, err := os.ReadFile(mksquashfs(t, src, "-comp", "gzip", "-noI", "-no-exports"))
	must(t, err)
	change(image, entryAt(t, image, "target"), entryAt(t, image, "victim"))
	return image
}

// Whatever the image says, walking it ends and the server goes on.
func TestHostileImage(t *testing.T) {
	for _, tt := range []struct {
		name   string
		change func(image, target, victim []byte)
		want   error // of lstat a/b/victim; nil: any
	}{
		{"loop", func(image, _, victim []byte) {
			// The victim is its own parent's parent: a.
			copy(victim[:2], entryAt(t, image, "a")[:2])
		}, unix.ELOOP},
		{"root again", func(image, _, victim []byte) {
			copy(victim[:2], image[32:34]) // offset of the root's inode, from the superblock
		}, unix.EIO},
		{"two places", func(_, target, victim []byte) { copy(victim[:2], target[:2]) }, nil},
		{"no inode there", func(_, _, victim []byte) { victim[0], victim[1] = 0xff, 0x1f }, unix.EIO},
		{"dot", func(_, _, victim []byte) { victim[6] = 1; copy(victim[8:], "..") }, nil},
		{"slash", func(_, _, victim []byte) { victim[9] = '/' }, nil},
		{"nul", func(_, _, victim []byte) { victim[9] = 0 }, nil},
		{"type", func(_, _, victim []byte) { victim[4] = 2 }, nil},
		{"long name", func(_, _, victim []byte) { victim[6], victim[7] = 0xff, 0xff }, nil},
	} {
		t.Run(tt.name, func(t *testing.T) {
			image := hostileImage(t, tt.change)
			m := mountImage(t, openReader(t, bytes.NewReader(image), int64(len(image))), Options{})
			var st unix.Stat_t
			if err := unix.Lstat(filepath.Join(m.dir, "a/b/victim"), &st); tt.want != nil && err != tt.want {
				t.Errorf("lstat a/b/victim: %v, want %v", err, tt.want)
			}
			entries := 0
			_ = filepath.Walk(m.dir, func(path string, _ os.FileInfo, err error) error {
				if entries++; entries > 1000 {
					return fmt.Errorf("endless tree")
				}
				_, _ = unix.Getxattr(path, "user.x", nil)
				return nil
			})
			if entries > 1000 {
				t.Error("the tree has no end")
			}
			b, err := os.ReadFile(filepath.Join(m.dir, "good"))
			if err != nil || string(b) != "good" {
				t.Errorf("a good file in a bad image = %q, %v", b, err)
			}
		})
	}
}
