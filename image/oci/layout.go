package oci

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"path"
	"path/filepath"
	"strings"
)

// A layout is an OCI image layout in a directory or in a tar archive.
//
// Source: OCI image specification, image-layout.md.
type layout struct {
	fsys  blobFS
	ref   string // tag or name of the image; "" for the only one
	want  Digest // instead of ref
	where string // for messages
}

// A blobFS opens the files of a layout by slash-separated path. What it opens has to
// lie inside.
type blobFS interface {
	open(name string) (io.ReadCloser, error)
	close() error
}

// Annotations that name an image in a layout. containerd writes the second in full.
const (
	annotationRef  = "org.opencontainers.image.ref.name"
	annotationName = "io.containerd.image.name"
)

func (l *layout) root(context.Context) ([]byte, string, error) {
	head, err := l.readFile("oci-layout", 4096)
	if err != nil {
		if errors.Is(err, fs.ErrNotExist) {
			err = fmt.Errorf("%w: %s has no file \"oci-layout\"", ErrArchive, l.where)
		}
		return nil, "", err
	}
	var version struct {
		ImageLayoutVersion string `json:"imageLayoutVersion"`
	}
	if err := json.Unmarshal(head, &version); err != nil || !strings.HasPrefix(version.ImageLayoutVersion, "1.") {
		return nil, "", fmt.Errorf("%w: layout version %q", ErrArchive, version.ImageLayoutVersion)
	}
	raw, err := l.readFile("index.json", maxManifest)
	if err != nil {
		return nil, "", err
	}
	index, err := parseManifest(raw)
	if err != nil {
		return nil, "", err
	}
	d, err := l.choose(index.Manifests)
	if err != nil || d == nil {
		return raw, typeIndex, err
	}
	raw, err = fetchManifest(context.Background(), l, *d)
	return raw, d.MediaType, err
}

// choose returns the entry of index.json that is asked for, or nil when the index itself
// is one image for several platforms.
func (l *layout) choose(list []Descriptor) (*Descriptor, error) {
	if l.want != "" {
		return &Descriptor{Digest: l.want, Size: -1}, nil
	}
	var names []string
	for i := range list {
		d := &list[i]
		ref, name := d.Annotations[annotationRef], d.Annotations[annotationName]
		if l.ref != "" && (ref == l.ref || name == l.ref || strings.HasSuffix(name, ":"+l.ref)) {
			return d, nil
		}
		switch {
		case name != "":
			names = append(names, name)
		case ref != "":
			names = append(names, ref)
		}
	}
	switch {
	case l.ref != "":
		return nil, &ChoiceError{Want: l.ref, Names: names}
	case len(list) == 0:
		return nil, fmt.Errorf("%w: %s is empty", ErrNotFound, l.where)
	case len(list) == 1:
		return &list[0], nil
	case len(names) == 0:
		return nil, nil
	}
	return nil, &ChoiceError{Names: names}
}

func (l *layout) manifest(_ context.Context, d Descriptor) ([]byte, error) {
	return l.readFile(blobPath(d.Digest), maxManifest)
}

func (l *layout) blob(_ context.Context, d Descriptor) (io.ReadCloser, error) {
	return l.fsys.open(blobPath(d.Digest))
}

func (l *layout) close() error { return l.fsys.close() }

// blobPath returns where a layout has a blob. The digest has been checked.
func blobPath(d Digest) string { return path.Join("blobs", d.Algorithm(), d.Hex()) }

func (l *layout) readFile(name string, limit int64) ([]byte, error) {
	return readFile(l.fsys, name, limit)
}

func readFile(fsys blobFS, name string, limit int64) ([]byte, error) {
	r, err := fsys.open(name)
	if err != nil {
		return nil, err
	}
	defer r.Close()
	b, err := io.ReadAll(io.LimitReader(r, limit+1))
	if err == nil && int64(len(b)) > limit {
		err = fmt.Errorf("%w: %q has more than %d bytes", ErrArchive, name, limit)
	}
	return b, err
}

// dirFS is a layout in a directory of the host.
type dirFS struct{ dir string }

func (d dirFS) open(name string) (io.ReadCloser, error) {
	return openRegular(filepath.Join(d.dir, filepath.FromSlash(name)))
}

func (d dirFS) close() error { return nil }
