// Package squash reads squashfs 4.0 images.
//
// A [Reader] works on an io.ReaderAt and keeps no state but caches: everything
// is located by numbers that the image itself holds (a [Ref] for an inode, a
// [Cursor] for a place in a directory, a [Block] for file contents), so that a
// server needs no tables of its own. Opening reads the superblock only; all
// else is read and decoded at first touch. All methods may be called at the
// same time from many goroutines.
//
// Images are hostile input: every size and offset is checked before use, and
// what cannot be is an error that wraps [ErrCorrupt].
//
// docs/squashfs.md describes the format as the reader sees it.
package squash

import (
	"fmt"
	"io"
	"sync/atomic"
	"time"
)

// Options of [Open]. The zero value works.
type Options struct {
	MetaCache int // bytes of decoded metadata to keep; 0: 2 MiB
}

const defaultMetaCache = 2 << 20

// A Reader gives access to one image.
type Reader struct {
	src   io.ReaderAt
	end   int64 // bytes that belong to the image
	super Super
	codec codec
	cache metaCache
	bufs  stock[[]byte] // one data block and Slack long
	metas stock[*metaBuffer]

	ids       atomic.Pointer[[]uint32]
	fragments lookupTable
	exports   lookupTable
	xattrs    xattrTable
	lists     listCache
	pace      pace
}

// Open checks the superblock of the image in the first size bytes of src.
// Bytes behind the image (padding) are allowed. The error wraps
// [ErrNotSquashfs], [ErrUnsupported], [ErrCorrupt] or what src returned.
func Open(src io.ReaderAt, size int64, o *Options) (*Reader, error) {
	if o == nil {
		o = &Options{}
	}
	if size < SuperSize {
		return nil, fmt.Errorf("%w: %d bytes", ErrNotSquashfs, size)
	}
	var b [SuperSize]byte
	if err := readFull(src, b[:], 0); err != nil {
		return nil, fmt.Errorf("read superblock: %w", err)
	}
	r := &Reader{src: src}
	if err := r.super.check(r.super.decode(&b), size); err != nil {
		return nil, err
	}
	s := &r.super
	r.end = int64(s.BytesUsed)
	var err error
	if r.codec, err = newCodec(s.Compressor); err != nil {
		return nil, err
	}
	cache := o.MetaCache
	if cache == 0 {
		cache = defaultMetaCache
	}
	r.cache.init(cache / MetaSize)
	r.fragments = lookupTable{name: "fragment", pos: s.FragmentTable, count: s.Fragments, size: fragmentSize}
	r.exports = lookupTable{name: "export", pos: s.ExportTable, count: s.Inodes, size: 8}
	return r, nil
}

// Super returns the decoded superblock.
func (r *Reader) Super() Super { return r.super }

// Root returns the root directory's inode reference.
func (r *Reader) Root() Ref { return r.super.Root }

// readAt fills p from position off of the image, after a check against the
// image's length.
func (r *Reader) readAt(p []byte, off int64) error {
	if off < 0 || off > r.end || int64(len(p)) > r.end-off {
		return corrupt("%d bytes at %d, image ends at %d", len(p), off, r.end)
	}
	start := time.Now()
	err := readFull(r.src, p, off)
	r.pace.note(len(p), time.Since(start))
	return err
}

// readFull fills p. A source that ends early has been truncated.
func readFull(src io.ReaderAt, p []byte, off int64) error {
	n, err := src.ReadAt(p, off)
	if n == len(p) {
		return nil
	}
	if err == nil || err == io.EOF {
		return corrupt("truncated: no %d bytes at %d", len(p), off)
	}
	return err
}
