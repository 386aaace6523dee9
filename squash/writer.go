// A [Writer] writes images to an io.WriterAt: contents first, compressed on
// several goroutines, then the tree. docs/compression.md tells how, and how
// fast and small each compressor is.
package squash

import (
	"errors"
	"fmt"
	"io"
	"math/bits"
)

// ErrFormat is wrapped by errors about a tree or a file that the format cannot
// hold: a name with a slash, too many ids, a link to a directory.
var ErrFormat = errors.New("not possible in a squashfs image")

// unfit returns an error that wraps [ErrFormat].
func unfit(format string, args ...any) error {
	return fmt.Errorf("%s: %w", fmt.Sprintf(format, args...), ErrFormat)
}

// WriterOptions say how an image is written. The zero value works.
type WriterOptions struct {
	Compression Compression // zero: zstd at its default level
	BlockSize   int         // bytes, a power of two from MinBlockSize to MaxBlockSize; 0: DefaultBlockSize
	Workers     int         // goroutines that compress, up to 64; 0: one. The bytes do not depend on it
	MTime       int64       // seconds since 1970 of the image's creation; clamped to 32 bits

	NoFragments     bool // small files get blocks of their own
	AlwaysFragments bool // the tail ends of large files are packed together, too
	NoDuplicates    bool // equal files are written each time
	NoExport        bool // no table from inode numbers to inodes (NFS, open by handle)
}

// DefaultBlockSize is the BlockSize of an image unless said otherwise.
// docs/compression.md has the figures behind it.
const DefaultBlockSize = 128 << 10

// maxWorkers bounds memory. More would wait: all contents come through one
// goroutine.
const maxWorkers = 64

// padding is what an image's length is a multiple of, so that it can be a loop
// device.
const padding = 4096

// A Writer writes one image: first the contents of files, in any order, with
// [Writer.File], then the tree that refers to them with [Writer.Finish].
//
// The bytes of an image follow from the options but Workers, from the order
// and contents of the files, and from the tree. Memory is bounded by the
// options, plus about 50 bytes a file that has contents, 16 an inode, and the tree.
//
// A Writer is used by one goroutine at a time. After an error it is good for
// Close only.
type Writer struct {
	o     WriterOptions
	codec encoding
	pipe  *pipeline
	err   error  // the first that was returned
	made  uint32 // inodes of the finished image
	tree  bool   // Finish has begun

	files  []*extent    // contents in blocks
	packed []packedFile // contents in fragment blocks

	frag  *job // the fragment block being filled, or nil
	frags int  // fragment blocks begun
	tails tailIndex
	hash  *hasher

	section *Section // that contents go to, or nil
}

// NewWriter begins an image at the start of dst, which is written to in no
// particular order and never behind what [Writer.Finish] returns plus the
// contents of duplicate files: if dst is a file, truncate it to that length.
// The error is about the options and wraps [ErrFormat].
func NewWriter(dst io.WriterAt, o *WriterOptions) (*Writer, error) {
	if o == nil {
		o = &WriterOptions{}
	}
	w := &Writer{o: *o}
	if w.o.BlockSize == 0 {
		w.o.BlockSize = DefaultBlockSize
	}
	if err := checkBlockSize(w.o.BlockSize); err != nil {
		return nil, err
	}
	w.o.Workers = min(max(1, w.o.Workers), maxWorkers)
	var err error
	if w.codec, err = w.o.Compression.encoding(); err != nil {
		return nil, err
	}
	start := int64(SuperSize)
	if opts := w.codec.options; opts != nil {
		b := append([]byte{byte(len(opts)), metaStored >> 8}, opts...)
		if _, err := dst.WriteAt(b, start); err != nil {
			return nil, fmt.Errorf("write compressor options: %w", err)
		}
		start += int64(len(b))
	}
	w.pipe, err = newPipeline(dst, start, &w.o, w.codec)
	if err != nil {
		return nil, err
	}
	w.hash = w.pipe.hash.clone()
	return w, nil
}

// Inodes returns how many inodes the image has, once it is finished.
func (w *Writer) Inodes() int { return int(w.made) }

func checkBlockSize(n int) error {
	if n < MinBlockSize || n > MaxBlockSize || bits.OnesCount(uint(n)) != 1 {
		return unfit("block size %d (a power of two from 4K to 1M)", n)
	}
	return nil
}

// Close ends the goroutines of a Writer whose image will not be finished, and
// waits for them. After Finish it does nothing.
func (w *Writer) Close() error {
	w.pipe.finish()
	if w.err == nil {
		w.err = errClosed
	}
	return nil
}

var errClosed = errors.New("squashfs writer is closed")

// fail keeps the first error.
func (w *Writer) fail(err error) error {
	if w.err == nil {
		w.err = err
	}
	return err
}
