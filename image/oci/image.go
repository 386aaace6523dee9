package oci

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"

	"coracle/image/layer"
)

// A store is where the manifests and blobs of an image are.
type store interface {
	// root returns the manifest or index that the reference names, with its media type.
	// If the reference has a digest, the caller compares.
	root(ctx context.Context) (raw []byte, mediaType string, err error)
	// manifest returns the manifest that an index names.
	manifest(ctx context.Context, d Descriptor) ([]byte, error)
	// blob returns the bytes of a blob, which the caller verifies.
	blob(ctx context.Context, d Descriptor) (io.ReadCloser, error)
	close() error
}

// An Image is one image for one platform. Its blobs are read when they are asked for.
type Image struct {
	Source   string // as the user named it, normalized: "docker://docker.io/library/debian:12"
	Origin   string // the same without what is this machine's alone, as the folder of an archive
	Digest   Digest // of the manifest
	Manifest Manifest
	Config   Config
	Platform Platform

	RawManifest []byte
	RawConfig   []byte

	store    store
	diffOnly bool // see Source
}

// Close lets go of the source.
func (m *Image) Close() error { return m.store.close() }

// Layers returns the number of layers.
func (m *Image) Layers() int { return len(m.Manifest.Layers) }

// Size returns the bytes that the layers have where they are, as far as that is known.
func (m *Image) Size() int64 {
	var n int64
	for _, d := range m.Manifest.Layers {
		n += max(0, d.Size)
	}
	return n
}

// LayerID names the contents of layer n: equal ones mean equal contents, which reading
// them verifies.
func (m *Image) LayerID(n int) string {
	if m.diffOnly {
		return "diff " + string(m.Config.RootFS.DiffIDs[n])
	}
	return "blob " + string(m.Manifest.Layers[n].Digest)
}

// Layer returns the uncompressed tar archive of layer n, counted from 0, the oldest. It
// can be asked for more than once. What is read is not verified before the stream has
// ended with io.EOF; the errors wrap [ErrDigest], those of package layer, or are the source's.
func (m *Image) Layer(ctx context.Context, n int) (io.ReadCloser, error) {
	d := m.Manifest.Layers[n]
	blob, err := m.store.blob(ctx, d)
	if err != nil {
		return nil, fmt.Errorf("layer %d: %w", n+1, err)
	}
	var src io.Reader = blob
	if !m.diffOnly {
		src = newVerifier(blob, d.Digest, d.Size)
	}
	z, err := layer.Decompress(src)
	if err != nil {
		blob.Close()
		return nil, fmt.Errorf("layer %d: %w", n+1, err)
	}
	s := &layerStream{Reader: z, z: z, blob: blob}
	if m.diffOnly {
		s.Reader = newVerifier(z, m.Config.RootFS.DiffIDs[n], -1)
	}
	return s, nil
}

type layerStream struct {
	io.Reader
	z, blob io.Closer
}

func (s *layerStream) Close() error { return errors.Join(s.z.Close(), s.blob.Close()) }

// resolve reads the image's manifest and configuration.
func (s *Source) resolve(ctx context.Context) (*Image, error) {
	m := &Image{Source: s.Name, Origin: s.Origin, store: s.store, diffOnly: s.diffOnly}
	raw, mediaType, want := s.raw, s.mediaType, s.o.Platform
	for depth := 0; ; depth++ {
		var err error
		if m.Manifest, err = parseManifest(raw); err != nil {
			return nil, err
		}
		index, err := m.Manifest.kind(mediaType)
		if err != nil {
			return nil, err
		}
		if !index {
			break
		}
		if depth == 4 {
			return nil, fmt.Errorf("%w: indexes in indexes", ErrManifest)
		}
		d, err := choose(m.Manifest.Manifests, want)
		if err != nil {
			return nil, err
		}
		if raw, err = fetchManifest(ctx, s.store, d); err != nil {
			return nil, err
		}
		mediaType = d.MediaType
	}
	m.RawManifest, m.Digest = raw, DigestOf(raw)
	return m, m.readConfig(ctx, want)
}

func fetchManifest(ctx context.Context, s store, d Descriptor) ([]byte, error) {
	if err := d.Digest.Check(); err != nil {
		return nil, err
	}
	if d.Size > maxManifest {
		return nil, fmt.Errorf("%w: %d bytes", ErrManifest, d.Size)
	}
	raw, err := s.manifest(ctx, d)
	if err != nil {
		return nil, err
	}
	return raw, verify(raw, d.Digest)
}

func parseManifest(raw []byte) (Manifest, error) {
	var m Manifest
	if err := json.Unmarshal(raw, &m); err != nil {
		return m, fmt.Errorf("%w: %w", ErrManifest, err)
	}
	return m, nil
}

// readConfig reads the configuration, and checks it and the list of layers.
func (m *Image) readConfig(ctx context.Context, want Platform) error {
	d := m.Manifest.Config
	switch d.MediaType {
	case "", typeConfig, typeDockerConfig:
	default:
		return fmt.Errorf("%w: its configuration is of media type %q", ErrNotImage, d.MediaType)
	}
	if err := d.Digest.Check(); err != nil {
		return err
	}
	for i := range m.Manifest.Layers {
		l := &m.Manifest.Layers[i]
		if err := checkLayer(l); err != nil {
			return fmt.Errorf("layer %d: %w", i+1, err)
		}
		if err := l.Digest.Check(); err != nil {
			return fmt.Errorf("layer %d: %w", i+1, err)
		}
	}
	var err error
	if m.RawConfig, err = readBlob(ctx, m.store, d, maxConfig); err != nil {
		return fmt.Errorf("image configuration: %w", err)
	}
	if err := json.Unmarshal(m.RawConfig, &m.Config); err != nil {
		return fmt.Errorf("%w: %w", ErrConfig, err)
	}
	return m.checkConfig(want)
}

func (m *Image) checkConfig(want Platform) error {
	c := &m.Config
	if n := len(c.RootFS.DiffIDs); (n != 0 || m.diffOnly) && n != m.Layers() {
		return fmt.Errorf("%w: it has %d layers, the manifest %d", ErrConfig, n, m.Layers())
	}
	m.Platform = Platform{OS: c.OS, Architecture: c.Architecture, Variant: c.Variant}
	if m.Platform.OS == "" {
		m.Platform.OS = "linux"
	}
	if m.Platform.Architecture == "" {
		m.Platform.Architecture = want.Architecture
	}
	if m.Platform.OS != want.OS || m.Platform.Architecture != want.Architecture {
		return &PlatformError{Want: want, Have: []Platform{m.Platform}}
	}
	return nil
}

// readBlob reads and verifies a small blob.
func readBlob(ctx context.Context, s store, d Descriptor, limit int64) ([]byte, error) {
	if d.Size > limit {
		return nil, fmt.Errorf("%w: a blob of %d bytes where %d are the limit", ErrManifest, d.Size, limit)
	}
	r, err := s.blob(ctx, d)
	if err != nil {
		return nil, err
	}
	defer r.Close()
	b, err := io.ReadAll(newVerifier(io.LimitReader(r, limit+1), d.Digest, d.Size))
	if err == nil && int64(len(b)) > limit {
		err = fmt.Errorf("%w: a blob of more than %d bytes", ErrManifest, limit)
	}
	return b, err
}
