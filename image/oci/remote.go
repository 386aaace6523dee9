package oci

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"sync"
)

// A remote is an image in a registry, or in a mirror of it: the first that has the
// manifest is asked for the rest.
type remote struct {
	name  Name
	ends  []*registry
	found *registry
	blobs BlobCache // or nil
	o     *Options
}

// A BlobCache keeps the blobs of registries. Its methods may be called at the same time.
type BlobCache interface {
	// Open returns a blob that is kept, or an error that is fs.ErrNotExist.
	Open(d Digest) (*os.File, error)
	// Put keeps what fill writes, if it returns no error, and returns it for reading.
	// While another process fills the same blob it may wait for that one.
	Put(ctx context.Context, d Digest, fill func(io.Writer) error) (*os.File, error)
}

func newRemote(n Name, o *Options) (*remote, error) {
	ends, err := endpoints(n, o.RegistriesFiles)
	if err != nil {
		return nil, err
	}
	r := &remote{name: n, blobs: o.Blobs, o: o}
	for _, e := range ends {
		end, err := newRegistry(n, e, o)
		if err != nil {
			return nil, err
		}
		r.ends = append(r.ends, end)
	}
	return r, nil
}

func (r *remote) root(ctx context.Context) ([]byte, string, error) {
	var first error
	for _, end := range r.ends {
		raw, mediaType, err := end.getManifest(ctx, r.name.reference())
		if err == nil {
			r.found = end
			return raw, mediaType, nil
		}
		if ctx.Err() != nil {
			return nil, "", context.Cause(ctx)
		}
		first = err // the registry itself comes last, and knows best
	}
	if errors.Is(first, ErrNotFound) && r.name.Digest == "" {
		if tags := r.ends[len(r.ends)-1].tags(ctx); len(tags) > 0 {
			first = &TagError{Tag: r.name.Tag, Have: tags, Err: first}
		}
	}
	return nil, "", first
}

func (r *remote) manifest(ctx context.Context, d Descriptor) ([]byte, error) {
	if r.blobs != nil {
		if f, err := r.blobs.Open(d.Digest); err == nil {
			defer f.Close()
			return io.ReadAll(io.LimitReader(f, maxManifest))
		}
	}
	raw, _, err := r.found.getManifest(ctx, string(d.Digest))
	return raw, err
}

func (r *remote) blob(ctx context.Context, d Descriptor) (io.ReadCloser, error) {
	if r.blobs == nil {
		return r.fetch(ctx, d)
	}
	if f, err := r.blobs.Open(d.Digest); err == nil {
		return f, nil
	}
	f, err := r.blobs.Put(ctx, d.Digest, func(w io.Writer) error {
		src, err := r.fetch(ctx, d)
		if err != nil {
			return err
		}
		defer src.Close()
		_, err = io.Copy(w, newVerifier(src, d.Digest, d.Size))
		return err
	})
	if err != nil {
		return nil, err
	}
	return f, nil
}

// fetch reads a blob from where the manifest was found, or else from another endpoint.
func (r *remote) fetch(ctx context.Context, d Descriptor) (io.ReadCloser, error) {
	var first error
	for _, end := range append([]*registry{r.found}, r.ends...) {
		if first != nil && end == r.found {
			continue
		}
		src, err := end.getBlob(ctx, d)
		if err == nil {
			if r.o.BlobProgress != nil {
				return &progressReader{src, d, r.o.BlobProgress}, nil
			}
			return src, nil
		}
		if first == nil {
			first = err
		}
		if !errors.Is(err, ErrNotFound) {
			break
		}
	}
	return nil, fmt.Errorf("%s: %w", d.Digest, first)
}

func (r *remote) close() error {
	for _, end := range r.ends {
		end.client.CloseIdleConnections()
	}
	return nil
}

type progressReader struct {
	io.ReadCloser
	d      Descriptor
	report func(Descriptor, int)
}

func (p *progressReader) Read(b []byte) (int, error) {
	n, err := p.ReadCloser.Read(b)
	p.report(p.d, n)
	return n, err
}

// Missing returns the bytes of layers that a blob cache has yet to take. The manifest's sizes are what it goes by.
func (m *Image) Missing() (n int64) {
	r, ok := m.store.(*remote)
	if !ok || r.blobs == nil {
		return 0
	}
	for _, d := range m.Manifest.Layers {
		f, err := r.blobs.Open(d.Digest)
		if err != nil {
			n += max(0, d.Size)
			continue
		}
		f.Close()
	}
	return n
}

// Prefetch fetches the layers into the blob cache, newest first, parallel at a time, until all are there or ctx ends.
// Without a cache it does nothing. An error is left to who asks for the layer. stop ends it, and returns when nothing is
// being fetched any more, so that no half of a blob and no lock stays behind.
func (m *Image) Prefetch(ctx context.Context, parallel int) (stop func()) {
	r, ok := m.store.(*remote)
	if !ok || r.blobs == nil {
		return func() {}
	}
	ctx, cancel := context.WithCancel(ctx)
	todo := make(chan Descriptor, m.Layers())
	for i := m.Layers() - 1; i >= 0; i-- {
		todo <- m.Manifest.Layers[i]
	}
	close(todo)
	var all sync.WaitGroup
	for range parallel {
		all.Go(func() {
			for d := range todo {
				if ctx.Err() != nil {
					return
				}
				if f, err := r.blob(ctx, d); err == nil {
					f.Close()
				}
			}
		})
	}
	return func() {
		cancel()
		all.Wait()
	}
}
