//go:build !lean

package main

import (
	"crypto/tls"
	"errors"
	"io/fs"
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
	if h := c.registryHint(err, ref); h != "" {
		return h
	}
	if h := roomHint(c.program, err); h != "" {
		return h
	}
	var choice *oci.ChoiceError
	switch {
	case errors.Is(err, output.ErrExists):
		return "replace it with --force"
	case errors.As(err, &choice) && len(choice.Names) > 0:
		return "name one behind the source: " + strings.TrimSuffix(ref, ":"+choice.Want) + ":" + choice.Names[0]
	case errors.As(err, new(*oci.PlatformError)):
		return "choose one with --platform"
	case errors.Is(err, oci.ErrNoDaemon):
		return "DOCKER_HOST or --docker-host says where its socket is: unix:///run/user/1000/podman/podman.sock; Podman's images need none: containers-storage:NAME"
	case errors.Is(err, storage.ErrNoStore), errors.Is(err, storage.ErrNoHome):
		return "another store: containers-storage:[overlay@/PATH/storage]NAME; an image in a registry: docker://NAME"
	case errors.Is(err, storage.ErrNoRecord), errors.Is(err, storage.ErrSubIDs):
		return "podman save --format oci-archive -o image.tar NAME, then oci-archive:image.tar"
	case errors.Is(err, layer.ErrTooLarge):
		return "if the image is to be trusted, allow more with --max-size"
	case errors.Is(err, cache.ErrNoDir):
		return "set CORACLE_CACHEDIR to a directory of yours"
	case strings.HasPrefix(ref, "library:") || strings.HasPrefix(ref, "shub:"):
		return "that service is not read: fetch the file elsewhere, it runs as it is, or take the image from docker:// or oras://"
	case errors.Is(err, oci.ErrSchema1):
		return "push the image again with a tool of this decade"
	}
	var asking *noTerminalError
	if errors.As(err, &asking) {
		return asking.cure
	}
	return ""
}

// registryHint is about registries and the way to them.
func (c *cli) registryHint(err error, ref string) string {
	var login *loginError
	var tag *oci.TagError
	host := registryOf(ref)
	if errors.As(err, &login) {
		host = login.host
	}
	certs := "~/.config/containers/certs.d/" + host
	switch {
	case login != nil && errors.Is(err, oci.ErrDenied):
		return "check user and password; some registries want a token in the place of the password"
	case errors.Is(err, oci.ErrLogin):
		return "log in: " + c.program + " registry login " + host + "; logins of podman and docker serve too, and --docker-login asks"
	case errors.Is(err, oci.ErrDenied):
		return "check the name, and the login: " + c.program + " registry list; a new one: " + c.program + " registry login " + host
	case errors.Is(err, oci.ErrPlainHTTP):
		return "if the registry is to be trusted without encryption: --no-https"
	case errors.Is(err, oci.ErrOnlyHTTPS):
		return "leave out --no-https (or CORACLE_NOHTTPS, APPTAINER_NOHTTPS)"
	case errors.Is(err, oci.ErrLimited):
		return "log in for a higher limit, or wait"
	case errors.As(err, &tag):
		return "the tags there are: " + strings.Join(tag.Nearest(8), ", ") + more(len(tag.Have)-8)
	case errors.Is(err, oci.ErrNotFound) && (strings.HasPrefix(ref, "docker://") || strings.HasPrefix(ref, "oras://")):
		return "check the name; what is not public may need a login: " + c.program + " registry login " + host
	case errors.As(err, new(*tls.CertificateVerificationError)) && host != anyRegistry:
		return "put the certificate of its authority, if you trust that, into " + certs + "/ca.crt"
	case errors.As(err, new(*tls.CertificateVerificationError)):
		return "SSL_CERT_FILE=FILE names the certificate of an authority that you trust"
	case errors.Is(err, oci.ErrNoCert) && host != anyRegistry:
		return "it may want a certificate of yours: client.cert and client.key in " + certs
	case oci.Unreachable(err):
		return "check the name, and whether this node has a way there: compute nodes often have none, so pull on a login node; HTTPS_PROXY names a proxy"
	}
	return ""
}

// roomHint is about directories for what is made.
func roomHint(program string, err error) string {
	var path *fs.PathError
	switch {
	case errors.As(err, new(*oci.SpoolError)):
		return "name a directory on a disk with more room: --tmpdir DIR, or TMPDIR"
	case errors.As(err, new(*output.SpaceError)), errors.Is(err, unix.ENOSPC), errors.Is(err, unix.EDQUOT):
		return "another place: --dir or the path of the image; CORACLE_CACHEDIR for the cache, which `" + program + " cache clean` empties"
	case errors.As(err, &path) && path.Op == output.OpCreate && errors.Is(path, fs.ErrNotExist):
		return "make the directory: mkdir -p " + path.Path
	}
	return ""
}

// anyRegistry stands for the host of a registry that is not known.
const anyRegistry = "REGISTRY"

// registryOf returns the registry that a reference names, as login takes it.
func registryOf(ref string) string {
	transport, name, ok := strings.Cut(ref, "://")
	if n, err := oci.ParseName(name); ok && err == nil && transport != "https" {
		return n.Registry
	}
	return anyRegistry
}

func more(n int) string {
	if n > 0 {
		return ", …"
	}
	return ""
}
