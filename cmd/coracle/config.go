package main

import (
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	osuser "os/user"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"text/tabwriter"

	"coracle/bind"
	"coracle/config"
	"coracle/image"
	"coracle/runtime"

	"golang.org/x/sys/unix"
)

// maxConfig bounds a configuration file, in bytes.
const maxConfig = 1 << 20

// readConfig is os.ReadFile for configuration files, without the Go runtime's poller.
func readConfig(path string) ([]byte, error) {
	fd, err := unix.Open(path, unix.O_RDONLY|unix.O_CLOEXEC|unix.O_NONBLOCK, 0)
	if err != nil {
		return nil, &os.PathError{Op: "open", Path: path, Err: err}
	}
	f := os.NewFile(uintptr(fd), path)
	defer f.Close()
	b, err := io.ReadAll(io.LimitReader(f, maxConfig+1))
	if err == nil && len(b) > maxConfig {
		err = errors.New("too large for a configuration")
	}
	return b, err
}

// configure reads the configuration, and says no to what it forbids.
func (c *cli) configure(flags []flag) error {
	user := c.global.config
	get := func(key string) string { return getenv(c.env, key) }
	if user == "" {
		user = config.UserFile(get)
	} else if err := unix.Access(user, unix.R_OK); err != nil {
		return fmt.Errorf("--config %s: %w", user, err)
	}
	var err error
	if c.conf, err = config.Load(user, get, readConfig); err != nil {
		return err
	}
	if err := knownFlags(c.conf.Forbid); err != nil {
		return err
	}
	for _, f := range flags {
		if v, no := c.conf.Forbids(f.name); no && f.set {
			return fmt.Errorf("--%s is not allowed here (%s)", f.name, v.Origin)
		}
		if f.set {
			c.set = append(c.set, f.name)
		}
	}
	if dir := c.conf.CacheDir.Text; dir != "" && cacheVariable(c.env) == "" {
		c.env = append(c.env[:len(c.env):len(c.env)], "CORACLE_CACHEDIR="+dir)
	}
	return nil
}

// knownFlags makes sure that what is forbidden is there: a name with a mistake in it would forbid nothing.
func knownFlags(forbid []config.Value) error {
	for _, v := range forbid {
		name := strings.TrimLeft(v.Text, "-")
		has := func(f flag) bool { return f.name == name }
		var a actionFlags
		if slices.ContainsFunc(a.table(true), has) {
			continue
		}
		if !slices.ContainsFunc(commands(), func(c command) bool {
			t, _ := c.build()
			return slices.ContainsFunc(t, has)
		}) {
			return &config.FileError{Path: v.Origin, Err: fmt.Errorf("forbid: there is no flag --%s", name)}
		}
	}
	return nil
}

// cacheVariable names the variable of an environment that says where the cache is; "" none.
func cacheVariable(env []string) string {
	for _, prefix := range envPrefixes {
		if getenv(env, prefix+"CACHEDIR") != "" {
			return prefix + "CACHEDIR"
		}
	}
	return ""
}

// defaults fills in what the configuration says where neither flag nor environment does.
func (c *cli) defaults(req *runtime.Request) error {
	for _, v := range c.conf.Bind {
		specs, err := bind.ParseBind(v.Text, "/", exists)
		if err != nil {
			return &config.FileError{Path: v.Origin, Err: err}
		}
		for _, s := range specs {
			s.Why = v.Origin
			req.SiteBinds = append(req.SiteBinds, s)
		}
	}
	for _, v := range c.conf.NoMount {
		names, err := bind.ParseNoMount(v.Text)
		if err != nil {
			return &config.FileError{Path: v.Origin, Err: err}
		}
		req.NoMount = append(req.NoMount, names...)
	}
	if size := c.conf.SessionSize; size.Text != "" && req.WritableTmpfs && req.TmpfsSize == 0 && req.TmpfsPercent == 0 {
		n, err := tmpfsSize(size.Text)
		if err != nil {
			return &config.FileError{Path: size.Origin, Err: fmt.Errorf("session_size = %q: %w", size.Text, err)}
		}
		req.TmpfsSize = n
	}
	for kind := range strings.SplitSeq(c.conf.GPU.Text, ",") {
		if kind == "nv" && !slices.Contains(c.set, "nv") {
			req.NV, req.GPUIfAny = true, true
		}
		if kind == "rocm" && !slices.Contains(c.set, "rocm") {
			req.ROCm, req.GPUIfAny = true, true
		}
	}
	return nil
}

// An allowError is an image that the site's configuration does not allow.
type allowError struct {
	path, why string
	rule      []config.Value
}

func (e *allowError) Error() string {
	return fmt.Sprintf("image %q: %s (%s)", e.path, e.why, e.rule[0].Origin)
}

func (e *allowError) hint() string {
	var list []string
	for _, v := range e.rule {
		list = append(list, v.Text)
	}
	return "allowed: " + strings.Join(list, ", ")
}

// allowed checks an image against the site's lists.
func (c *cli) allowed(img *image.Image) error {
	if rule := c.conf.ImagePaths; len(rule) > 0 && (img.Descriptor > 0 || !slices.ContainsFunc(rule, func(v config.Value) bool {
		dir, err := filepath.EvalSymlinks(v.Text)
		return err == nil && bind.Under(img.Real, dir)
	})) {
		return &allowError{img.Real, "images may not lie there", rule}
	}
	rule := c.conf.ImageOwners
	if len(rule) == 0 {
		return nil
	}
	var st unix.Stat_t
	err := unix.Stat(img.Real, &st)
	if img.Descriptor > 0 {
		err = unix.Fstat(img.Descriptor, &st)
	}
	if err == nil && slices.ContainsFunc(rule, func(v config.Value) bool { return ownerIs(v.Text, int(st.Uid)) }) {
		return nil
	}
	return &allowError{img.Real, "images of its owner may not be used", rule}
}

// ownerIs tells whether a user name, or a number, means uid.
func ownerIs(name string, uid int) bool {
	if n, err := strconv.Atoi(name); err == nil {
		return n == uid
	}
	u, err := osuser.Lookup(name)
	return err == nil && u.Uid == strconv.Itoa(uid)
}

func configCommand() command {
	return command{
		name: "config", args: "show", short: "show what is configured, and where",
		about: "Read are /etc/coracle/coracle.toml (or, without it, Apptainer's apptainer.conf), the user's\n" +
			"~/.config/coracle/coracle.toml, then the environment; flags win over all of them.",
		examples: []string{`config show`, `config show --json`},
		min:      1, max: 1, configured: true,
		build: func() ([]flag, action) {
			var asJSON bool
			return []flag{{name: "json", short: 'j', on: &asJSON, keys: []string{}, group: "Output", help: "as JSON"}}, func(c *cli, args []string) error {
				if args[0] != "show" {
					return usageErrorf("config: %q is not show", args[0])
				}
				return c.showConfig(asJSON)
			}
		},
	}
}

// A shown is a row of config show.
type shown struct {
	Key    string `json:"key"`
	Value  string `json:"value"`
	Origin string `json:"origin"`
}

func (c *cli) showConfig(asJSON bool) error {
	rows := c.configRows()
	if asJSON {
		enc := json.NewEncoder(c.out)
		enc.SetIndent("", "  ")
		enc.SetEscapeHTML(false)
		return enc.Encode(rows)
	}
	t := tabwriter.NewWriter(c.out, 0, 0, 2, ' ', 0)
	for _, r := range rows {
		fmt.Fprintf(t, "%s\t%s\t%s\n", r.Key, oneLine(r.Value), r.Origin)
	}
	return t.Flush()
}

// configRows lists every key with its values; a key of the environment follows the files', or takes their place.
func (c *cli) configRows() []shown {
	var rows []shown
	conf := &c.conf
	values := map[string][]config.Value{
		"bind": conf.Bind, "no_mount": conf.NoMount, "forbid": conf.Forbid, "image_paths": conf.ImagePaths, "image_owners": conf.ImageOwners,
		"cache_dir": {conf.CacheDir}, "scratch_dir": {conf.ScratchDir}, "session_size": {conf.SessionSize}, "gpu": {conf.GPU},
	}
	environment := map[string][]string{"bind": {"BIND", "BINDPATH"}, "no_mount": {"NO_MOUNT"}, "gpu": {"NV", "ROCM"}, "session_size": {"WRITABLE_TMPFS"}, "scratch_dir": {"SCRATCH_OVERLAY"}, "cache_dir": {"CACHEDIR"}}
	vars := configKeys(c.env)
	for _, key := range config.Keys() {
		before := len(rows)
		for _, v := range values[key] {
			if v.Text != "" && !(key == "cache_dir" && cacheVariable(c.env) != "CORACLE_CACHEDIR") && !(key == "scratch_dir" && getenv(c.env, "TMPDIR") != "") {
				rows = append(rows, shown{key, v.Text, v.Origin})
			}
		}
		for _, suffix := range environment[key] {
			for _, prefix := range envPrefixes {
				v := vars[prefix+suffix]
				if v == "" || key == "cache_dir" && v == conf.CacheDir.Text {
					continue
				}
				rows = append(rows, shown{key, v, "environment " + prefix + suffix})
				break
			}
		}
		if len(rows) == before {
			rows = append(rows, c.unconfigured(key))
		}
	}
	return rows
}

// unconfigured is the row of a key that neither a file nor a variable of its own says anything about.
func (c *cli) unconfigured(key string) shown {
	get := func(name string) string { return getenv(c.env, name) }
	switch {
	case key == "cache_dir" && get("XDG_CACHE_HOME") != "":
		return shown{key, filepath.Join(get("XDG_CACHE_HOME"), "coracle"), "environment XDG_CACHE_HOME"}
	case key == "cache_dir" && get("HOME") != "":
		return shown{key, filepath.Join(get("HOME"), ".cache/coracle"), "default"}
	case key == "scratch_dir" && get("TMPDIR") != "":
		return shown{key, get("TMPDIR"), "environment TMPDIR"}
	case key == "scratch_dir":
		return shown{key, "/tmp", "default"}
	}
	return shown{key, "", "default"}
}
