package image

import "testing"

func TestReferences(t *testing.T) {
	for _, tt := range []struct {
		in   string
		is   bool
		name string
	}{
		{"docker://debian:12", true, "debian_12.sif"},
		{"docker://debian", true, "debian_latest.sif"},
		{"docker://registry.example:5000/team/app@sha256:ab", true, "app_sha256_ab.sif"},
		{"oras://registry.example/team/app:1.0", true, "app_1.0.sif"},
		{"docker-daemon:app:1", true, "app_1.sif"},
		{"oci-archive:/data/app.tar.gz", true, "app.sif"},
		{"oci:/data/layout:v1", true, "layout_v1.sif"},
		{"https://example.org/images/app.sif?x=y", true, "app.sif"},
		{"app.sif", false, ""},
		{"dir:with:colons", false, ""},
		{"./oci:x", false, ""},
	} {
		if got := IsReference(tt.in); got != tt.is {
			t.Errorf("IsReference(%q) = %v, want %v", tt.in, got, tt.is)
		}
		if tt.is {
			if got := DefaultName(tt.in); got != tt.name {
				t.Errorf("DefaultName(%q) = %q, want %q", tt.in, got, tt.name)
			}
		}
	}
}
