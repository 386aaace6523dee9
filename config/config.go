// Package config reads what a site and a user have decided beforehand.
//
// Files are read only when they are there. It makes no system calls but through the reader that it is given.
package config

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path"
	"slices"
	"strings"

	"github.com/BurntSushi/toml"
)

// The files of a site. Apptainer's counts where ours is not there.
const (
	SiteFile        = "/etc/coracle/coracle.toml"
	apptainerFile   = "/etc/apptainer/apptainer.conf"
	singularityFile = "/etc/singularity/singularity.conf"
)

// A Value is one decision and the file that it comes from.
type Value struct{ Text, Origin string }

// A Config is what the files say together. Lists add up, the site's first; of single values the user's counts.
type Config struct {
	Bind        []Value // in the form of --bind; what is not on the host is left out
	NoMount     []Value // in the form of --no-mount
	Forbid      []Value // names of flags that nobody may use
	CacheDir    Value
	ScratchDir  Value   // for --scratch-overlay and temporary files
	SessionSize Value   // of --writable-tmpfs
	GPU         Value   // "nv", "rocm", both with a comma; "none" is another ""
	ImagePaths  []Value // directories that images may be in; none: anywhere
	ImageOwners []Value // users that images may belong to; none: anybody
}

// A file is the shape of a TOML file.
type file struct {
	Bind        []string `toml:"bind"`
	NoMount     []string `toml:"no_mount"`
	Forbid      []string `toml:"forbid"`
	CacheDir    string   `toml:"cache_dir"`
	ScratchDir  string   `toml:"scratch_dir"`
	SessionSize string   `toml:"session_size"`
	GPU         string   `toml:"gpu"`
	ImagePaths  []string `toml:"image_paths"`
	ImageOwners []string `toml:"image_owners"`
}

// Keys lists the keys of a file, in the order of documentation.
func Keys() []string {
	return []string{"bind", "no_mount", "forbid", "cache_dir", "scratch_dir", "session_size", "gpu", "image_paths", "image_owners"}
}

// A FileError is a file that cannot be understood.
type FileError struct {
	Path string
	Err  error
}

func (e *FileError) Error() string { return e.Path + ": " + e.Err.Error() }

// Unwrap returns what is wrong.
func (e *FileError) Unwrap() error { return e.Err }

// UserFile is where a user's file is; "" nowhere. env is os.Getenv.
func UserFile(env func(string) string) string {
	if dir := env("XDG_CONFIG_HOME"); path.IsAbs(dir) {
		return path.Join(dir, "coracle/coracle.toml")
	}
	if home := env("HOME"); path.IsAbs(home) {
		return path.Join(home, ".config/coracle/coracle.toml")
	}
	return ""
}

// Load reads the site's file and the user's at the path user, "" none. env is os.Getenv, for the variables in paths; read is
// os.ReadFile. The error is a [*FileError].
func Load(user string, env func(string) string, read func(string) ([]byte, error)) (Config, error) {
	l := loader{env: env, read: read}
	if found := l.toml(SiteFile, true); !found {
		for _, name := range []string{apptainerFile, singularityFile} {
			if l.apptainer(name) {
				break
			}
		}
	}
	if user != "" {
		l.toml(user, false)
	}
	return l.conf, l.err
}

// A loader adds files to a configuration and keeps the first error.
type loader struct {
	env  func(string) string
	read func(string) ([]byte, error)
	conf Config
	err  error
}

// text reads a file and tells whether it is there. A user's file that the user may not even look at is none: HOME may be
// anybody's.
func (l *loader) text(name string, site bool) (string, bool) {
	b, err := l.read(name)
	var pe *fs.PathError
	switch {
	case errors.Is(err, fs.ErrNotExist), errors.Is(err, errNotDirectory), !site && errors.Is(err, fs.ErrPermission):
		return "", false
	case errors.As(err, &pe):
		err = pe.Err
	}
	if err != nil {
		l.fail(name, err)
	}
	return string(b), true
}

func (l *loader) fail(name string, err error) {
	if l.err == nil {
		l.err = &FileError{name, err}
	}
}

func (l *loader) toml(name string, site bool) bool {
	text, found := l.text(name, site)
	if !found || l.err != nil {
		return found
	}
	var f file
	meta, err := toml.Decode(text, &f)
	if err != nil {
		var where toml.ParseError
		if errors.As(err, &where) {
			err = fmt.Errorf("line %d: %s", where.Position.Line, strings.TrimPrefix(where.Message, "toml: "))
		}
		l.fail(name, err)
		return true
	}
	if unknown := meta.Undecoded(); len(unknown) > 0 {
		l.fail(name, fmt.Errorf("unknown key %q; the keys are %s", unknown[0], strings.Join(Keys(), " ")))
		return true
	}
	if !site && len(f.ImagePaths)+len(f.ImageOwners) > 0 {
		l.fail(name, errors.New("image_paths and image_owners are for the site's file"))
		return true
	}
	if !site {
		l.checkUser(&f, name)
	}
	l.add(&f, name)
	return true
}

// checkUser makes sure that a user's file does not say what the site forbids to say by a flag.
func (l *loader) checkUser(f *file, name string) {
	for _, key := range []struct {
		name  string
		set   bool
		flags []string
	}{
		{"bind", len(f.Bind) > 0, []string{"bind", "mount"}},
		{"no_mount", len(f.NoMount) > 0, []string{"no-mount"}},
		{"session_size", f.SessionSize != "", []string{"writable-tmpfs"}},
		{"scratch_dir", f.ScratchDir != "", []string{"scratch-overlay"}},
		{"gpu", f.GPU != "" && f.GPU != "none", strings.Split(f.GPU, ",")},
	} {
		for _, flag := range key.flags {
			if v, no := l.conf.Forbids(flag); key.set && no {
				l.fail(name, fmt.Errorf("%s: --%s is not allowed here (%s)", key.name, flag, v.Origin))
			}
		}
	}
}

// Forbids tells whether a flag, by its long name without dashes, is forbidden, and by what.
func (c *Config) Forbids(flag string) (Value, bool) {
	for _, v := range c.Forbid {
		if name := strings.TrimLeft(v.Text, "-"); name == flag || name == SameFlag(flag) {
			return v, true
		}
	}
	return Value{}, false
}

// SameFlag is the flag that means the same as flag, by the name that rules for both have; "" none.
func SameFlag(flag string) string {
	return map[string]string{"mount": "bind", "nvccli": "nv", "pwd": "cwd", "network": "net"}[flag]
}

// add puts a file on top of those before.
func (l *loader) add(f *file, name string) {
	c := &l.conf
	for _, list := range []struct {
		to   *[]Value
		from []string
		rule bool // one that cannot be kept forbids all the more
	}{
		{&c.Bind, f.Bind, false}, {&c.NoMount, f.NoMount, false},
		{&c.Forbid, f.Forbid, true}, {&c.ImagePaths, f.ImagePaths, true}, {&c.ImageOwners, f.ImageOwners, true},
	} {
		for _, s := range list.from {
			if full, ok := l.expand(s); ok {
				*list.to = append(*list.to, Value{full, name})
			} else if list.rule {
				*list.to = append(*list.to, Value{s, name})
			}
		}
	}
	for _, one := range []struct {
		to   *Value
		from string
	}{{&c.CacheDir, f.CacheDir}, {&c.ScratchDir, f.ScratchDir}, {&c.SessionSize, f.SessionSize}, {&c.GPU, f.GPU}} {
		if s, ok := l.expand(one.from); ok && s != "" {
			*one.to = Value{s, name}
		}
	}
	for _, dir := range []Value{c.CacheDir, c.ScratchDir} {
		if dir.Text != "" && !path.IsAbs(dir.Text) {
			l.fail(name, fmt.Errorf("%q is no absolute path", dir.Text))
		}
	}
	for kind := range strings.SplitSeq(c.GPU.Text, ",") {
		if !slices.Contains([]string{"", "none", "nv", "rocm"}, kind) {
			l.fail(name, fmt.Errorf("gpu = %q: want nv, rocm or none", kind))
		}
	}
}

// expand puts variables of the environment in their places. A text with one that is not set does not count: without
// a user name there is no directory of that user.
func (l *loader) expand(s string) (string, bool) {
	ok := true
	s = os.Expand(s, func(key string) string {
		v := l.env(key)
		ok = ok && v != ""
		return v
	})
	return s, ok
}
