// Package oci reads container images from where they are: registries, OCI layouts and
// archives, Docker archives and daemons.
//
// [Open] resolves a reference such as docker://registry/app:1 or oci:dir:tag to one
// [Image] for one platform. Whatever it reads is checked against the digest that named
// it. Layers come as streams of uncompressed tar bytes, to be read with package layer.
//
// Source: OCI image specification 1.1, OCI distribution specification 1.1, and the
// Docker registry and image formats where images of today still need them.
package oci

import (
	"encoding/json"
	"fmt"
	"strings"
	"time"
)

// Media types. Source: OCI image specification, media-types.md; Docker image manifest
// version 2, schema 2.
const (
	typeIndex          = "application/vnd.oci.image.index.v1+json"
	typeManifest       = "application/vnd.oci.image.manifest.v1+json"
	typeConfig         = "application/vnd.oci.image.config.v1+json"
	typeLayer          = "application/vnd.oci.image.layer.v1.tar"
	typeDockerList     = "application/vnd.docker.distribution.manifest.list.v2+json"
	typeDockerManifest = "application/vnd.docker.distribution.manifest.v2+json"
	typeDockerConfig   = "application/vnd.docker.container.image.v1+json"
	typeDockerLayer    = "application/vnd.docker.image.rootfs.diff.tar"
	typeDockerForeign  = "application/vnd.docker.image.rootfs.foreign.diff.tar"
	typeSIFLayer       = "application/vnd.sylabs.sif.layer.v1.sif"
	typeSchema1        = "application/vnd.docker.distribution.manifest.v1"
)

// Limits of what is read into memory, in bytes.
const (
	maxManifest = 4 << 20
	maxConfig   = 8 << 20
)

// A Descriptor names a blob.
//
// Source: OCI image specification, descriptor.md.
type Descriptor struct {
	MediaType    string            `json:"mediaType,omitempty"`
	Digest       Digest            `json:"digest"`
	Size         int64             `json:"size"` // bytes; -1 unknown
	URLs         []string          `json:"urls,omitempty"`
	Annotations  map[string]string `json:"annotations,omitempty"`
	Platform     *Platform         `json:"platform,omitempty"`
	ArtifactType string            `json:"artifactType,omitempty"`
}

// A Manifest lists the blobs of an image. An index has Manifests instead.
//
// Source: OCI image specification, manifest.md and image-index.md.
type Manifest struct {
	SchemaVersion int               `json:"schemaVersion"`
	MediaType     string            `json:"mediaType,omitempty"`
	ArtifactType  string            `json:"artifactType,omitempty"`
	Config        Descriptor        `json:"config"`
	Layers        []Descriptor      `json:"layers"`
	Manifests     []Descriptor      `json:"manifests,omitempty"`
	Annotations   map[string]string `json:"annotations,omitempty"`

	FSLayers json.RawMessage `json:"fsLayers,omitempty"` // schema 1 alone has it
}

// A Config says how an image is to be run.
//
// Source: OCI image specification, config.md.
type Config struct {
	Created      time.Time `json:"created"`
	Architecture string    `json:"architecture"`
	OS           string    `json:"os"`
	Variant      string    `json:"variant,omitempty"`
	Config       RunConfig `json:"config"`
	RootFS       struct {
		Type    string   `json:"type"`
		DiffIDs []Digest `json:"diff_ids"`
	} `json:"rootfs"`
}

// A RunConfig is what a runtime needs of a config.
type RunConfig struct {
	User       string            `json:"User,omitempty"`
	Env        []string          `json:"Env,omitempty"`
	Entrypoint []string          `json:"Entrypoint,omitempty"`
	Cmd        []string          `json:"Cmd,omitempty"`
	WorkingDir string            `json:"WorkingDir,omitempty"`
	Labels     map[string]string `json:"Labels,omitempty"`
}

// kind tells what a manifest is, from its media type and from what is in it.
func (m *Manifest) kind(mediaType string) (index bool, err error) {
	if m.MediaType != "" {
		mediaType = m.MediaType
	}
	switch {
	case m.SchemaVersion == 1, m.FSLayers != nil, strings.HasPrefix(mediaType, typeSchema1):
		return false, ErrSchema1
	case mediaType == typeIndex, mediaType == typeDockerList:
		return true, nil
	case mediaType == typeManifest, mediaType == typeDockerManifest:
		return false, nil
	case m.Manifests != nil && m.Config.Digest == "":
		return true, nil
	case m.Config.Digest != "":
		return false, nil
	}
	return false, fmt.Errorf("%w: media type %q", ErrManifest, mediaType)
}

// checkLayer refuses layers that are not to be had or cannot be read.
func checkLayer(d *Descriptor) error {
	t := d.MediaType
	switch {
	case strings.Contains(t, "nondistributable"), strings.HasPrefix(t, typeDockerForeign):
		return fmt.Errorf("%w: %s", ErrForeign, d.Digest)
	case strings.HasSuffix(t, "+encrypted"):
		return fmt.Errorf("%w: %s", ErrEncrypted, d.Digest)
	case t == "", strings.HasPrefix(t, typeLayer), strings.HasPrefix(t, typeDockerLayer):
	default:
		return fmt.Errorf("%w: a layer of media type %q", ErrNotImage, t)
	}
	if d.Size < -1 {
		return fmt.Errorf("%w: a layer of %d bytes", ErrManifest, d.Size)
	}
	return nil
}
