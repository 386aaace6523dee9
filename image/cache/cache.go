// Package cache keeps what registries send, and the images made of it, for the next time.
//
// Everything is filed under the digest of what it is or of what it was made from, is
// written beside its place and renamed, and never changes afterwards. So any number of
// processes on any number of machines may share a cache, on NFS too. Locks only keep two
// from doing the same work; nothing depends on them.
package cache

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"time"

	"coracle/image/oci"
	"coracle/image/output"

	"golang.org/x/sys/unix"
)

// ErrNoDir says that the environment names no place for a cache.
var ErrNoDir = errors.New("no place for a cache: neither CORACLE_CACHEDIR, XDG_CACHE_HOME nor HOME is set")

// Dir returns where the cache is. env is os.Getenv. The error is [ErrNoDir].
func Dir(env func(string) string) (string, error) {
	if dir := env("CORACLE_CACHEDIR"); dir != "" {
		return filepath.Abs(dir)
	}
	for _, key := range []string{"APPTAINER_CACHEDIR", "SINGULARITY_CACHEDIR", "XDG_CACHE_HOME"} {
		if dir := env(key); dir != "" {
			return filepath.Abs(filepath.Join(dir, "coracle"))
		}
	}
	if home := env("HOME"); home != "" {
		return filepath.Abs(filepath.Join(home, ".cache", "coracle"))
	}
	return "", ErrNoDir
}

// A Cache is a directory with blobs, images and locks.
type Cache struct {
	dir string

	// Waiting is called once when another process does what was asked for, with its host
	// and process. nil: nobody is interested.
	Waiting func(holder string)

	exists func(path string) bool // instead of asking the file system; nil: that
}

// The directories of a cache.
const (
	blobDir  = "blob"
	imageDir = "image"
	layerDir = "layer"
	lockDir  = "lock"
)

// Open returns the cache in dir, which is made if need be, for the user alone.
func Open(dir string) (*Cache, error) {
	for _, d := range []string{blobDir, imageDir, layerDir, lockDir} {
		if err := os.MkdirAll(filepath.Join(dir, d), 0o700); err != nil {
			return nil, fmt.Errorf("cache: %w", err)
		}
	}
	return &Cache{dir: dir}, nil
}

// NeedSpace returns a *[output.SpaceError] if the cache cannot take so many bytes.
func (c *Cache) NeedSpace(bytes int64) error { return output.NeedSpace(c.dir, bytes) }

// SharesDisk reports whether the cache lies in the same file system as dir.
func (c *Cache) SharesDisk(dir string) bool {
	var a, b unix.Stat_t
	return unix.Stat(c.dir, &a) == nil && unix.Stat(dir, &b) == nil && a.Dev == b.Dev
}

func (c *Cache) blobPath(d oci.Digest) string {
	return filepath.Join(c.dir, blobDir, d.Algorithm()+"-"+d.Hex())
}

// Open returns a blob that is kept. It belongs to [oci.BlobCache].
func (c *Cache) Open(d oci.Digest) (*os.File, error) {
	if err := d.Check(); err != nil {
		return nil, err
	}
	path := c.blobPath(d)
	f, err := os.Open(path)
	if err == nil {
		touch(path)
	}
	return f, err
}

// Put keeps what fill writes. It belongs to [oci.BlobCache].
func (c *Cache) Put(ctx context.Context, d oci.Digest, fill func(io.Writer) error) (*os.File, error) {
	if err := d.Check(); err != nil {
		return nil, err
	}
	path := c.blobPath(d)
	if err := c.once(ctx, path, func(f *output.File) error { return fill(f) }); err != nil {
		return nil, err
	}
	return os.Open(path)
}

// once makes the file at path with fill, unless it is there. While another process makes
// it, once waits.
func (c *Cache) once(ctx context.Context, path string, fill func(*output.File) error) error {
	there := func() bool { _, err := os.Stat(path); return err == nil }
	if c.exists != nil {
		there = func() bool { return c.exists(path) }
	}
	unlock, err := c.lock(ctx, filepath.Base(path), there)
	if err != nil || unlock == nil {
		return err
	}
	defer unlock()
	f, err := output.Create(path, 0o600, true)
	if err != nil {
		return fmt.Errorf("cache: %w", err)
	}
	defer f.Close()
	// NFS remembers for a while that a name was not there, until something changes in the directory: as now, where files
	// cannot be nameless. So whoever has waited for another machine finds what that has made.
	if there() {
		return nil
	}
	f.SyncEarly()
	if err := fill(f); err != nil {
		return err
	}
	return f.Commit()
}

// A Key says what an image was made from.
type Key struct {
	Source   string     // reference, normalized
	Digest   oci.Digest // of the manifest or index that the reference stands for
	Platform string
	Settings string // whatever else changes the bytes
}

func (k Key) id() string {
	b, _ := json.Marshal(k) // strings always have a form in JSON
	return oci.DigestOf(b).Hex()
}

func (c *Cache) imagePath(k Key) string { return filepath.Join(c.dir, imageDir, k.id()+".sif") }

// Image returns the path of the image of a key. If it is not there, fill makes it.
func (c *Cache) Image(ctx context.Context, k Key, fill func(*output.File) error) (string, error) {
	path := c.imagePath(k)
	if _, err := os.Stat(path); err == nil {
		touch(path)
		return path, nil
	}
	if err := c.note(k); err != nil {
		return "", err
	}
	return path, c.once(ctx, path, fill)
}

// note writes down what an image is made from, for listings.
func (c *Cache) note(k Key) error {
	f, err := output.Create(strings.TrimSuffix(c.imagePath(k), ".sif")+".json", 0o600, true)
	if err != nil {
		return fmt.Errorf("cache: %w", err)
	}
	defer f.Close()
	if err := json.NewEncoder(f).Encode(k); err != nil {
		return err
	}
	return f.Commit()
}

// touch notes that a file was used. That may fail: others may own the cache.
func touch(path string) {
	now := time.Now()
	if err := os.Chtimes(path, now, now); err != nil && errors.Is(err, fs.ErrNotExist) {
		return
	}
}
