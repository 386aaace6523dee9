package oci

import (
	"fmt"
	"runtime"
	"strings"
)

// A Platform is what an image runs on.
type Platform struct {
	OS           string `json:"os"`
	Architecture string `json:"architecture"`
	Variant      string `json:"variant,omitempty"`
}

// String returns "linux/arm64/v8".
func (p Platform) String() string {
	s := p.OS + "/" + p.Architecture
	if p.Variant != "" {
		s += "/" + p.Variant
	}
	return s
}

// HostPlatform is the platform of this machine.
func HostPlatform() Platform { return Platform{OS: "linux", Architecture: runtime.GOARCH} }

// ParsePlatform reads --arch and --platform: "arm64", "x86_64", "linux/arm/v7", "arm32v7".
// The error wraps [ErrReference].
func ParsePlatform(s string) (Platform, error) {
	parts := strings.Split(strings.ToLower(s), "/")
	if len(parts) == 1 {
		parts = []string{"linux", parts[0]}
	}
	if len(parts) > 3 || parts[0] != "linux" {
		return Platform{}, fmt.Errorf("%w: platform %q (want linux/ARCH or ARCH)", ErrReference, s)
	}
	for _, part := range parts {
		if part == "" {
			return Platform{}, fmt.Errorf("%w: platform %q", ErrReference, s)
		}
	}
	p := Platform{OS: parts[0]}
	p.Architecture, p.Variant = archAlias(parts[1])
	if len(parts) == 3 {
		p.Variant = parts[2]
	}
	return p, nil
}

// archAlias returns architecture and variant of a name that people or tools have for an
// architecture, or the name itself.
func archAlias(name string) (arch, variant string) {
	switch name {
	case "x86_64", "x86-64":
		return "amd64", ""
	case "i386", "i686":
		return "386", ""
	case "aarch64":
		return "arm64", ""
	case "arm64v8":
		return "arm64", "v8"
	case "arm32v5", "arm32v6", "arm32v7":
		return "arm", name[5:]
	case "armhf":
		return "arm", "v7"
	case "armel":
		return "arm", "v6"
	case "ppc64el":
		return "ppc64le", ""
	}
	return name, ""
}

// choose returns the manifest of an index that suits best: the wanted variant, else the
// highest one that the architecture has unless a variant was asked for. The error is a
// *[PlatformError].
func choose(list []Descriptor, want Platform) (Descriptor, error) {
	var best Descriptor
	var have []Platform
	for _, d := range list {
		p := d.Platform
		if p == nil {
			if len(list) == 1 {
				return d, nil
			}
			continue
		}
		if p.OS == "unknown" { // attestations
			continue
		}
		have = append(have, *p)
		if p.OS != want.OS || p.Architecture != want.Architecture {
			continue
		}
		switch {
		case normalVariant(*p) == normalVariant(want):
			return d, nil
		case want.Variant != "":
		case best.Digest == "" || p.Variant > best.Platform.Variant:
			best = d
		}
	}
	if best.Digest == "" {
		return Descriptor{}, &PlatformError{Want: want, Have: have}
	}
	return best, nil
}

// normalVariant returns a variant with the ones that go without saying filled in.
func normalVariant(p Platform) string {
	switch {
	case p.Architecture == "arm64" && p.Variant == "":
		return "v8"
	case p.Architecture == "amd64" && p.Variant == "v1":
		return ""
	}
	return p.Variant
}
