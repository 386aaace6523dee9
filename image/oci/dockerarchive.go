package oci

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"io/fs"
)

// A dockerArchive is what docker save writes: manifest.json lists images by the names of
// their files. There are no manifests; one is made of the configuration and its list of
// uncompressed digests, so that an image keeps its identity whichever way it was saved.
//
// Source: Docker image specification 1.2, "Combined Image JSON + Filesystem Changeset
// Format".
type dockerArchive struct {
	fsys  *archiveFS
	ref   string // tag, or "" for the only image
	where string

	files map[Digest]string // what the made manifest names
}

type dockerImage struct {
	Config   string
	RepoTags []string
	Layers   []string
}

func (a *dockerArchive) root(context.Context) ([]byte, string, error) {
	raw, err := readFile(a.fsys, "manifest.json", maxManifest)
	if errors.Is(err, fs.ErrNotExist) {
		return nil, "", fmt.Errorf("%w: %s has no file \"manifest.json\"", ErrArchive, a.where)
	}
	if err != nil {
		return nil, "", err
	}
	var list []dockerImage
	if err := json.Unmarshal(raw, &list); err != nil {
		return nil, "", fmt.Errorf("%w: manifest.json: %w", ErrArchive, err)
	}
	img, err := a.choose(list)
	if err != nil {
		return nil, "", err
	}
	raw, err = a.makeManifest(img)
	return raw, typeDockerManifest, err
}

func (a *dockerArchive) choose(list []dockerImage) (*dockerImage, error) {
	var names []string
	for i := range list {
		for _, tag := range list[i].RepoTags {
			if a.ref != "" && sameTag(tag, a.ref) {
				return &list[i], nil
			}
			names = append(names, tag)
		}
	}
	switch {
	case a.ref != "":
		return nil, &ChoiceError{Want: a.ref, Names: names}
	case len(list) == 0:
		return nil, fmt.Errorf("%w: %s is empty", ErrNotFound, a.where)
	case len(list) > 1:
		return nil, &ChoiceError{Names: names}
	}
	return &list[0], nil
}

// sameTag reports whether two names of images mean the same.
func sameTag(a, b string) bool {
	if a == b {
		return true
	}
	x, err := ParseName(a)
	y, err2 := ParseName(b)
	return err == nil && err2 == nil && x == y
}

// makeManifest writes the manifest of an image that has none.
func (a *dockerArchive) makeManifest(img *dockerImage) ([]byte, error) {
	config, err := readFile(a.fsys, img.Config, maxConfig)
	if err != nil {
		return nil, fmt.Errorf("image configuration: %w", err)
	}
	var c Config
	if err := json.Unmarshal(config, &c); err != nil {
		return nil, fmt.Errorf("%w: %w", ErrConfig, err)
	}
	if len(c.RootFS.DiffIDs) != len(img.Layers) {
		return nil, fmt.Errorf("%w: %d digests for %d layers", ErrConfig, len(c.RootFS.DiffIDs), len(img.Layers))
	}
	m := Manifest{SchemaVersion: 2, MediaType: typeDockerManifest, Layers: []Descriptor{}}
	m.Config = Descriptor{MediaType: typeDockerConfig, Digest: DigestOf(config), Size: int64(len(config))}
	a.files = map[Digest]string{m.Config.Digest: img.Config}
	for i, name := range img.Layers {
		d := c.RootFS.DiffIDs[i]
		if err := d.Check(); err != nil {
			return nil, fmt.Errorf("layer %d: %w", i+1, err)
		}
		if _, err := a.fsys.stat(name); err != nil {
			return nil, fmt.Errorf("layer %d: %w", i+1, err)
		}
		a.files[d] = name
		m.Layers = append(m.Layers, Descriptor{MediaType: typeDockerLayer, Digest: d, Size: -1})
	}
	return json.Marshal(m)
}

func (a *dockerArchive) manifest(_ context.Context, d Descriptor) ([]byte, error) {
	return nil, fmt.Errorf("%w: %s", ErrNotFound, d.Digest)
}

func (a *dockerArchive) blob(_ context.Context, d Descriptor) (io.ReadCloser, error) {
	return a.fsys.open(a.files[d.Digest])
}

func (a *dockerArchive) close() error { return a.fsys.close() }
