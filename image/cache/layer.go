package cache

import (
	"bytes"
	"crypto/sha256"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"syscall"

	"coracle/image/output"
)

// maxLayer bounds what is kept of one layer, in bytes.
const maxLayer = 64 << 20

var (
	// errForeign says that somebody else has written what is kept.
	errForeign = errors.New("it belongs to another user")
	// errDamaged says that the machine stopped before the disk had what is kept.
	errDamaged = errors.New("it is damaged")
)

// Layer returns what PutLayer kept under a key, which is a digest's hexadecimal digits. It
// is believed, so that it must be this user's own, and whole.
func (c *Cache) Layer(key string) ([]byte, error) {
	path := filepath.Join(c.dir, layerDir, filepath.Base(key))
	f, err := os.Open(path)
	if err != nil {
		return nil, err
	}
	defer f.Close()
	fi, err := f.Stat()
	if err != nil {
		return nil, err
	}
	if st, ok := fi.Sys().(*syscall.Stat_t); !ok || int(st.Uid) != os.Geteuid() || fi.Mode().Perm()&0o022 != 0 {
		return nil, fmt.Errorf("%s: %w", path, errForeign)
	}
	if fi.Size() > maxLayer {
		return nil, fmt.Errorf("%s: %d bytes", path, fi.Size())
	}
	touch(path)
	b := make([]byte, fi.Size())
	if _, err := io.ReadFull(f, b); err != nil {
		return nil, fmt.Errorf("%s: %w", path, err)
	}
	head := min(len(b), sha256.Size)
	if sum := sha256.Sum256(b[head:]); !bytes.Equal(sum[:], b[:head]) {
		return nil, fmt.Errorf("%s: %w", path, errDamaged)
	}
	return b[head:], nil
}

// PutLayer keeps what is known of a layer, the parts one behind the other, in the place of
// what was kept before. Nobody waits for the disk: a sum in front tells whether all has got there.
func (c *Cache) PutLayer(key string, parts ...[]byte) error {
	f, err := output.Create(filepath.Join(c.dir, layerDir, filepath.Base(key)), 0o600, true)
	if err != nil {
		return fmt.Errorf("cache: %w", err)
	}
	defer f.Close()
	sum := sha256.New()
	for _, b := range parts {
		sum.Write(b)
	}
	for _, b := range append([][]byte{sum.Sum(nil)}, parts...) {
		if _, err := f.Write(b); err != nil {
			return err
		}
	}
	return f.CommitSoon()
}
