package build

import (
	"context"
	"encoding/hex"
	"fmt"
	"io"
	"slices"
	"time"

	"coracle/image/oci"
	"coracle/image/sif"
	"coracle/squash"
)

// The names of objects in the file that other runtimes look for.
const (
	nameInspect   = "inspect-metadata.json"
	nameConfig    = "oci-config.json"
	nameManifest  = "oci-manifest.json"
	namePartition = "root.squashfs"
)

// Convert writes img as a SIF file to dst, which is empty. The same image and options,
// number of workers aside, give the same bytes everywhere. After an error, what dst holds
// is of no use; it is no SIF file.
//
// Errors are those of packages layer, oci and squash, of dst, or of ctx.
func Convert(ctx context.Context, img *oci.Image, dst io.WriterAt, o *Options) (Result, error) {
	if o == nil {
		o = &Options{}
	}
	if img.Layers() == 0 {
		return Result{}, ErrEmpty
	}
	when := created(img, o)
	meta := describe(img, o.from(img), when)
	file, err := beginFile(img, meta, dst, when)
	if err != nil {
		return Result{}, err
	}
	so := o.Squash
	so.Workers, so.MTime = o.workers(), when
	w, err := squash.NewWriter(&offsetWriter{dst, file.Partition()}, &so)
	if err != nil {
		return Result{}, err
	}
	defer w.Close()
	c := newConverter(img, o, w)
	c.reserve(ctx, dst)
	tree, err := c.tree(ctx, meta, when)
	if err != nil {
		return Result{}, err
	}
	size, err := w.FinishTree(tree)
	if err != nil {
		return Result{}, fmt.Errorf("squashfs: %w", err)
	}
	kept, err := c.keep(dst, file.Partition())
	if err != nil {
		return Result{}, err
	}
	if size, err = file.Finish(namePartition, img.Platform.Architecture, size); err != nil {
		return Result{}, err
	}
	return Result{Size: size, Inodes: w.Inodes(), Read: c.read, Reread: c.reread, Layers: img.Layers(), Reused: c.reused, Kept: kept}, nil
}

func (o *Options) from(img *oci.Image) string {
	if o.From != "" {
		return o.From
	}
	return img.Origin
}

// created returns the time that the file's own times say, in seconds since 1970.
func created(img *oci.Image, o *Options) int64 {
	if o.Time != nil {
		return *o.Time
	}
	t := img.Config.Created
	if t.Before(time.Unix(0, 0)) || t.Year() > 2105 { // what squashfs can hold
		return 0
	}
	return t.Unix()
}

// beginFile writes the small objects of the file. Its identity follows from the image's.
func beginFile(img *oci.Image, meta *metadata, dst io.WriterAt, when int64) (*sif.Writer, error) {
	so := sif.WriterOptions{Time: when}
	if b, err := hex.DecodeString(img.Digest.Hex()); err == nil {
		copy(so.ID[:], b)
		so.ID[6], so.ID[8] = so.ID[6]&0x0f|0x80, so.ID[8]&0x3f|0x80 // RFC 9562, version 8
	}
	f := sif.NewWriter(dst, &so)
	for _, obj := range []struct {
		t    sif.DataType
		name string
		data []byte
	}{
		{sif.TypeDeffile, "", []byte(meta.deffile)},
		{sif.TypeLabels, "", []byte(indented(meta.labels))},
		{sif.TypeGenericJSON, nameInspect, meta.inspectData()},
		{sif.TypeGenericJSON, nameConfig, img.RawConfig},
		{sif.TypeGenericJSON, nameManifest, img.RawManifest},
	} {
		if err := f.Add(obj.t, obj.name, obj.data); err != nil {
			return nil, err
		}
	}
	return f, nil
}

// tree streams the image and returns what is in it, generated files included.
func (c *converter) tree(ctx context.Context, meta *metadata, when int64) (squash.Tree, error) {
	m, err := c.merge(ctx)
	if err != nil {
		return nil, err
	}
	list, texts := meta.entries(m.Tree(), c.img.Layers(), when)
	if err := m.Apply(slices.Values(list)); err != nil {
		return nil, err
	}
	if err := c.generate(texts); err != nil {
		return nil, err
	}
	return &finished{m.Tree(), c.data, when}, nil
}

// An offsetWriter writes to a part of a file.
type offsetWriter struct {
	dst io.WriterAt
	off int64
}

func (w *offsetWriter) WriteAt(p []byte, off int64) (int, error) { return w.dst.WriteAt(p, w.off+off) }
