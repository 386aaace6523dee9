package gpu

import (
	"path"
	"slices"
	"strings"
)

// A Kind is a maker of graphics processors.
type Kind struct {
	Flag      string   // that asks for it
	Name      string   // in Apptainer's warning
	libraries []string // of the driver: names up to ".so"; a * at the end stands for anything
	shared    []string // libraries that go with them and are on other hosts, too
	programs  []string
	devices   []string // in /dev; a * at the end stands for anything
	sockets   []string // on the host, by their whole paths
}

// NVIDIA is what --nv asks for.
//
// Source: the file list of NVIDIA's driver for Linux (README, "Installed components"), and the dispatch libraries of libglvnd
// that its graphics libraries belong to.
func NVIDIA() Kind {
	return Kind{
		Flag: "--nv", Name: "nv",
		libraries: []string{
			"libcuda", "libcudadebugger", "libnvidia-*", "libnvcuvid", "libnvoptix", "libvdpau_nvidia",
			"libEGL_nvidia", "libGLESv1_CM_nvidia", "libGLESv2_nvidia", "libGLX_nvidia", "libnvrm*",
		},
		shared: []string{
			"libEGL", "libGL", "libGLESv1_CM", "libGLESv2", "libGLX", "libGLdispatch", "libOpenGL", "libOpenCL",
		},
		programs: []string{"nvidia-smi", "nvidia-debugdump", "nvidia-persistenced", "nvidia-cuda-mps-control", "nvidia-cuda-mps-server"},
		devices:  []string{"nvidia*", "dri"},
		sockets:  []string{"/run/nvidia-persistenced/socket"},
	}
}

// ROCm is what --rocm asks for.
//
// Source: AMD's ROCm documentation, "Runtime and libraries".
func ROCm() Kind {
	return Kind{
		Flag: "--rocm", Name: "rocm",
		libraries: []string{
			"libamd_comgr", "libamd_smi", "libamdhip64", "libamdocl64", "libhiprtc*", "libhsa-*", "libhsakmt",
			"librocm*", "librocprofiler*", "libroctracer64", "libroctx64", "librocblas", "libhipblas*", "libhipfft", "libhipsolver", "libhipsparse*",
			"libMIOpen", "librccl", "librocfft*", "librocrand", "librocsolver", "librocsparse",
		},
		shared:   []string{"libdrm_amdgpu", "libOpenCL"},
		programs: []string{"rocm-smi", "rocminfo", "amd-smi"},
		devices:  []string{"dri", "kfd"},
	}
}

// A Host is a look at the host.
type Host struct {
	Libraries []Library
	Exists    func(path string) bool
	Devices   []string // entries of /dev
	// Real is a path without symlinks, or the path itself where it leads nowhere; for Device.
	Real func(path string) string
}

// A Bind is a file of the host's driver and its place in a container.
type Bind struct {
	Source, Target string
	Device         bool
	Write          bool // not read-only; devices never are
}

// A Found is what a host has of a kind.
type Found struct {
	Flag  string
	Binds []Bind
	Env   []string // "K=V"
	Asked bool     // each file has to be there: somebody asked for this very device
}

// libDir is where containers look for libraries of the host (LD_LIBRARY_PATH).
const libDir = "/.singularity.d/libs"

// Find lists what there is of a kind on the host: libraries of the driver, its programs, its devices.
func (k Kind) Find(h Host) []Bind {
	var binds []Bind
	seen := map[string]bool{}
	add := func(source, target string, device bool) {
		if !seen[target] && h.Exists(source) {
			seen[target] = true
			binds = append(binds, Bind{Source: source, Target: target, Device: device})
		}
	}
	for _, names := range [][]string{k.libraries, k.shared} {
		for _, l := range h.Libraries {
			if base, _, ok := strings.Cut(path.Base(l.Name), ".so"); ok && path.IsAbs(l.Path) && matches(names, base) {
				add(l.Path, path.Join(libDir, path.Base(l.Name)), false)
			}
		}
		if len(binds) == 0 { // the rest is of no use without a driver
			return nil
		}
	}
	for _, p := range k.programs {
		for _, dir := range []string{"/usr/bin", "/usr/local/bin", "/opt/rocm/bin", "/usr/sbin", "/run/current-system/sw/bin"} {
			add(path.Join(dir, p), path.Join("/usr/bin", p), false)
		}
	}
	for _, s := range k.sockets {
		add(s, s, true)
	}
	devices := slices.Sorted(slices.Values(h.Devices))
	for _, d := range devices {
		if matches(k.devices, d) {
			add("/dev/"+d, "/dev/"+d, true)
		}
	}
	return binds
}

func matches(list []string, name string) bool {
	return slices.ContainsFunc(list, func(p string) bool {
		prefix, wild := strings.CutSuffix(p, "*")
		return p == name || wild && strings.HasPrefix(name, prefix)
	})
}
