package build

import (
	"context"
	"crypto/rand"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"sync"

	"coracle/image/layer"
	"coracle/image/oci"
)

// A Keeper remembers what has become of layers, so that the next image that has one of
// them gets its compressed blocks from the image file that has them already.
//
// What it gives back is believed: whoever can change its memory decides what is in
// images. The image files may be anybody's, for their bytes are checked.
type Keeper interface {
	// Find returns what was kept under a key, and the bytes of the image file that it is
	// in. The error does not matter: the layer is read.
	Find(key string) (Kept, io.ReaderAt, io.Closer, error)
	// Program tells one program that makes images from another, version and build: they
	// may compress differently.
	Program() string
}

// Kept is what there is to know of a layer that is in an image file.
type Kept struct {
	Key    string // see Keeper
	Offset int64  // of the layer's section in the file
	Size   int64  // of the section
	Read   int64  // bytes of the uncompressed layer
	List   []byte `json:"-"` // see layer.ParseList
	Index  []byte `json:"-"` // see squash.Writer.CopySection
	Secret [16]byte
	Sum    [16]byte // of the section's bytes, under Secret
}

// minKept is how long a section must be for being kept, in bytes. Below, it is faster made
// than looked for. maxKept bounds what is kept of one.
const (
	minKept = 256 << 10
	maxKept = 32 << 20
)

// keepKey returns the key of layer n. All that decides about the bytes of its section is
// in it but for the names that newer layers hide.
func (c *converter) keepKey(n int) string {
	o := c.o.Squash
	b, _ := json.Marshal([]any{ // of such types it always is possible
		c.o.Keeper.Program(), c.img.LayerID(n), o.Compression.String(), o.BlockSize, o.NoFragments, o.AlwaysFragments, o.NoDuplicates,
	})
	return oci.DigestOf(b).Hex()
}

// A keptLayer is a layer that need not be read, if no newer layer hides other files of it
// than it did then.
type keptLayer struct {
	Kept
	file io.ReaderAt
	io.Closer
}

// kept returns what is known of layer n, or nil.
func (c *converter) kept(n int) *keptLayer {
	if c.o.Keeper == nil {
		return nil
	}
	if k, ok := c.known[n]; ok {
		return k
	}
	var k *keptLayer
	if found, file, closer, err := c.o.Keeper.Find(c.keepKey(n)); err == nil {
		k = &keptLayer{found, file, closer}
	}
	c.known[n] = k
	return k
}

// A reserver finds room for a file's first bytes beforehand, as an output.File does.
type reserver interface{ Reserve(size int64) }

// reserve has dst find room for what will be copied to it, and the newest layer read meanwhile.
func (c *converter) reserve(ctx context.Context, dst io.WriterAt) {
	r, ok := dst.(reserver)
	if !ok {
		return
	}
	newest, size := c.img.Layers()-1, int64(0)
	if c.kept(newest) == nil {
		c.open(ctx, newest)
	}
	for n := range newest + 1 {
		if k := c.kept(n); k != nil {
			size += k.Size
		}
	}
	if size > 0 {
		r.Reserve(size)
	}
}

// forget closes what kept has found of layer n.
func (c *converter) forget(n int) {
	if k := c.known[n]; k != nil {
		k.Close()
	}
	c.known[n] = nil
}

var errHidden = errors.New("other files are hidden")

// reuse copies the section of layer n out of an earlier image. After an error the layer is
// to be read as if reuse had not been called, unless the writer is broken.
func (c *converter) reuse(ctx context.Context, n int, k *keptLayer) error {
	ctx, stop := context.WithCancel(ctx)
	defer stop()
	var list *layer.List
	var limits layer.Limits
	wanted := sync.OnceValue(func() (err error) {
		if list, err = layer.ParseList(k.List); err == nil {
			limits, err = c.sameFiles(n, list, k.Index)
		}
		if err != nil {
			stop()
		}
		return err
	})
	go wanted() // while the bytes are copied, which are taken back if need be
	r := io.NewSectionReader(k.file, k.Offset, k.Size)
	section, data, err := c.w.CopySection(k.Index, &checkedReader{ctx: ctx, r: r, sum: newSum(k.Secret), want: k.Sum, wanted: wanted})
	wanted() // has ended
	if err != nil {
		return err
	}
	c.entries[n], c.data[n], c.sections[n] = *list, data, section
	c.sizes[n], c.limits = k.Read, limits
	c.reused++
	c.count(int(k.Read))
	if n > 0 {
		c.shadow.Add(list.All(n))
	}
	return nil
}

// sameFiles checks that just those files would be stored that have been, and returns what is left of the limits then.
func (c *converter) sameFiles(n int, list *layer.List, index []byte) (layer.Limits, error) {
	limits := c.limits
	sizes, err := c.w.SectionSizes(index)
	if err == nil && len(sizes) != list.Len() {
		err = errHidden
	}
	if err != nil {
		return limits, err
	}
	for e := range list.All(n) {
		if err := limits.Count(e.Size); err != nil {
			return limits, &layer.EntryError{Layer: n, Name: e.Name, Err: err}
		}
		size := int64(0)
		if c.stores(e) {
			size = e.Size
		}
		if sizes[e.Seq] != size {
			return limits, errHidden
		}
	}
	return limits, nil
}

// keep returns what to remember of the sections of the finished image in dst, whose
// partition begins at an offset.
func (c *converter) keep(dst io.WriterAt, partition int64) ([]Kept, error) {
	file, ok := dst.(io.ReaderAt)
	if !ok || c.o.Keeper == nil {
		return nil, nil
	}
	var list []Kept
	for n, s := range c.sections {
		start, size := s.Place()
		k := Kept{Key: c.keepKey(n), Offset: partition + start, Size: size, Read: c.sizes[n]}
		if size < minKept || c.patched[n] {
			continue
		}
		if old := c.known[n]; old != nil {
			k.List, k.Index, k.Secret, k.Sum = old.List, old.Index, old.Secret, old.Sum
		} else {
			k.List, k.Index = c.entries[n].Bytes(), c.w.Index(s, c.data[n])
			rand.Read(k.Secret[:])
			sum := newSum(k.Secret)
			if _, err := io.CopyBuffer(sum, io.NewSectionReader(file, k.Offset, k.Size), make([]byte, sumChunk)); err != nil {
				return nil, fmt.Errorf("read what was written: %w", err)
			}
			k.Sum = sum.sum()
		}
		if len(k.List)+len(k.Index) <= maxKept {
			list = append(list, k)
		}
	}
	return list, nil
}
