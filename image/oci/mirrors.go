package oci

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"strings"

	"github.com/BurntSushi/toml"
)

// An endpoint is a place to look for a repository.
type endpoint struct {
	host       string // host or host:port
	repository string
	insecure   bool // its certificate is not checked
}

// A registriesConf is a registries.conf of version 2, as far as mirrors go.
//
// Source: containers-registries.conf(5).
type registriesConf struct {
	Registry []struct {
		Prefix   string
		Location string
		Insecure bool
		Blocked  bool
		Mirror   []struct {
			Location       string
			Insecure       bool
			PullFromMirror string `toml:"pull-from-mirror"`
		}
		MirrorByDigestOnly bool `toml:"mirror-by-digest-only"`
	}
}

// ErrBlocked says that registries.conf forbids a registry.
var ErrBlocked = errors.New("registries.conf blocks the registry")

// RegistriesFiles lists the registries.conf files, of which the first that exists counts.
// env is os.Getenv.
func RegistriesFiles(env func(string) string) []string {
	if f := env("CONTAINERS_REGISTRIES_CONF"); f != "" {
		return []string{f}
	}
	var files []string
	if home := env("HOME"); home != "" {
		files = append(files, filepath.Join(home, ".config/containers/registries.conf"))
	}
	return append(files, "/etc/containers/registries.conf")
}

// endpoints returns the places to look for a name, in order: mirrors first.
func endpoints(n Name, files []string) ([]endpoint, error) {
	conf, err := readRegistries(files)
	if err != nil {
		return nil, err
	}
	return conf.endpoints(n)
}

func readRegistries(files []string) (*registriesConf, error) {
	conf := &registriesConf{}
	for _, path := range files {
		b, err := os.ReadFile(path)
		if errors.Is(err, fs.ErrNotExist) || errors.Is(err, fs.ErrPermission) {
			continue
		}
		if err == nil {
			_, err = toml.Decode(string(b), conf)
		}
		if err != nil {
			return nil, fmt.Errorf("%s: %w", path, err)
		}
		break
	}
	return conf, nil
}

func (c *registriesConf) endpoints(n Name) ([]endpoint, error) {
	full := n.Registry + "/" + n.Repository
	own := endpoint{host: n.Registry, repository: n.Repository}
	var list []endpoint
	best := -1
	for _, r := range c.Registry {
		prefix := r.Prefix
		if prefix == "" {
			prefix = r.Location
		}
		rest, ok := matchPrefix(full, prefix)
		if !ok || len(prefix) <= best {
			continue
		}
		if r.Blocked {
			return nil, fmt.Errorf("%w: %s", ErrBlocked, prefix)
		}
		best, list = len(prefix), nil
		for _, m := range r.Mirror {
			byDigest := r.MirrorByDigestOnly || m.PullFromMirror == "digest-only"
			if byDigest && n.Digest == "" || m.PullFromMirror == "tag-only" && n.Digest != "" {
				continue
			}
			list = append(list, at(m.Location, rest, m.Insecure))
		}
		own = endpoint{host: n.Registry, repository: n.Repository, insecure: r.Insecure}
		if r.Location != "" {
			own = at(r.Location, rest, r.Insecure)
		}
	}
	list = append(list, own)
	for i := range list {
		if list[i].host == dockerHub {
			list[i].host = dockerHubHost
		}
	}
	return list, nil
}

// matchPrefix returns what follows prefix in a full name, with its slash. A prefix
// "*.host" matches any host below.
func matchPrefix(full, prefix string) (rest string, ok bool) {
	if suffix, wild := strings.CutPrefix(prefix, "*"); wild {
		host, path, _ := strings.Cut(full, "/")
		if !strings.HasSuffix(host, suffix) || !strings.HasPrefix(suffix, ".") {
			return "", false
		}
		return "/" + path, true
	}
	rest, ok = strings.CutPrefix(full, prefix)
	if !ok || prefix == "" || rest != "" && rest[0] != '/' {
		return "", false
	}
	return rest, true
}

// at returns the endpoint of location, which is a host and perhaps the beginning of a
// repository, followed by rest.
func at(location, rest string, insecure bool) endpoint {
	host, path, _ := strings.Cut(location+rest, "/")
	return endpoint{host: host, repository: path, insecure: insecure}
}
