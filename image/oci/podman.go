package oci

import (
	"bytes"
	"context"
	"fmt"
	"io"
	"slices"
	"strings"

	"coracle/image/oci/storage"
)

// openStorage finds an image of Podman's: [STORE]NAME[:TAG][@DIGEST], where NAME may lack its registry, or an image's id.
//
// Source: containers-transports(5), "containers-storage".
func (s *Source) openStorage(ref string) error {
	var places []storage.Place
	var err error
	prefix := ""
	if rest, ok := strings.CutPrefix(ref, "["); ok {
		where, name, _ := strings.Cut(rest, "]")
		place, err := storage.ParsePlace(where)
		if err != nil {
			return fmt.Errorf("%w: %w", ErrReference, err)
		}
		places, prefix, ref = []storage.Place{place}, "["+where+"]", name
	} else if s.o.Storage != nil {
		places, err = s.o.Storage()
	}
	if ref == "" {
		return fmt.Errorf("%w: want containers-storage:NAME", ErrReference)
	}
	if err != nil {
		return err
	}
	set, err := storage.Open(places, s.o.StorageMaps)
	if err != nil {
		return err
	}
	s.store = &stored{set: set} // closed from now on
	img, name, err := chooseStored(set.Images(), ref)
	if err != nil {
		return err
	}
	if err := img.Resolve(); err != nil {
		return err
	}
	s.store = &stored{set: set, img: img}
	s.Name, s.Origin = transportStorage+":"+prefix+name, transportStorage+":"+name
	s.diffOnly = true
	return nil
}

// chooseStored returns the image that ref names, and its whole name. A name without a registry is looked for among the
// images of this machine, then on Docker Hub, then in any registry. The error is a *[ChoiceError].
func chooseStored(list []*storage.Image, ref string) (*storage.Image, string, error) {
	for _, name := range storedNames(ref) {
		for _, img := range list {
			if slices.Contains(img.Names, name) {
				return img, name, nil
			}
		}
	}
	var found []*storage.Image
	var names, all []string
	for _, img := range list {
		all = append(all, img.Names...)
		if name := storedAs(img, ref); name != "" && !slices.Contains(names, name) {
			found, names = append(found, img), append(names, name)
		}
	}
	if len(found) == 1 {
		return found[0], names[0], nil
	}
	if len(found) > 1 {
		all = names
	}
	return nil, "", &ChoiceError{Want: ref, Names: all}
}

// storedNames lists what a reference may stand for, the likeliest first.
func storedNames(ref string) []string {
	names := []string{ref}
	n, err := ParseName(ref)
	if err != nil || n.Digest != "" {
		return names
	}
	if last := ref[strings.LastIndexByte(ref, '/')+1:]; !strings.Contains(last, ":") {
		ref += ":" + n.Tag
		names = append(names, ref)
	}
	return append(names, "localhost/"+ref, n.String())
}

// storedAs returns what an image is called, if ref means it by its last names, its digest or its id.
func storedAs(img *storage.Image, ref string) string {
	name, digest, byDigest := strings.Cut(ref, "@")
	if byDigest && strings.Contains(digest, ":") {
		if digest != img.Digest && !slices.Contains(img.BigDataNames, "manifest-"+digest) {
			return ""
		}
		for _, have := range img.Names {
			if i := strings.LastIndexByte(have, ':'); i > 0 && (have[:i] == name || strings.HasSuffix(have[:i], "/"+name)) {
				return have[:i] + "@" + digest
			}
		}
		return ""
	}
	if id := strings.TrimPrefix(ref, "@"); len(id) >= 3 && strings.HasPrefix(img.ID, id) {
		return "@" + img.ID
	}
	if !strings.Contains(name[strings.LastIndexByte(name, '/')+1:], ":") {
		name += ":latest"
	}
	for _, have := range img.Names {
		if strings.HasSuffix(have, "/"+name) {
			return have
		}
	}
	return ""
}

// A stored is an image of Podman's as a store.
type stored struct {
	set *storage.Set
	img *storage.Image
}

func (s *stored) root(context.Context) ([]byte, string, error) {
	raw, err := s.img.BigData("manifest")
	if err != nil {
		return nil, "", err
	}
	m, err := parseManifest(raw)
	if err != nil {
		return nil, "", err
	}
	index, err := m.kind("")
	if err == nil && (index || len(m.Layers) != len(s.img.Layers())) {
		err = fmt.Errorf("%w: %d layers, where the image has %d", ErrManifest, len(m.Layers), len(s.img.Layers()))
	}
	return raw, m.MediaType, err
}

func (s *stored) manifest(_ context.Context, d Descriptor) ([]byte, error) {
	return s.img.BigData("manifest-" + string(d.Digest))
}

func (s *stored) blob(ctx context.Context, d Descriptor) (io.ReadCloser, error) {
	raw, err := s.img.BigData("manifest")
	if err != nil {
		return nil, err
	}
	m, err := parseManifest(raw)
	if err != nil {
		return nil, err
	}
	for i, l := range m.Layers {
		if l.Digest == d.Digest && i < len(s.img.Layers()) {
			return s.img.Layer(ctx, i)
		}
	}
	b, err := s.img.BigData(string(d.Digest))
	return io.NopCloser(bytes.NewReader(b)), err
}

func (s *stored) close() error { return s.set.Close() }
