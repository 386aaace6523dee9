package oci

import (
	"errors"
	"testing"

	"coracle/image/oci/storage"
)

// Names of Podman's images may lack what Podman fills in.
func TestChooseStored(t *testing.T) {
	const digest = "sha256:1111111111111111111111111111111111111111111111111111111111111111"
	list := []*storage.Image{
		{ID: "aaaa1111", Names: []string{"localhost/app:1", "localhost/app:latest"}, Digest: digest},
		{ID: "aaaa2222", Names: []string{"docker.io/library/debian:12", "registry.example/team/debian:12"}},
		{ID: "bbbb", Names: []string{"registry.example/app:1", "registry.example/tool:2"}, BigDataNames: []string{"manifest-" + digest}},
		{ID: "cccc", Names: []string{"other.example/tool:2"}},
		{ID: "dddd"},
	}
	for _, tt := range []struct{ ref, id, name string }{
		{"localhost/app:1", "aaaa1111", "localhost/app:1"},
		{"app", "aaaa1111", "localhost/app:latest"},
		{"app:1", "aaaa1111", "localhost/app:1"},
		{"debian:12", "aaaa2222", "docker.io/library/debian:12"},
		{"team/debian:12", "aaaa2222", "registry.example/team/debian:12"},
		{"localhost/app", "aaaa1111", "localhost/app:latest"},
		{"localhost/app@" + digest, "aaaa1111", "localhost/app@" + digest},
		{"registry.example/app@" + digest, "bbbb", "registry.example/app@" + digest},
		{"aaaa2", "aaaa2222", "@aaaa2222"},
		{"@dddd", "dddd", "@dddd"},
		{"tool:2", "", ""}, // two
		{"aaaa", "", ""},   // two
		{"aa", "", ""},     // too short for an id
		{"debian", "", ""}, // no tag "latest"
		{"x@sha256:", "", ""},
	} {
		img, name, err := chooseStored(list, tt.ref)
		if tt.id == "" {
			if !errors.As(err, new(*ChoiceError)) {
				t.Errorf("chooseStored(%q) = %v, %v", tt.ref, img, err)
			}
			continue
		}
		if err != nil || img.ID != tt.id || name != tt.name {
			t.Errorf("chooseStored(%q) = %v, %q, %v; want %s, %q", tt.ref, img, name, err, tt.id, tt.name)
		}
	}
}
