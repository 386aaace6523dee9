package oci

import (
	"context"
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"slices"
	"strings"
	"time"
)

// manifestTypes is what is accepted for a manifest.
var manifestTypes = []string{typeIndex, typeManifest, typeDockerList, typeDockerManifest, typeSchema1 + "+prettyjws", typeSchema1 + "+json"}

// manifestTimeout is how long it may take to get a manifest, tries and logins included.
const manifestTimeout = 2 * time.Minute

// getManifest fetches a manifest by tag or digest.
func (r *registry) getManifest(ctx context.Context, reference string) (raw []byte, mediaType string, err error) {
	type answer struct {
		raw       []byte
		mediaType string
	}
	header := http.Header{"Accept": {strings.Join(manifestTypes, ", ")}}
	limit := manifestTimeout
	if r.o.patience != 0 {
		limit = r.o.patience
	}
	outer := ctx
	ctx, cancel := context.WithTimeout(ctx, limit)
	defer cancel()
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
	if err != nil && ctx.Err() != nil && outer.Err() == nil {
		err = fmt.Errorf("%w: no manifest within %v", ErrSlow, limit)
	}
	return a.raw, a.mediaType, err
}

// getBlob reads a blob.
func (r *registry) getBlob(ctx context.Context, d Descriptor) (io.ReadCloser, error) {
	t := &transfer{ctx: ctx, size: d.Size, stall: r.o.patience, get: func(ctx context.Context, header http.Header) (*http.Response, error) {
		return r.get(ctx, "blobs/"+string(d.Digest), header)
	}}
	return t, t.connect()
}

// maxTags bounds the answer to a question for tags, in bytes, and tagsTimeout how long it may take.
const (
	maxTags     = 1 << 20
	tagsTimeout = 10 * time.Second
)

// tags returns tags that the repository has, or nothing when that cannot be learnt soon.
//
// Source: OCI distribution specification, "Listing Tags".
func (r *registry) tags(ctx context.Context) []string {
	ctx, cancel := context.WithTimeout(ctx, tagsTimeout)
	defer cancel()
	resp, err := r.get(ctx, "tags/list?n=1000", nil)
	if err != nil {
		return nil
	}
	defer resp.Body.Close()
	var answer struct{ Tags []string }
	if json.NewDecoder(io.LimitReader(resp.Body, maxTags)).Decode(&answer) != nil {
		return nil
	}
	return slices.DeleteFunc(answer.Tags, func(tag string) bool { return !validTag(tag) })
}
