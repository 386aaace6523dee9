package oci

import (
	"fmt"
	"strings"
)

// A Name is an image in a registry.
type Name struct {
	Registry   string // host or host:port, "docker.io" for Docker Hub
	Repository string // "library/debian"
	Tag        string // "" only with a digest
	Digest     Digest // "" none
}

// Docker Hub's name, and where its registry is.
const (
	dockerHub     = "docker.io"
	dockerHubHost = "registry-1.docker.io"
)

// ParseName reads [REGISTRY/]REPOSITORY[:TAG][@DIGEST] as Docker does: no registry is
// Docker Hub, whose images without a user are in "library", no tag and no digest is
// "latest". The error wraps [ErrReference].
//
// Source: github.com/distribution/reference, the grammar in its package comment.
func ParseName(s string) (Name, error) {
	var n Name
	rest, digest, ok := strings.Cut(s, "@")
	if ok {
		n.Digest = Digest(digest)
		if n.Digest.Check() != nil {
			return Name{}, fmt.Errorf("%w: %q: digest %.90q", ErrReference, s, digest)
		}
	}
	if host, path, ok := strings.Cut(rest, "/"); ok && isHost(host) {
		n.Registry, rest = host, path
	} else {
		n.Registry = dockerHub
	}
	if i := strings.LastIndexByte(rest, ':'); i > strings.LastIndexByte(rest, '/') {
		rest, n.Tag = rest[:i], rest[i+1:]
		if !validTag(n.Tag) {
			return Name{}, fmt.Errorf("%w: %q: tag %q", ErrReference, s, n.Tag)
		}
	}
	if n.Registry == "index.docker.io" || n.Registry == dockerHubHost {
		n.Registry = dockerHub
	}
	if n.Registry == dockerHub && !strings.Contains(rest, "/") {
		rest = "library/" + rest
	}
	n.Repository = rest
	if why := badRepository(rest); why != "" {
		return Name{}, fmt.Errorf("%w: %q: %s", ErrReference, s, why)
	}
	if n.Tag == "" && n.Digest == "" {
		n.Tag = "latest"
	}
	return n, nil
}

// String returns the name in full.
func (n Name) String() string {
	s := n.Registry + "/" + n.Repository
	if n.Tag != "" {
		s += ":" + n.Tag
	}
	if n.Digest != "" {
		s += "@" + string(n.Digest)
	}
	return s
}

// reference returns what the manifest is asked for by: the digest if there is one.
func (n Name) reference() string {
	if n.Digest != "" {
		return string(n.Digest)
	}
	return n.Tag
}

// isHost reports whether the first part of a name is a registry.
func isHost(s string) bool {
	if s != "localhost" && !strings.ContainsAny(s, ".:") && s == strings.ToLower(s) {
		return false
	}
	host, port, ok := strings.Cut(s, ":")
	if strings.HasPrefix(s, "[") { // IPv6
		end := strings.IndexByte(s, ']')
		return end > 0 && only(s[1:end], "0123456789abcdefABCDEF:.") && (s[end+1:] == "" || s[end+1] == ':' && only(s[end+2:], "0123456789"))
	}
	return host != "" && only(host, letters+"0123456789.-") && (!ok || port != "" && only(port, "0123456789"))
}

const letters = "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ"

func only(s, set string) bool { return strings.Trim(s, set) == "" }

func validTag(s string) bool {
	return s != "" && len(s) <= 128 && only(s, letters+"0123456789_.-") && s[0] != '.' && s[0] != '-'
}

// badRepository says what is wrong with the path of a repository, or "".
func badRepository(s string) string {
	if len(s) > 255 {
		return "the name is too long"
	}
	for part := range strings.SplitSeq(s, "/") {
		switch {
		case part == "":
			return "a part of the name is empty"
		case part != strings.ToLower(part):
			return "the name of a repository is lower case"
		case !only(part, "abcdefghijklmnopqrstuvwxyz0123456789._-"):
			return fmt.Sprintf("%q has characters that a repository's name cannot have", part)
		case strings.ContainsAny(part[:1]+part[len(part)-1:], "._-"):
			return fmt.Sprintf("%q begins or ends with a separator", part)
		}
	}
	return ""
}
