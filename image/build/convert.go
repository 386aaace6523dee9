// Package build makes image files: it turns an OCI image into one SIF file without
// unpacking anything.
//
// Layers are read newest first. Contents of files that no newer layer hides go straight
// through the squashfs writer's compressors into the partition, at its place in the file;
// headers are kept. When all layers have passed, [layer.Merge] says which files there
// are. In the rare case that one of them was skipped (its name is hidden, but a hard
// link or a linked directory keeps it), its layer is read again. So each layer is
// decompressed once, nothing is written but the output, and memory is bounded by the
// number of files, not by their size.
package build

import (
	"context"
	"errors"
	"fmt"
	"io"
	"runtime"
	"strings"

	"coracle/image/layer"
	"coracle/image/oci"
	"coracle/squash"
)

// Options say how an image is made. The zero value works.
type Options struct {
	Squash  squash.WriterOptions // Workers 0: as many as GOMAXPROCS; MTime is set from Time
	MaxSize int64                // bytes that the layers may unpack to; 0: 1 TiB
	Time    *int64               // seconds since 1970, as SOURCE_DATE_EPOCH; nil: when the image was created
	From    string               // what the definition file says the image is from; "": the image's source

	// Keeper remembers layers for the next image; nil: none are kept. The bytes of an
	// image do not depend on it.
	Keeper Keeper

	// Progress is called now and then with the bytes of uncompressed layers read so far.
	// It must return soon. nil: nobody is interested.
	Progress func(read int64)
}

// A Result tells what was made.
type Result struct {
	Size   int64  // bytes of the file
	Inodes int    // files, directories and others in the image
	Read   int64  // bytes of uncompressed layers
	Reread int    // layers that had to be read a second time
	Layers int    // of the image
	Reused int    // of these, layers whose blocks were copied out of earlier images
	Kept   []Kept // what to remember of the layers once the image has its place
}

// ErrEmpty says that an image has no layers.
var ErrEmpty = errors.New("the image has no layers")

// A converter streams the layers of one image into one squashfs writer.
type converter struct {
	img    *oci.Image
	o      *Options
	w      *squash.Writer
	limits layer.Limits

	entries []layer.List    // by layer
	data    [][]squash.Data // by layer and place
	shadow  layer.Shadow
	read    int64
	reread  int
	ahead   map[int]*prefetch

	sections []*squash.Section  // by layer
	sizes    []int64            // of the uncompressed layers
	patched  []bool             // layers with contents outside of their sections
	known    map[int]*keptLayer // see kept
	reused   int
}

func newConverter(img *oci.Image, o *Options, w *squash.Writer) *converter {
	n := img.Layers()
	return &converter{
		img: img, o: o, w: w,
		limits:  layer.Limits{Size: o.MaxSize},
		entries: make([]layer.List, n),
		data:    make([][]squash.Data, n),
		ahead:   make(map[int]*prefetch),

		sections: make([]*squash.Section, n),
		sizes:    make([]int64, n),
		patched:  make([]bool, n),
		known:    make(map[int]*keptLayer),
	}
}

// workers returns how many goroutines compress.
func (o *Options) workers() int {
	if o.Squash.Workers > 0 {
		return o.Squash.Workers
	}
	return runtime.GOMAXPROCS(0)
}

// merge reads all layers, and returns the tree that they amount to and its contents.
func (c *converter) merge(ctx context.Context) (*layer.Merger, error) {
	ctx, cancel := context.WithCancel(ctx)
	defer c.closeAll()
	defer cancel() // before the prefetchers are waited for
	for n := c.img.Layers() - 1; n >= 0; n-- {
		if err := c.layer(ctx, n); err != nil {
			return nil, err
		}
	}
	c.w.Section() // for what is in none of the layers' own
	c.shadow = layer.Shadow{}
	m := layer.NewMerger()
	for n := range c.entries {
		if err := m.Apply(c.entries[n].All(n)); err != nil {
			return nil, err
		}
		if c.o.Keeper != nil {
			continue
		}
		c.entries[n] = layer.List{} // with a million files, lists and tree at a time are too much memory
	}
	return m, c.fillGaps(ctx, m.Tree())
}

// layer stores one layer as a section of its own: it is copied from an image that has it,
// or read.
func (c *converter) layer(ctx context.Context, n int) error {
	if k := c.kept(n); k != nil {
		err := c.reuse(ctx, n, k)
		if err == nil || ctx.Err() != nil {
			return err
		}
		c.forget(n)
	}
	return c.stream(ctx, n)
}

// stream reads one layer: its headers, and the contents that no newer layer hides.
func (c *converter) stream(ctx context.Context, n int) error {
	c.sections[n] = c.w.Section()
	c.open(ctx, n)
	for below := n - 1; below >= max(0, n-readAhead); below-- {
		if c.kept(below) == nil {
			c.open(ctx, below)
		}
	}
	before := c.read
	return c.eachFile(ctx, n, func(r *layer.Reader, e *layer.Entry) error {
		c.entries[n].Append(e)
		c.data[n] = append(c.data[n], squash.Data{})
		if !c.stores(e) {
			return nil
		}
		return c.store(r, e)
	}, func() {
		c.sizes[n] = c.read - before
		if n > 0 {
			c.shadow.Add(c.entries[n].All(n))
		}
	})
}

// stores tells whether an entry has contents to be stored as its layer passes by.
func (c *converter) stores(e *layer.Entry) bool {
	return e.Kind == layer.Inode && e.Type == squash.Regular && !e.IsWhiteout() && !c.shadow.Hides(e.Name)
}

// store writes the contents of e, which r is at.
func (c *converter) store(r *layer.Reader, e *layer.Entry) error {
	d, err := c.w.File(r, e.Size)
	if err != nil {
		return fmt.Errorf("layer %d, %q: %w", e.Layer+1, e.Name, err)
	}
	c.data[e.Layer][e.Seq] = d
	return nil
}

// eachFile calls fn for every entry of layer n, and done at its end.
func (c *converter) eachFile(ctx context.Context, n int, fn func(*layer.Reader, *layer.Entry) error, done func()) error {
	src := c.open(ctx, n)
	r := layer.NewReader(src, n, &c.limits)
	for {
		if err := ctx.Err(); err != nil {
			return err
		}
		e, err := r.Next()
		if err == io.EOF {
			break
		}
		if err != nil {
			return err
		}
		if err := fn(r, e); err != nil {
			return err
		}
	}
	if err := r.Drain(); err != nil {
		return err
	}
	done()
	delete(c.ahead, n)
	return src.Close()
}

// fillGaps stores contents of files in the tree that were skipped when their layer
// passed by, newest layer first.
func (c *converter) fillGaps(ctx context.Context, tree *layer.Tree) error {
	missing := make([]map[int32]int64, c.img.Layers()) // sizes by place
	tree.Walk(func(_ string, inode uint32, typ squash.Type) {
		n, seq, size := tree.Source(inode)
		if typ != squash.Regular || size == 0 || c.w.Size(c.data[n][seq]) == size {
			return
		}
		if missing[n] == nil {
			missing[n] = make(map[int32]int64)
		}
		missing[n][int32(seq)] = size
	})
	c.limits = layer.Limits{Size: c.o.MaxSize}
	for n := len(missing) - 1; n >= 0; n-- {
		if missing[n] == nil {
			continue
		}
		c.reread++
		c.patched[n] = true
		err := c.eachFile(ctx, n, func(r *layer.Reader, e *layer.Entry) error {
			size, ok := missing[n][e.Seq]
			if !ok {
				return nil
			}
			if e.Size != size {
				return fmt.Errorf("layer %d changed while it was read", n+1)
			}
			return c.store(r, e)
		}, func() {})
		if err != nil {
			return err
		}
	}
	return nil
}

// generate stores the contents of generated files, as one more layer.
func (c *converter) generate(texts []string) error {
	data := make([]squash.Data, len(texts))
	for i, text := range texts {
		if text == "" {
			continue
		}
		d, err := c.w.File(strings.NewReader(text), int64(len(text)))
		if err != nil {
			return err
		}
		data[i] = d
	}
	c.data = append(c.data, data)
	return nil
}
