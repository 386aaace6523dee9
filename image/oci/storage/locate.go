package storage

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"strings"

	"github.com/BurntSushi/toml"
)

// A Place is a directory that may be a store.
type Place struct {
	Root   string
	Driver string // "overlay", "vfs"; "" whichever there is
}

// A User is whose images are looked for.
type User struct {
	Env  func(string) string // os.Getenv
	Root bool                // it is root, whose store is the machine's
	UID  int
	Host string // what paths of the machine's configuration are below; "" is /
}

// A config is what we heed of a storage.conf.
//
// Source: containers-storage.conf(5).
type config struct {
	Storage struct {
		GraphRoot  string `toml:"graphroot"`
		Rootless   string `toml:"rootless_storage_path"`
		ImageStore string `toml:"imagestore"`
		Options    struct {
			Additional []string `toml:"additionalimagestores"`
		} `toml:"options"`
	} `toml:"storage"`
}

// ErrNoHome says that the store of a user is in a home that is not known.
var ErrNoHome = errors.New("HOME is not set, so Podman's images are not to be found")

// Places returns where a user's images are, the user's own first. Configurations are read as Podman does: the user's storage.conf
// or else the machine's, of which an ordinary user takes the path for ordinary users only.
func Places(u User) ([]Place, error) {
	own, system, err := u.configs()
	if err != nil {
		return nil, err
	}
	root := own.Storage.GraphRoot
	switch {
	case root != "":
	case u.Root:
		if root = system.Storage.GraphRoot; root == "" {
			root = "/var/lib/containers/storage"
		}
	case own.Storage.Rootless != "":
		root = u.expand(own.Storage.Rootless)
	case system.Storage.Rootless != "":
		root = u.expand(system.Storage.Rootless)
	case u.Env("XDG_DATA_HOME") != "":
		root = filepath.Join(u.Env("XDG_DATA_HOME"), "containers/storage")
	case u.Env("HOME") != "":
		root = filepath.Join(u.Env("HOME"), ".local/share/containers/storage")
	default:
		return nil, ErrNoHome
	}
	list := []string{root, own.Storage.ImageStore}
	list = append(list, own.Storage.Options.Additional...)
	if u.Root {
		list = append(list, system.Storage.ImageStore)
	}
	list = append(list, system.Storage.Options.Additional...)
	var places []Place
	seen := map[string]bool{"": true}
	for _, dir := range list {
		if dir = strings.TrimSuffix(u.expand(dir), ":ref"); !seen[dir] {
			seen[dir] = true
			places = append(places, Place{Root: dir})
		}
	}
	return places, nil
}

func (u User) expand(path string) string {
	return os.Expand(path, func(key string) string {
		if key == "UID" {
			return fmt.Sprint(u.UID)
		}
		return u.Env(key)
	})
}

// configs reads the user's configuration and the machine's.
func (u User) configs() (own, system config, err error) {
	files := []string{u.Host + "/etc/containers/storage.conf", u.Host + "/usr/share/containers/storage.conf"}
	for _, path := range files {
		if ok, err := system.read(path); ok || err != nil {
			return own, system, errors.Join(err, u.ownConfig(&own))
		}
	}
	return own, system, u.ownConfig(&own)
}

func (u User) ownConfig(own *config) error {
	path := u.Env("CONTAINERS_STORAGE_CONF")
	switch {
	case path != "":
	case u.Root:
		return nil
	case u.Env("XDG_CONFIG_HOME") != "":
		path = filepath.Join(u.Env("XDG_CONFIG_HOME"), "containers/storage.conf")
	case u.Env("HOME") != "":
		path = filepath.Join(u.Env("HOME"), ".config/containers/storage.conf")
	default:
		return nil
	}
	_, err := own.read(path)
	return err
}

// read reads a file, if it is there for us.
func (c *config) read(path string) (bool, error) {
	b, err := os.ReadFile(path)
	if errors.Is(err, fs.ErrNotExist) || errors.Is(err, fs.ErrPermission) {
		return false, nil
	}
	if err == nil {
		_, err = toml.Decode(string(b), c)
	}
	if err != nil {
		return false, fmt.Errorf("%s: %w", path, err)
	}
	return true, nil
}

// ParsePlace reads what may stand in brackets before an image's name: [DRIVER@]ROOT[+RUNROOT][:OPTIONS].
//
// Source: containers-transports(5), "containers-storage".
func ParsePlace(s string) (Place, error) {
	var p Place
	if driver, rest, ok := strings.Cut(s, "@"); ok {
		p.Driver, s = driver, rest
	}
	s, _, _ = strings.Cut(s, ":")
	p.Root, _, _ = strings.Cut(s, "+")
	if p.Driver != "" && p.Driver != "overlay" && p.Driver != "vfs" {
		return p, fmt.Errorf("storage driver %q: only overlay and vfs can be read", p.Driver)
	}
	if !filepath.IsAbs(p.Root) {
		return p, fmt.Errorf("store %q: want an absolute path", p.Root)
	}
	return p, nil
}
