package oci

import (
	"bytes"
	"context"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"strings"
)

// What an image file is called as an artifact.
//
// Source: what Apptainer pushes and pulls, "oras://".
const (
	typeSIFConfig   = "application/vnd.sylabs.sif.config.v1+json"
	annotationTitle = "org.opencontainers.image.title"
)

// Push stores an image file of size bytes in a registry, under the name that ref, oras://NAME[:TAG], says. title is the
// file's name. What the registry has already is not sent. It returns the digest of the manifest. The error is a
// *[SourceError].
func Push(ctx context.Context, file io.ReaderAt, size int64, title, ref string, o *Options) (Digest, error) {
	digest, err := push(ctx, file, size, title, ref, o)
	if err != nil {
		return "", &SourceError{Source: WithoutPassword(ref), Err: err}
	}
	return digest, nil
}

func push(ctx context.Context, file io.ReaderAt, size int64, title, ref string, o *Options) (Digest, error) {
	name, ok := strings.CutPrefix(ref, "oras://")
	if !ok {
		return "", fmt.Errorf("%w: want oras://NAME", ErrReference)
	}
	n, err := ParseName(name)
	if err == nil && n.Digest != "" {
		err = fmt.Errorf("%w: a digest says what is there, a tag what is to be", ErrReference)
	}
	if err != nil {
		return "", err
	}
	r, err := newRemote(n, o)
	if err != nil {
		return "", err
	}
	defer r.close()
	to := &pusher{registry: r.ends[len(r.ends)-1], o: o} // mirrors are for reading
	layer, err := describeFile(ctx, file, size, typeSIFLayer)
	if err != nil {
		return "", err
	}
	layer.Annotations = map[string]string{annotationTitle: title}
	config := []byte("{}")
	m := Manifest{SchemaVersion: 2, MediaType: typeManifest, Layers: []Descriptor{layer},
		Config: Descriptor{MediaType: typeSIFConfig, Digest: DigestOf(config), Size: int64(len(config))}}
	raw, err := json.Marshal(m)
	if err != nil {
		return "", err
	}
	if err := to.blob(ctx, layer, file); err != nil {
		return "", err
	}
	if err := to.blob(ctx, m.Config, bytes.NewReader(config)); err != nil {
		return "", err
	}
	return DigestOf(raw), to.manifest(ctx, n.Tag, raw)
}

// describeFile returns the descriptor of a file.
func describeFile(ctx context.Context, file io.ReaderAt, size int64, mediaType string) (Descriptor, error) {
	h := sha256.New()
	if _, err := io.Copy(h, contextReader{ctx, io.NewSectionReader(file, 0, size)}); err != nil {
		return Descriptor{}, fmt.Errorf("read the image: %w", err)
	}
	return Descriptor{MediaType: mediaType, Digest: Digest("sha256:" + hex.EncodeToString(h.Sum(nil))), Size: size}, nil
}

// A pusher stores what it is given.
//
// Source: OCI distribution specification 1.1, "Push".
type pusher struct {
	*registry
	o *Options
}

func (p *pusher) request(method, path string) request {
	return request{method: method, address: p.scheme + "://" + p.host + "/v2/" + p.prefix + "/" + path,
		scope: "repository:" + p.prefix + ":pull,push", header: http.Header{}}
}

// blob stores a blob, unless it is there.
func (p *pusher) blob(ctx context.Context, d Descriptor, from io.ReaderAt) error {
	_, err := retry(ctx, func() (struct{}, error) {
		resp, err := p.do(ctx, p.request(http.MethodHead, "blobs/"+string(d.Digest)))
		if err == nil {
			resp.Body.Close()
			return struct{}{}, nil
		}
		return struct{}{}, p.upload(ctx, d, from)
	})
	return err
}

// upload asks for a place and sends the whole blob there.
func (p *pusher) upload(ctx context.Context, d Descriptor, from io.ReaderAt) error {
	resp, err := p.do(ctx, p.request(http.MethodPost, "blobs/uploads/"))
	if err != nil {
		return err
	}
	resp.Body.Close()
	place, err := resp.Request.URL.Parse(resp.Header.Get("Location"))
	if err != nil || resp.Header.Get("Location") == "" || place.Scheme != "https" && place.Scheme != resp.Request.URL.Scheme {
		return fmt.Errorf("%w: it names no place for the blob", ErrRegistry)
	}
	query := place.Query()
	query.Set("digest", string(d.Digest))
	q := p.request(http.MethodPut, "")
	q.address = (&url.URL{Scheme: place.Scheme, Host: place.Host, Path: place.Path, RawPath: place.RawPath, RawQuery: query.Encode()}).String()
	q.header.Set("Content-Type", "application/octet-stream")
	q.body, q.size = &sent{from, d, p.o.BlobProgress}, d.Size
	resp, err = p.do(ctx, q)
	if err == nil {
		resp.Body.Close()
	}
	return err
}

// manifest gives the image its tag.
func (p *pusher) manifest(ctx context.Context, tag string, raw []byte) error {
	_, err := retry(ctx, func() (struct{}, error) {
		q := p.request(http.MethodPut, "manifests/"+tag)
		q.header.Set("Content-Type", typeManifest)
		q.body, q.size = bytes.NewReader(raw), int64(len(raw))
		resp, err := p.do(ctx, q)
		if err == nil {
			resp.Body.Close()
		}
		return struct{}{}, err
	})
	return err
}

// A sent is a blob whose reading is reported.
type sent struct {
	io.ReaderAt
	d      Descriptor
	report func(Descriptor, int)
}

func (s *sent) ReadAt(b []byte, off int64) (int, error) {
	n, err := s.ReaderAt.ReadAt(b, off)
	if s.report != nil {
		s.report(s.d, n)
	}
	return n, err
}
