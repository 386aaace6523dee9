package oci

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net/http"
	"os"
	"slices"
	"strings"

	"golang.org/x/sys/unix"
)

// A File is an image file that is kept somewhere as it is, to be copied and not converted.
type File struct {
	Name   string // where it is, normalized, without a password
	Digest Digest // changes when the file does
	Size   int64  // bytes; -1 unknown

	open  func(ctx context.Context) (io.ReadCloser, error)
	close func()
}

// IsFile reports whether a reference names an image file: oras://, http:// or https://.
func IsFile(ref string) bool {
	transport, _, _ := strings.Cut(ref, ":")
	return transport == "oras" || transport == "http" || transport == "https"
}

// FindFile finds the image file that ref names. The error is a *[SourceError].
func FindFile(ctx context.Context, ref string, o *Options) (*File, error) {
	opts := Options{}
	if o != nil {
		opts = *o
	}
	if opts.Platform == (Platform{}) {
		opts.Platform = HostPlatform()
	}
	var f *File
	var err error
	if name, ok := strings.CutPrefix(ref, "oras://"); ok {
		f, err = findArtifact(ctx, name, &opts)
	} else {
		f, err = findURL(ctx, ref, &opts)
	}
	if err != nil {
		return nil, &SourceError{Source: WithoutPassword(ref), Err: err}
	}
	return f, nil
}

// Copy writes the file to dst. Where its digest is known it is verified.
func (f *File) Copy(ctx context.Context, dst io.Writer) error {
	src, err := f.open(ctx)
	if err == nil {
		defer src.Close()
		_, err = io.Copy(dst, src)
	}
	if err != nil {
		return &SourceError{Source: f.Name, Err: err}
	}
	return nil
}

// Close lets go of the connection.
func (f *File) Close() { f.close() }

// findArtifact finds an image file that a registry keeps as an artifact of one layer.
func findArtifact(ctx context.Context, name string, o *Options) (*File, error) {
	n, err := ParseName(name)
	if err != nil {
		return nil, err
	}
	r, err := newRemote(n, o)
	if err != nil {
		return nil, err
	}
	m, digest, err := r.artifact(ctx, n, o.Platform)
	if err != nil {
		r.close()
		return nil, err
	}
	var found []Descriptor
	for _, l := range m.Layers {
		if l.MediaType == typeSIFLayer {
			found = append(found, l)
		}
	}
	if len(found) != 1 {
		r.close()
		return nil, fmt.Errorf("%w file: it has %d layers that hold one", ErrNotImage, len(found))
	}
	d := found[0]
	if err := d.Digest.Check(); err != nil {
		r.close()
		return nil, err
	}
	open := func(ctx context.Context) (io.ReadCloser, error) {
		body, err := r.fetch(ctx, d)
		if err != nil {
			return nil, err
		}
		return struct {
			io.Reader
			io.Closer
		}{newVerifier(body, d.Digest, d.Size), body}, nil
	}
	return &File{Name: "oras://" + n.String(), Digest: digest, Size: d.Size, open: open, close: func() { r.close() }}, nil
}

// artifact reads the manifest that a name stands for, or that an index has for a platform.
func (r *remote) artifact(ctx context.Context, n Name, want Platform) (m Manifest, digest Digest, err error) {
	raw, mediaType, err := r.root(ctx)
	if err != nil {
		return m, "", err
	}
	if n.Digest != "" {
		if err := verify(raw, n.Digest); err != nil {
			return m, "", err
		}
	}
	digest = DigestOf(raw)
	if m, err = parseManifest(raw); err != nil {
		return m, "", err
	}
	index, err := m.kind(mediaType)
	if err != nil || !index {
		return m, digest, err
	}
	d, err := choose(m.Manifests, want)
	if err != nil {
		return m, "", err
	}
	if raw, err = fetchManifest(ctx, r, d); err != nil {
		return m, "", err
	}
	m, err = parseManifest(raw)
	return m, digest, err
}

// findURL begins to fetch a file from a web server. Its digest stands for what the
// server says about the file, and is not verified.
func findURL(ctx context.Context, ref string, o *Options) (*File, error) {
	client := newClient(newTransport())
	says := func(resp *http.Response) []string {
		return []string{resp.Header.Get("ETag"), resp.Header.Get("Last-Modified")}
	}
	var first []string
	t := &transfer{ctx: ctx, size: -1, stall: o.patience}
	t.get = func(ctx context.Context, header http.Header) (*http.Response, error) {
		resp, err := getURL(ctx, client, ref, header)
		if err == nil && first != nil && !slices.Equal(first, says(resp)) {
			resp.Body.Close()
			err = errors.New("the file has changed while it was fetched")
		}
		return resp, err
	}
	var head *http.Response
	_, err := retry(ctx, func() (struct{}, error) {
		ctx, cancel := context.WithCancelCause(ctx)
		resp, err := t.get(ctx, http.Header{})
		if err != nil {
			cancel(nil)
			return struct{}{}, err
		}
		head = resp
		t.begin(resp, cancel)
		return struct{}{}, nil
	})
	if err != nil {
		return nil, err
	}
	first, t.size = says(head), head.ContentLength
	name := WithoutPassword(ref)
	text := strings.Join(append(append([]string{name}, first...), fmt.Sprint(t.size)), "\n")
	f := &File{Name: name, Digest: DigestOf([]byte(text)), Size: t.size}
	f.close = func() { t.Close() }
	f.open = func(context.Context) (io.ReadCloser, error) {
		if o.BlobProgress == nil {
			return t, nil
		}
		return &progressReader{t, Descriptor{Digest: f.Digest, Size: f.Size}, o.BlobProgress}, nil
	}
	return f, nil
}

// getURL sends one request.
func getURL(ctx context.Context, client *http.Client, ref string, header http.Header) (*http.Response, error) {
	req, err := http.NewRequestWithContext(ctx, http.MethodGet, ref, nil)
	if err != nil {
		return nil, fmt.Errorf("%w: %w", ErrReference, err)
	}
	req.Header = header
	req.Header.Set("User-Agent", userAgent)
	resp, err := client.Do(req)
	if err != nil {
		return nil, networkError(err)
	}
	if resp.StatusCode != http.StatusOK && resp.StatusCode != http.StatusPartialContent {
		resp.Body.Close()
		return nil, &statusError{status: resp.StatusCode, err: urlStatus(resp.StatusCode)}
	}
	return resp, nil
}

var errServer = errors.New("the server answers with an error")

func urlStatus(status int) error {
	switch status {
	case http.StatusNotFound, http.StatusGone:
		return ErrNotFound
	case http.StatusUnauthorized, http.StatusForbidden:
		return fmt.Errorf("the server denies access")
	}
	return errServer
}

// openRegular opens a file for reading. Anything but a regular file is an error, and a
// fifo does not block.
func openRegular(path string) (*os.File, error) {
	f, err := os.OpenFile(path, os.O_RDONLY|unix.O_NONBLOCK, 0)
	if err != nil {
		return nil, err
	}
	fi, err := f.Stat()
	if err == nil && !fi.Mode().IsRegular() {
		err = fmt.Errorf("%q is not a regular file", path)
	}
	if err != nil {
		f.Close()
		return nil, err
	}
	return f, nil
}
