//go:build !lean

package main

import (
	"crypto/tls"
	"errors"
	"strings"

	"coracle/image/cache"
	"coracle/image/layer"
	"coracle/image/oci"
	"coracle/image/oci/storage"
	"coracle/image/output"

	"golang.org/x/sys/unix"
)

// sourceHint says what to type about an error of a source or of what is made of it.
func (c *cli) sourceHint(err error) string {
	var source *oci.SourceError
	ref := ""
	if errors.As(err, &source) {
		ref = source.Source
	}
	var choice *oci.ChoiceError
	var tag *oci.TagError
	var space *output.SpaceError
	switch {
	case errors.Is(err, output.ErrExists):
		return "replace it with --force"
	case errors.Is(err, oci.ErrLogin):
		return "log in: " + c.program + " registry login " + registryOf(ref) + "; logins of podman and docker serve too, and --docker-login asks"
	case errors.Is(err, oci.ErrDenied):
		return "check the name, and the login: " + c.program + " registry list; a new one: " + c.program + " registry login " + registryOf(ref)
	case errors.Is(err, oci.ErrPlainHTTP):
		return "if the registry is to be trusted without encryption: --no-https"
	case errors.Is(err, oci.ErrLimited):
		return "log in for a higher limit, or wait"
	case errors.As(err, &choice) && len(choice.Names) > 0:
		return "name one behind the source: " + strings.TrimSuffix(ref, ":"+choice.Want) + ":" + choice.Names[0]
	case errors.As(err, new(*oci.PlatformError)):
		return "choose one with --platform"
	case errors.As(err, &tag):
		return "the tags there are: " + strings.Join(tag.Nearest(8), ", ") + more(len(tag.Have)-8)
	case errors.Is(err, oci.ErrNotFound) && (strings.HasPrefix(ref, "docker://") || strings.HasPrefix(ref, "oras://")):
		return "check the name; what is not public may need a login: " + c.program + " registry login " + registryOf(ref)
	case errors.Is(err, oci.ErrNoDaemon):
		return "DOCKER_HOST or --docker-host says where its socket is: unix:///run/user/1000/podman/podman.sock; Podman's images need none: containers-storage:NAME"
	case errors.Is(err, storage.ErrNoStore), errors.Is(err, storage.ErrNoHome):
		return "another store: containers-storage:[overlay@/PATH/storage]NAME; an image in a registry: docker://NAME"
	case errors.Is(err, storage.ErrNoRecord), errors.Is(err, storage.ErrSubIDs):
		return "podman save --format oci-archive -o image.tar NAME, then oci-archive:image.tar"
	case errors.As(err, new(*tls.CertificateVerificationError)) && registryOf(ref) != "REGISTRY":
		return "put the certificate of its authority, if you trust that, into ~/.config/containers/certs.d/" + registryOf(ref) + "/ca.crt"
	case errors.As(err, new(*tls.CertificateVerificationError)):
		return "SSL_CERT_FILE=FILE names the certificate of an authority that you trust"
	case errors.Is(err, oci.ErrNoCert) && registryOf(ref) != "REGISTRY":
		return "it may want a certificate of yours: client.cert and client.key in ~/.config/containers/certs.d/" + registryOf(ref)
	case errors.As(err, new(*oci.SpoolError)):
		return "name a directory on a disk with more room: --tmpdir DIR, or TMPDIR"
	case errors.As(err, &space), errors.Is(err, unix.ENOSPC), errors.Is(err, unix.EDQUOT):
		return "another place: --dir or the path of the image; CORACLE_CACHEDIR for the cache, which `" + c.program + " cache clean` empties"
	case errors.Is(err, layer.ErrTooLarge):
		return "if the image is to be trusted, allow more with --max-size"
	case errors.Is(err, cache.ErrNoDir):
		return "set CORACLE_CACHEDIR to a directory of yours"
	case errors.Is(err, oci.ErrSchema1):
		return "push the image again with a tool of this decade"
	}
	return ""
}

// registryOf returns the registry that a reference names, as login takes it.
func registryOf(ref string) string {
	transport, name, ok := strings.Cut(ref, "://")
	if n, err := oci.ParseName(name); ok && err == nil && transport != "https" {
		return n.Registry
	}
	return "REGISTRY"
}

func more(n int) string {
	if n > 0 {
		return ", …"
	}
	return ""
}
