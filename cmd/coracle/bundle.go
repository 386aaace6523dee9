package main

import (
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strings"

	"coracle/bind"
	"coracle/config"
)

// maxBundle bounds an OCI runtime configuration, in bytes: an environment of the largest size that the kernel takes fits.
const maxBundle = 16 << 20

// errBundle is about a file that is no OCI runtime configuration.
var errBundle = errors.New("not a valid OCI runtime configuration")

// A bundle is what we heed of an OCI runtime configuration: what is to run. How it is contained is our own business.
//
// Source: OCI runtime specification 1.1, "Configuration".
type bundle struct {
	Process struct {
		Args []string `json:"args"`
		Env  []string `json:"env"`
		Cwd  string   `json:"cwd"`
	} `json:"process"`
	Mounts []bundleMount `json:"mounts"`
}

type bundleMount struct {
	Destination string   `json:"destination"`
	Source      string   `json:"source"`
	Options     []string `json:"options"`
}

// Slurm asks for mounts below slurmDir, in a /tmp that it believes to be the container's own. Nothing is made in the host's, so
// they are shown below shownDir.
const (
	slurmDir = "/tmp/slurm/"
	shownDir = "/.slurm/"
)

// parseBundle reads a configuration that lies in the directory dir, an absolute path. The error wraps [errBundle].
func parseBundle(text []byte, dir string) (*bundle, error) {
	b := &bundle{}
	if err := json.Unmarshal(text, b); err != nil {
		return nil, fmt.Errorf("%w: %w", errBundle, err)
	}
	zero := func(s string) bool { return strings.ContainsRune(s, 0) }
	switch {
	case len(b.Process.Args) == 0 || b.Process.Args[0] == "":
		return nil, fmt.Errorf("%w: process.args has no command", errBundle)
	case slices.ContainsFunc(b.Process.Args, zero), slices.ContainsFunc(b.Process.Env, zero):
		return nil, fmt.Errorf("%w: process has a string with a zero byte", errBundle)
	case b.Process.Cwd != "" && !filepath.IsAbs(b.Process.Cwd):
		return nil, fmt.Errorf("%w: process.cwd %q is no absolute path", errBundle, b.Process.Cwd)
	}
	for _, kv := range b.Process.Env {
		if strings.IndexByte(kv, '=') < 1 {
			return nil, fmt.Errorf("%w: %.90q in process.env is no variable", errBundle, kv)
		}
	}
	for i := range b.Mounts {
		if m := &b.Mounts[i]; m.Source != "" && !filepath.IsAbs(m.Source) {
			m.Source = filepath.Join(dir, m.Source)
		}
	}
	if script, ok := strings.CutPrefix(b.Process.Args[0], slurmDir); ok {
		b.Process.Args[0] = shownDir + script
	}
	return b, nil
}

// binds returns the mounts that show something of the host, but for /proc, /sys and /dev, which every container has, and the standard
// streams of a batch job, which are inherited.
func (b *bundle) binds() ([]bind.Spec, error) {
	var list []bind.Spec
	for _, m := range b.Mounts {
		if !slices.Contains(m.Options, "bind") && !slices.Contains(m.Options, "rbind") {
			continue
		}
		target := filepath.Clean(m.Destination)
		if name, ok := strings.CutPrefix(target, slurmDir); ok {
			if strings.HasPrefix(name, "std") {
				continue
			}
			target = shownDir + name
		}
		if slices.ContainsFunc([]string{"/proc", "/sys", "/dev"}, func(dir string) bool { return target == dir || strings.HasPrefix(target, dir+"/") }) {
			continue
		}
		if m.Source == "" || !filepath.IsAbs(target) || target == "/" {
			return nil, fmt.Errorf("%w: a mount of %q on %q", errBundle, m.Source, m.Destination)
		}
		list = append(list, bind.Spec{Source: m.Source, Target: target, ReadOnly: slices.Contains(m.Options, "ro"), Why: "--oci-config"})
	}
	return list, nil
}

// startDirs are the host's directories where the user may have been, the likeliest first: Slurm runs the command in a directory of
// its own.
func (b *bundle) startDirs() (dirs []string) {
	for _, key := range []string{"PWD", "SLURM_SUBMIT_DIR", "HOME"} {
		if dir := getenv(b.Process.Env, key); filepath.IsAbs(dir) {
			dirs = append(dirs, dir)
		}
	}
	return dirs
}

// readBundle reads the configuration at path.
func readBundle(path string) (*bundle, error) {
	f, err := os.Open(path)
	if err != nil {
		return nil, err
	}
	defer f.Close()
	text, err := io.ReadAll(io.LimitReader(f, maxBundle+1))
	if err == nil && len(text) > maxBundle {
		err = fmt.Errorf("%w: more than %d bytes", errBundle, maxBundle)
	}
	if err != nil {
		return nil, err
	}
	dir, err := filepath.Abs(filepath.Dir(path))
	if err != nil {
		return nil, err
	}
	return parseBundle(text, dir)
}

// ociFlag is the row of exec that takes the command and its environment from a file, for batch systems that run OCI bundles.
func (a *actionFlags) ociFlag() flag {
	return flag{
		name: "oci-config", arg: "FILE", str: &a.ociConfig, keys: []string{}, hidden: true,
		help: "the command, its variables, directory and binds are those of an OCI bundle's config.json",
		early: func(c *cli) error {
			b, err := readBundle(a.ociConfig)
			if err != nil {
				var pe *fs.PathError
				if errors.As(err, &pe) {
					err = pe.Err
				}
				return fmt.Errorf("--oci-config %q: %w", a.ociConfig, err)
			}
			a.bundle, c.env = b, b.Process.Env
			if a.cwd == "" && a.pwd == "" {
				a.cwd = b.Process.Cwd
			}
			return nil
		},
	}
}

// goThere changes to the directory where the user may have been. It returns the image's name as it is seen from there.
func (b *bundle) goThere(image string, env []string) string {
	if exists(image) {
		image = absolute(image, workingDirectory(env))
	}
	for _, dir := range b.startDirs() {
		if os.Chdir(dir) == nil {
			break
		}
	}
	return image
}

// permitted says no to what the site forbids, when a bundle asks for it. The script of a batch job is Slurm's, not the user's.
func (b *bundle) permitted(conf *config.Config) error {
	binds, err := b.binds()
	if err != nil {
		return err
	}
	asked := map[string]bool{
		"bind": slices.ContainsFunc(binds, func(s bind.Spec) bool { return !strings.HasPrefix(s.Target, shownDir) }),
		"cwd":  b.Process.Cwd != "",
	}
	for _, name := range []string{"bind", "cwd"} {
		if v, no := conf.Forbids(name); no && asked[name] {
			return fmt.Errorf("--oci-config: what --%s does is not allowed here (%s)", name, v.Origin)
		}
	}
	return nil
}
