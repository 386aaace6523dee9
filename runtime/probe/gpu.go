package probe

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"

	"coracle/bind/gpu"
)

// GPUs looks for the host's drivers of the given kinds, under root. A kind of which there is nothing is named in missing.
func GPUs(root, arch string, kinds []gpu.Kind) (found []gpu.Found, missing []string) {
	host := gpuHost(root, arch)
	entries, _ := os.ReadDir(root + "/dev")
	for _, e := range entries {
		host.Devices = append(host.Devices, e.Name())
	}
	for _, k := range kinds {
		if binds := k.Find(host); len(binds) > 0 {
			found = append(found, gpu.Found{Flag: k.Flag, Binds: binds})
		} else {
			missing = append(missing, k.Name)
		}
	}
	return found, missing
}

// gpuHost looks at the host's libraries.
func gpuHost(root, arch string) gpu.Host {
	cache, _ := readFile(root + "/etc/ld.so.cache")
	libraries, _ := gpu.Parse(cache, arch) // nothing found says it all
	return gpu.Host{
		Libraries: libraries,
		Exists:    func(p string) bool { _, err := os.Stat(root + p); return err == nil },
		Real: func(p string) string {
			if real, err := filepath.EvalSymlinks(root + p); err == nil {
				return real
			}
			return p
		},
	}
}

// CDIDirs are where specifications of the Container Device Interface are looked for; the last one wins.
//
// Source: cncf-tags/container-device-interface, SPEC.md, "Lifecycle".
func CDIDirs() []string { return []string{"/etc/cdi", "/var/run/cdi"} }

// maxCDI is how long a specification may be, in bytes.
const maxCDI = 16 << 20

// Devices looks in dirs for what the devices of the given names need, under root. The error is a [*gpu.DeviceError], or
// names the file that it is about.
func Devices(root, arch string, dirs, names []string) (gpu.Found, error) {
	var specs []*gpu.DeviceSpec
	var yaml []string
	for _, dir := range dirs {
		entries, _ := os.ReadDir(root + dir) // most hosts have one of them at most
		for _, e := range entries {
			file := filepath.Join(dir, e.Name())
			switch filepath.Ext(file) {
			case ".yaml", ".yml":
				yaml = append(yaml, file)
			case ".json":
				spec, err := readCDI(root + file)
				if err != nil {
					return gpu.Found{}, fmt.Errorf("%s: %w", file, err)
				}
				specs = append(specs, spec)
			}
		}
	}
	found, err := gpuHost(root, arch).Device(specs, names)
	var missing *gpu.DeviceError
	if errors.As(err, &missing) {
		missing.Yaml = yaml
	}
	return found, err
}

func readCDI(file string) (*gpu.DeviceSpec, error) {
	if st, err := os.Stat(file); err != nil || !st.Mode().IsRegular() || st.Size() > maxCDI {
		return nil, errors.Join(err, gpu.ErrCDI)
	}
	b, err := os.ReadFile(file)
	if err != nil {
		return nil, err
	}
	return gpu.ParseCDI(b)
}
