package image

import "strings"

// IsReference reports whether s says where to get an image, by its transport, and is not
// a path: "docker://debian:12", "oci-archive:app.tar".
func IsReference(s string) bool {
	transport, _, ok := strings.Cut(s, ":")
	if !ok {
		return false
	}
	switch transport {
	case "docker", "docker-daemon", "docker-archive", "oci", "oci-archive", "oras", "http", "https", "library", "shub", "containers-storage":
		return true
	}
	return false
}

// DefaultName is the name that a pulled image gets: "debian_12.sif" for
// docker://debian:12, the last part of the path for a URL.
func DefaultName(ref string) string {
	transport, rest, _ := strings.Cut(ref, ":")
	rest = strings.TrimRight(strings.TrimPrefix(rest, "//"), "/")
	if transport == "http" || transport == "https" {
		rest, _, _ = strings.Cut(rest, "?")
		return rest[strings.LastIndexByte(rest, '/')+1:]
	}
	name := rest[strings.LastIndexByte(rest, '/')+1:]
	if transport == "docker" || transport == "oras" || transport == "docker-daemon" {
		if !strings.ContainsAny(name, ":@") {
			name += ":latest"
		}
	} else {
		for _, suffix := range []string{".tar.gz", ".tgz", ".tar"} {
			name = strings.TrimSuffix(name, suffix)
		}
	}
	return strings.NewReplacer(":", "_", "@", "_").Replace(name) + ".sif"
}
