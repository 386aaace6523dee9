package oci

import (
	"context"
	"fmt"
	"os"
	"path/filepath"
	"strings"
)

// Options say how images are found. The zero value works.
type Options struct {
	Platform Platform // zero: this machine's
	TempDir  string   // where archives are kept that come through a pipe or are compressed; "": os.TempDir
}

// The transports: what a reference begins with.
const (
	transportLayout        = "oci"
	transportArchive       = "oci-archive"
	transportDockerArchive = "docker-archive"
)

// IsReference reports whether s names an image by a transport of this package, and is no path.
func IsReference(s string) bool {
	transport, _, ok := strings.Cut(s, ":")
	switch transport {
	case transportLayout, transportArchive, transportDockerArchive:
		return ok
	}
	return false
}

// Open finds the image that ref names:
//
//	oci:DIR[:TAG], oci:DIR@DIGEST         OCI layout
//	oci-archive:FILE[:TAG]                the same in a tar archive, compressed or not
//	docker-archive:FILE[:NAME:TAG]        what docker save writes; FILE may be "-"
//
// It reads manifest and configuration; layers follow when they are asked for. The error
// is a *[SourceError].
func Open(ctx context.Context, ref string, o *Options) (*Image, error) {
	if o == nil {
		o = &Options{}
	}
	opts := *o
	if opts.Platform == (Platform{}) {
		opts.Platform = HostPlatform()
	}
	if opts.TempDir == "" {
		opts.TempDir = os.TempDir()
	}
	img, err := open(ctx, ref, &opts)
	if err != nil {
		return nil, &SourceError{Source: ref, Err: err}
	}
	return img, nil
}

func open(ctx context.Context, ref string, o *Options) (*Image, error) {
	transport, rest, ok := strings.Cut(ref, ":")
	if !ok {
		return nil, fmt.Errorf("%w: %q has no transport", ErrReference, ref)
	}
	switch transport {
	case transportLayout, transportArchive, transportDockerArchive:
		return openLocal(ctx, transport, rest, o)
	}
	return nil, fmt.Errorf("%w: transport %q is not known", ErrReference, transport)
}

// openLocal opens what a file or directory holds.
func openLocal(ctx context.Context, transport, rest string, o *Options) (*Image, error) {
	path, tag, digest, err := splitLocal(rest)
	if err != nil {
		return nil, err
	}
	s, err := localStore(ctx, transport, path, tag, digest, o)
	if err != nil {
		return nil, err
	}
	img, err := resolve(ctx, s, o.Platform, digest)
	if err != nil {
		s.close()
		return nil, err
	}
	suffix := ""
	switch {
	case digest != "":
		suffix = "@" + string(digest)
	case tag != "":
		suffix = ":" + tag
	}
	img.Source = transport + ":" + path + suffix
	img.Origin = transport + ":" + filepath.Base(path) + suffix
	img.diffOnly = transport == transportDockerArchive
	return img, nil
}

func localStore(ctx context.Context, transport, path, tag string, digest Digest, o *Options) (store, error) {
	if transport == transportLayout {
		if fi, err := os.Stat(path); err != nil {
			return nil, err
		} else if !fi.IsDir() {
			return nil, fmt.Errorf("%w: %q is not a directory", ErrArchive, path)
		}
		return &layout{fsys: dirFS{path}, ref: tag, want: digest, where: path}, nil
	}
	a, err := openArchive(ctx, path, o.TempDir)
	if err != nil {
		return nil, err
	}
	if transport == transportArchive {
		return &layout{fsys: a, ref: tag, want: digest, where: path}, nil
	}
	return &dockerArchive{fsys: a, ref: tag, where: path}, nil
}

// splitLocal divides PATH[:TAG] or PATH@DIGEST. A path that exists is taken whole, so
// that it may have a colon.
func splitLocal(s string) (path, tag string, digest Digest, err error) {
	if s == "" {
		return "", "", "", fmt.Errorf("%w: no path", ErrReference)
	}
	if _, err := os.Lstat(s); err == nil {
		return s, "", "", nil
	}
	if path, d, ok := strings.Cut(s, "@sha256:"); ok {
		digest = Digest("sha256:" + d)
		return path, "", digest, digest.Check()
	}
	path, tag, _ = strings.Cut(s, ":")
	for { // the longest part that exists is the path
		next, rest, ok := strings.Cut(tag, ":")
		if _, err := os.Lstat(path + ":" + next); !ok || err != nil {
			break
		}
		path, tag = path+":"+next, rest
	}
	return path, tag, "", nil
}
