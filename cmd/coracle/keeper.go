//go:build !lean

package main

import (
	"bytes"
	"crypto/sha256"
	"encoding/binary"
	"encoding/hex"
	"encoding/json"
	"errors"
	"io"
	"os"
	"path/filepath"

	"coracle/image/build"
	"coracle/image/cache"

	"golang.org/x/sys/unix"
)

// A keeper remembers in the cache which image files have which layers. What is wrong with
// its memory costs time and nothing else, so that it has no errors of its own.
type keeper struct {
	cache   *cache.Cache
	program string
}

// A keptFile is what the cache keeps of a layer: this as a line of JSON, the list of
// entries, the index.
type keptFile struct {
	build.Kept
	Path string // of the image file
	Len  int    // of the list, in bytes
}

var errKept = errors.New("nothing useful is known of the layer")

func parseKept(b []byte) (keptFile, error) {
	var k keptFile
	head, rest, ok := bytes.Cut(b, []byte("\n"))
	if !ok || json.Unmarshal(head, &k) != nil || k.Len < 0 || k.Len > len(rest) {
		return k, errKept
	}
	k.List, k.Index = rest[:k.Len], rest[k.Len:]
	return k, nil
}

// newKeeper returns a keeper, or nil if the program cannot tell which it is.
func newKeeper(c *cache.Cache) build.Keeper {
	f, err := os.Open("/proc/self/exe")
	if err != nil {
		return nil
	}
	defer f.Close()
	h := sha256.New()
	if id := buildID(f); len(id) > 0 {
		h.Write(id)
	} else if _, err := io.Copy(h, f); err != nil {
		return nil
	}
	return &keeper{c, hex.EncodeToString(h.Sum(nil))}
}

// buildID returns what the Go toolchain notes at the beginning of a program, or nothing. A digest of all of the program is in it,
// which would take a while to make.
//
// Source: cmd/internal/buildid/note.go, elf(5), "Notes".
func buildID(program io.ReaderAt) []byte {
	head := make([]byte, 32<<10)
	n, _ := program.ReadAt(head, 0)
	length, text, ok := bytes.Cut(head[:n], []byte("\x04\x00\x00\x00Go\x00\x00")) // the note's type and name, between its length and its text
	if !ok || len(length) < 4 {
		return nil
	}
	size := binary.NativeEndian.Uint32(length[len(length)-4:])
	return text[:min(int64(size), int64(len(text)))]
}

// Program belongs to [build.Keeper].
func (k *keeper) Program() string { return k.program }

// Find belongs to [build.Keeper].
func (k *keeper) Find(key string) (build.Kept, io.ReaderAt, io.Closer, error) {
	b, err := k.cache.Layer(key)
	if err != nil {
		return build.Kept{}, nil, nil, err
	}
	found, err := parseKept(b)
	if err != nil {
		return build.Kept{}, nil, nil, err
	}
	f, err := os.OpenFile(found.Path, os.O_RDONLY|unix.O_NONBLOCK, 0) // not to wait for a fifo's other end
	if err != nil {
		return build.Kept{}, nil, nil, err
	}
	if fi, err := f.Stat(); err != nil || !fi.Mode().IsRegular() || found.Key != key {
		f.Close()
		return build.Kept{}, nil, nil, errKept
	}
	return found.Kept, f, f, nil
}

// keep remembers the layers that the image file at path has.
func (m *maker) keep(path string, list []build.Kept) {
	path, err := filepath.Abs(path)
	if err != nil || m.cache == nil {
		return
	}
	for _, k := range list {
		if head, err := json.Marshal(keptFile{k, path, len(k.List)}); err == nil {
			m.cache.PutLayer(k.Key, head, []byte("\n"), k.List, k.Index)
		}
	}
}
