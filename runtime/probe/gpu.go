package probe

import (
	"os"

	"coracle/bind/gpu"
)

// GPUs looks for the host's drivers of the given kinds, under root. A kind of which there is nothing is named in missing.
func GPUs(root, arch string, kinds []gpu.Kind) (found []gpu.Found, missing []string) {
	cache, _ := readFile(root + "/etc/ld.so.cache")
	libraries, _ := gpu.Parse(cache, arch) // nothing found says it all
	host := gpu.Host{Libraries: libraries, Exists: func(p string) bool { _, err := os.Stat(root + p); return err == nil }}
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
