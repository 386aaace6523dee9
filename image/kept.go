package image

import (
	"bytes"
	"sync"

	"coracle/bind"

	"golang.org/x/sys/unix"
)

// Kept opens image files as [Open] does and remembers the last one, and what was seen in it, for a process that looks into the
// same image again and again. It may be used by several goroutines at once. Use the zero value.
type Kept struct {
	mu    sync.Mutex
	image *Image
}

// Open looks at the image at path. What is remembered of a file is good for as long as it is the same, unchanged one.
func (k *Kept) Open(path string) (*Image, error) {
	var st unix.Stat_t
	err := unix.Stat(path, &st)
	k.mu.Lock()
	defer k.mu.Unlock()
	if err == nil && k.image != nil && k.image.is(&st) {
		if img, err := k.again(path); err == nil {
			return img, nil
		}
	}
	img, err := Open(path)
	if err != nil || img.Squash == nil || !img.is(&st) {
		return img, err
	}
	before, tree := k.image, img.Tree
	img.Tree = &rememberingTree{Tree: tree}
	k.image = img // readers of the one before may go on: its file is closed when nobody knows it any more
	if other, err := k.again(path); err == nil {
		return other, nil
	}
	k.image, img.Tree = before, tree
	return img, nil
}

// again opens the file that is remembered, by another name perhaps.
func (k *Kept) again(path string) (*Image, error) {
	img := *k.image
	img.Path, img.Real = path, ""
	var err error
	if img.file, err = openFile(path); err != nil {
		return nil, err
	}
	var st unix.Stat_t
	fd := int(img.file.Fd())
	if err = unix.Fstat(fd, &st); err == nil && !img.is(&st) {
		err = ErrNotFile
	}
	if err == nil {
		img.Real, err = realPath(fd, path)
	}
	if err != nil {
		img.file.Close()
		return nil, err
	}
	return &img, nil
}

// is tells whether st is that of the file that was looked at.
func (m *Image) is(st *unix.Stat_t) bool {
	return m.Device == uint64(st.Dev) && m.Inode == st.Ino && m.Length == st.Size && m.ModTime == st.Mtim.Nano()
}

// Bounds of what a rememberingTree remembers.
const (
	maxRemembered      = 4096    // entries and files
	maxRememberedBytes = 1 << 20 // of files
)

// A rememberingTree asks a tree that does not change everything only once.
type rememberingTree struct {
	bind.Tree
	mu      sync.Mutex
	entries map[string]seen[bind.Entry]
	files   map[string]seen[[]byte]
	bytes   int
}

// A seen is an answer.
type seen[T any] struct {
	is  T
	err error
}

// Lstat implements [bind.Tree].
func (t *rememberingTree) Lstat(path string) (bind.Entry, error) {
	t.mu.Lock()
	defer t.mu.Unlock()
	if e, ok := t.entries[path]; ok {
		return e.is, e.err
	}
	e, err := t.Tree.Lstat(path)
	if t.entries == nil {
		t.entries = map[string]seen[bind.Entry]{}
	}
	if len(t.entries) < maxRemembered {
		t.entries[path] = seen[bind.Entry]{e, err}
	}
	return e, err
}

// ReadFile implements [bind.Tree].
func (t *rememberingTree) ReadFile(path string, limit int64) ([]byte, error) {
	t.mu.Lock()
	defer t.mu.Unlock()
	if f, ok := t.files[path]; ok && int64(len(f.is)) <= limit {
		return bytes.Clone(f.is), nil
	}
	b, err := t.Tree.ReadFile(path, limit)
	if t.files == nil {
		t.files = map[string]seen[[]byte]{}
	}
	if err == nil && len(t.files) < maxRemembered && t.bytes+len(b) <= maxRememberedBytes {
		t.files[path] = seen[[]byte]{is: bytes.Clone(b)}
		t.bytes += len(b)
	}
	return b, err
}
