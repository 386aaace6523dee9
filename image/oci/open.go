package oci

import (
	"context"
	"fmt"
	"net/url"
	"os"
	"path/filepath"
	"strings"
	"time"

	"coracle/image/oci/storage"
)

// Options say how images are found. The zero value works.
type Options struct {
	Platform Platform // zero: this machine's
	TempDir  string   // where archives are kept that come through a pipe or are compressed; "": os.TempDir

	Login           Credential // for the registry; zero: what AuthFiles say
	AuthFiles       []string   // see [AuthFiles]
	RegistriesFiles []string   // see [RegistriesFiles]
	CertDirs        []string   // see [CertDirs]
	NoHTTPS         bool       // talk to registries without encryption
	Blobs           BlobCache  // keeps what registries send; nil: nothing is kept
	DockerHost      string     // the Docker daemon's socket, as DOCKER_HOST; "": unix:///var/run/docker.sock

	Storage     func() ([]storage.Place, error) // where Podman keeps images, see [storage.Places]; nil: nowhere
	StorageMaps func() storage.Maps             // the ids that files there may belong to; nil: none

	// BlobProgress is called with the bytes that have come of a blob from a registry,
	// from several goroutines. It must return soon. nil: nobody is interested.
	BlobProgress func(d Descriptor, n int)

	patience time.Duration // instead of manifestTimeout and stallTimeout; 0: those
}

// The transports: what a reference begins with.
const (
	transportLayout        = "oci"
	transportArchive       = "oci-archive"
	transportDockerArchive = "docker-archive"
	transportDocker        = "docker"
	transportDaemon        = "docker-daemon"
	transportStorage       = "containers-storage"
)

// IsReference reports whether s names an image by a transport of this package, and is no path.
func IsReference(s string) bool {
	transport, _, ok := strings.Cut(s, ":")
	switch transport {
	case transportLayout, transportArchive, transportDockerArchive, transportDocker, transportDaemon, transportStorage:
		return ok
	}
	return false
}

// A Source is a place where an image has been found, or an index of images for several
// platforms.
type Source struct {
	Name   string // as the user wrote it, normalized: "docker://docker.io/library/debian:12"
	Origin string // the same without what is this machine's alone, as the folder of an archive
	Digest Digest // of the manifest or index: what the reference stands for now

	o         *Options
	ref       string
	store     store
	raw       []byte
	mediaType string
	diffOnly  bool // layers are named by the digests of their uncompressed bytes alone
}

// Find finds the image that ref names:
//
//	docker://[REGISTRY/]NAME[:TAG][@DIGEST]   registry
//	docker-daemon:NAME[:TAG]                  the images of a Docker daemon
//	containers-storage:NAME[:TAG]             the images of Podman, of this user
//	docker-archive:FILE[:NAME:TAG]            what docker save writes; FILE may be "-"
//	oci:DIR[:TAG], oci:DIR@DIGEST             OCI layout
//	oci-archive:FILE[:TAG]                    the same in a tar archive, compressed or not
//
// It reads one manifest. The error is a *[SourceError].
func Find(ctx context.Context, ref string, o *Options) (*Source, error) {
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
	s := &Source{o: &opts, ref: WithoutPassword(ref)}
	if err := s.find(ctx, ref); err != nil {
		if s.store != nil {
			s.store.close()
		}
		return nil, s.wrap(err)
	}
	return s, nil
}

func (s *Source) wrap(err error) error { return &SourceError{Source: s.ref, Err: err} }

// WithoutPassword returns ref without what stands before an @ in the place of a host.
func WithoutPassword(ref string) string {
	if u, err := url.Parse(ref); err == nil && u.User != nil {
		u.User = nil
		return u.String()
	}
	return ref
}

func (s *Source) find(ctx context.Context, ref string) error {
	transport, rest, ok := strings.Cut(ref, ":")
	if !ok {
		return fmt.Errorf("%w: %q has no transport", ErrReference, ref)
	}
	var digest Digest
	var err error
	switch transport {
	case transportDocker:
		digest, err = s.openRegistry(rest)
	case transportDaemon:
		err = s.openDaemon(ctx, rest)
	case transportStorage:
		err = s.openStorage(rest)
	case transportLayout, transportArchive, transportDockerArchive:
		digest, err = s.openLocal(ctx, transport, rest)
	default:
		err = fmt.Errorf("%w: transport %q is not known", ErrReference, transport)
	}
	if err != nil {
		return err
	}
	if s.raw, s.mediaType, err = s.store.root(ctx); err != nil {
		return err
	}
	if digest != "" {
		if err := verify(s.raw, digest); err != nil {
			return err
		}
	}
	s.Digest = DigestOf(s.raw)
	return nil
}

// Image reads manifest and configuration of the image for the platform asked for. Layers
// follow when they are asked for. The source belongs to the image then. The error is a
// *[SourceError].
func (s *Source) Image(ctx context.Context) (*Image, error) {
	img, err := s.resolve(ctx)
	if err != nil {
		return nil, s.wrap(err)
	}
	return img, nil
}

// Platform returns the platform that was asked for.
func (s *Source) Platform() Platform { return s.o.Platform }

// Close lets go of the source.
func (s *Source) Close() error { return s.store.close() }

// Open is Find and Image in one.
func Open(ctx context.Context, ref string, o *Options) (*Image, error) {
	s, err := Find(ctx, ref, o)
	if err != nil {
		return nil, err
	}
	img, err := s.Image(ctx)
	if err != nil {
		s.Close()
	}
	return img, err
}

func (s *Source) openRegistry(rest string) (Digest, error) {
	name, ok := strings.CutPrefix(rest, "//")
	if !ok {
		return "", fmt.Errorf("%w: want docker://NAME", ErrReference)
	}
	n, err := ParseName(name)
	if err != nil {
		return "", err
	}
	r, err := newRemote(n, s.o)
	if err != nil {
		return "", err
	}
	s.store, s.Name = r, "docker://"+n.String()
	s.Origin = s.Name
	return n.Digest, nil
}

// openLocal opens what a file or directory holds.
func (s *Source) openLocal(ctx context.Context, transport, rest string) (Digest, error) {
	path, tag, digest, err := splitLocal(rest)
	if err != nil {
		return "", err
	}
	if s.store, err = localStore(ctx, transport, path, tag, digest, s.o); err != nil {
		return "", err
	}
	suffix := ""
	switch {
	case digest != "":
		suffix = "@" + string(digest)
	case tag != "":
		suffix = ":" + tag
	}
	s.Name = transport + ":" + path + suffix
	s.Origin = transport + ":" + filepath.Base(path) + suffix
	s.diffOnly = transport == transportDockerArchive
	return digest, nil
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
