package oci

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net/http"
	"strconv"
	"strings"
	"time"
)

// manifestTypes is what is accepted for a manifest.
var manifestTypes = []string{typeIndex, typeManifest, typeDockerList, typeDockerManifest, typeSchema1 + "+prettyjws", typeSchema1 + "+json"}

// getManifest fetches a manifest by tag or digest.
func (r *registry) getManifest(ctx context.Context, reference string) (raw []byte, mediaType string, err error) {
	type answer struct {
		raw       []byte
		mediaType string
	}
	header := http.Header{"Accept": {strings.Join(manifestTypes, ", ")}}
	a, err := retry(ctx, func() (answer, error) {
		resp, err := r.get(ctx, "manifests/"+reference, header)
		if err != nil {
			return answer{}, err
		}
		defer resp.Body.Close()
		raw, err := io.ReadAll(io.LimitReader(resp.Body, maxManifest+1))
		if err == nil && len(raw) > maxManifest {
			err = fmt.Errorf("%w: more than %d bytes", ErrManifest, maxManifest)
		}
		mediaType, _, _ := strings.Cut(resp.Header.Get("Content-Type"), ";")
		return answer{raw, strings.TrimSpace(mediaType)}, err
	})
	return a.raw, a.mediaType, err
}

var errStalled = errors.New("the registry stopped sending")

// A blobReader reads a blob and goes on where it was when the connection breaks.
type blobReader struct {
	ctx    context.Context
	r      *registry
	d      Descriptor
	body   io.ReadCloser
	cancel context.CancelCauseFunc
	watch  *time.Timer
	at     int64 // bytes delivered
	tries  int   // since the last byte
}

func (r *registry) getBlob(ctx context.Context, d Descriptor) (io.ReadCloser, error) {
	b := &blobReader{ctx: ctx, r: r, d: d}
	return b, b.connect()
}

// connect asks for the rest of the blob.
func (b *blobReader) connect() error {
	_, err := retry(b.ctx, func() (struct{}, error) { return struct{}{}, b.request() })
	return err
}

func (b *blobReader) request() error {
	ctx, cancel := context.WithCancelCause(b.ctx)
	header := http.Header{}
	if b.at > 0 {
		header.Set("Range", "bytes="+strconv.FormatInt(b.at, 10)+"-")
	}
	resp, err := b.r.get(ctx, "blobs/"+string(b.d.Digest), header)
	if err != nil {
		cancel(nil)
		return err
	}
	if b.at > 0 && resp.StatusCode != http.StatusPartialContent {
		if _, err := io.CopyN(io.Discard, resp.Body, b.at); err != nil {
			resp.Body.Close()
			cancel(nil)
			return err
		}
	} else if b.at > 0 && !strings.HasPrefix(resp.Header.Get("Content-Range"), "bytes "+strconv.FormatInt(b.at, 10)+"-") {
		resp.Body.Close()
		cancel(nil)
		return fmt.Errorf("%w: it sends another part of the blob than was asked for", ErrRegistry)
	}
	b.body, b.cancel = resp.Body, cancel
	b.watch = time.AfterFunc(stallTimeout, func() { cancel(errStalled) })
	return nil
}

func (b *blobReader) Read(p []byte) (int, error) {
	for {
		if b.body == nil {
			if err := b.connect(); err != nil {
				return 0, err
			}
		}
		b.watch.Reset(stallTimeout)
		n, err := b.body.Read(p)
		b.at += int64(n)
		if n > 0 {
			b.tries = 0
		}
		if err == nil || err == io.EOF && (b.d.Size < 0 || b.at >= b.d.Size) {
			return n, err
		}
		b.disconnect()
		if err := b.again(err); err != nil {
			return n, err
		}
		if n > 0 {
			return n, nil
		}
	}
}

// again decides whether a broken connection is made anew, and waits.
func (b *blobReader) again(err error) error {
	if b.ctx.Err() != nil {
		return context.Cause(b.ctx)
	}
	if b.tries++; b.tries == maxTries {
		return fmt.Errorf("the connection broke %d times: %w", maxTries, err)
	}
	return sleep(b.ctx, time.Second/4<<b.tries)
}

func (b *blobReader) disconnect() {
	if b.body != nil {
		b.watch.Stop()
		b.body.Close()
		b.cancel(nil)
		b.body = nil
	}
}

// Close ends the transfer.
func (b *blobReader) Close() error {
	b.disconnect()
	return nil
}
