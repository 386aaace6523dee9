//go:build !lean

package main

import (
	"errors"
	"strings"

	"coracle/image/cache"
	"coracle/image/layer"
	"coracle/image/oci"
	"coracle/image/output"
)

// sourceHint says what to type about an error of a source or of what is made of it.
func (c *cli) sourceHint(err error) string {
	var source *oci.SourceError
	ref := ""
	if errors.As(err, &source) {
		ref = source.Source
	}
	var choice *oci.ChoiceError
	switch {
	case errors.Is(err, output.ErrExists):
		return "replace it with --force"
	case errors.Is(err, oci.ErrLogin):
		return "log in: " + c.program + " registry login REGISTRY, podman login or docker login; or use --docker-login" + ofRegistry(ref)
	case errors.Is(err, oci.ErrDenied):
		return "check the name, and the login in ~/.docker/config.json or of podman" + ofRegistry(ref)
	case errors.Is(err, oci.ErrPlainHTTP):
		return "if the registry is to be trusted without encryption: --no-https"
	case errors.Is(err, oci.ErrLimited):
		return "log in for a higher limit, or wait"
	case errors.As(err, &choice) && len(choice.Names) > 0:
		return "name one behind the source: " + strings.TrimSuffix(ref, ":"+choice.Want) + ":" + choice.Names[0]
	case errors.As(err, new(*oci.PlatformError)):
		return "choose one with --platform"
	case errors.Is(err, oci.ErrNotFound) && strings.HasPrefix(ref, "docker://"):
		return "the tags there are: skopeo list-tags " + withoutTag(ref)
	case errors.Is(err, layer.ErrTooLarge):
		return "if the image is to be trusted, allow more with --max-size"
	case errors.Is(err, cache.ErrNoDir):
		return "set CORACLE_CACHEDIR to a directory of yours"
	case errors.Is(err, oci.ErrSchema1):
		return "push the image again with a tool of this decade"
	}
	return ""
}

func ofRegistry(ref string) string {
	name, ok := strings.CutPrefix(ref, "docker://")
	if n, err := oci.ParseName(name); ok && err == nil {
		return ": " + n.Registry
	}
	return ""
}

func withoutTag(ref string) string {
	n, err := oci.ParseName(strings.TrimPrefix(ref, "docker://"))
	if err != nil {
		return ref
	}
	return "docker://" + n.Registry + "/" + n.Repository
}
