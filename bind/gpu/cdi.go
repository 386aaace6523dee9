package gpu

import (
	"encoding/json"
	"errors"
	"fmt"
	"path"
	"slices"
	"strings"
)

// ErrCDI says that a file is no specification of the Container Device Interface that we understand.
var ErrCDI = errors.New("not a CDI specification")

// A DeviceSpec is a file of the Container Device Interface: devices of one kind, and what it takes to use them.
//
// Source: cncf-tags/container-device-interface, SPEC.md.
type DeviceSpec struct {
	Version string `json:"cdiVersion"`
	Kind    string `json:"kind"` // vendor.com/class
	Edits   edits  `json:"containerEdits"`
	Devices []struct {
		Name  string `json:"name"`
		Edits edits  `json:"containerEdits"`
	} `json:"devices"`
}

// edits are the changes to a container. Hooks are not run: what they do to NVIDIA's libraries, links and the linker's
// cache, is done by [Host.Device] with a directory of their own.
type edits struct {
	Env   []string `json:"env"`
	Nodes []struct {
		Path     string `json:"path"`
		HostPath string `json:"hostPath"`
	} `json:"deviceNodes"`
	Mounts []struct {
		HostPath      string   `json:"hostPath"`
		ContainerPath string   `json:"containerPath"`
		Type          string   `json:"type"`
		Options       []string `json:"options"`
	} `json:"mounts"`
}

// ParseCDI reads a specification in JSON. The error wraps [ErrCDI].
func ParseCDI(b []byte) (*DeviceSpec, error) {
	var s DeviceSpec
	if err := json.Unmarshal(b, &s); err != nil {
		return nil, fmt.Errorf("%w: %w", ErrCDI, err)
	}
	if s.Version == "" || !strings.Contains(s.Kind, "/") {
		return nil, fmt.Errorf("%w: cdiVersion or kind is missing", ErrCDI)
	}
	return &s, s.check()
}

// check makes sure that every path is absolute and every variable has a name.
func (s *DeviceSpec) check() error {
	all := []edits{s.Edits}
	for _, d := range s.Devices {
		all = append(all, d.Edits)
	}
	for _, e := range all {
		for _, kv := range e.Env {
			if name, _, ok := strings.Cut(kv, "="); !ok || name == "" {
				return fmt.Errorf("%w: env %q has no name", ErrCDI, kv)
			}
		}
		for _, n := range e.Nodes {
			if !path.IsAbs(n.Path) || n.HostPath != "" && !path.IsAbs(n.HostPath) {
				return fmt.Errorf("%w: device node %q is no absolute path", ErrCDI, n.Path)
			}
		}
		for _, m := range e.Mounts {
			if !path.IsAbs(m.HostPath) || !path.IsAbs(m.ContainerPath) {
				return fmt.Errorf("%w: mount %q on %q: not absolute paths", ErrCDI, m.HostPath, m.ContainerPath)
			}
			if m.Type != "" && m.Type != "bind" && m.Type != "none" {
				return fmt.Errorf("%w: mount of type %q on %q", ErrCDI, m.Type, m.ContainerPath)
			}
		}
	}
	return nil
}

// Names lists the devices by their whole names, vendor.com/class=name.
func (s *DeviceSpec) Names() []string {
	var list []string
	for _, d := range s.Devices {
		list = append(list, s.Kind+"="+d.Name)
	}
	return list
}

// A DeviceError is a device that no specification has.
type DeviceError struct {
	Name  string
	Known []string // the whole names of those there are
	Yaml  []string // specifications that were not read, because they are YAML
}

func (e *DeviceError) Error() string {
	return fmt.Sprintf("device %q: no CDI specification has it", e.Name)
}

// Device returns what the devices of the given whole names need in a container. Of several specifications with one
// device the last counts; what a specification says for all its devices comes once. The error is a [*DeviceError].
func (h Host) Device(specs []*DeviceSpec, names []string) (Found, error) {
	found := Found{Flag: "--device", Asked: true}
	begun := map[*DeviceSpec]bool{}
	seen := map[string]bool{}
	for _, name := range names {
		spec, at := find(specs, name)
		if spec == nil {
			e := &DeviceError{Name: name}
			for _, s := range specs {
				e.Known = append(e.Known, s.Names()...)
			}
			return Found{}, e
		}
		if seen[name] {
			continue
		}
		seen[name] = true
		if !begun[spec] {
			begun[spec] = true
			h.edit(&found, spec.Edits)
		}
		h.edit(&found, spec.Devices[at].Edits)
	}
	return found, nil
}

func find(specs []*DeviceSpec, name string) (spec *DeviceSpec, at int) {
	for _, s := range slices.Backward(specs) {
		if i := slices.Index(s.Names(), name); i >= 0 {
			return s, i
		}
	}
	return nil, 0
}

// edit adds one set of changes. A library gets the names, too, that programs ask the linker for.
func (h Host) edit(f *Found, e edits) {
	add := func(b Bind) {
		if !slices.ContainsFunc(f.Binds, func(o Bind) bool { return o.Target == b.Target }) {
			f.Binds = append(f.Binds, b)
		}
	}
	f.Env = append(f.Env, e.Env...)
	for _, n := range e.Nodes {
		source := n.HostPath
		if source == "" {
			source = n.Path
		}
		add(Bind{Source: path.Clean(source), Target: path.Clean(n.Path), Device: true})
	}
	for _, m := range e.Mounts {
		add(Bind{Source: path.Clean(m.HostPath), Target: path.Clean(m.ContainerPath), Write: !slices.Contains(m.Options, "ro")})
		if !strings.Contains(path.Base(m.HostPath), ".so") {
			continue
		}
		for _, l := range h.Libraries {
			if path.IsAbs(l.Path) && h.Real(l.Path) == h.Real(m.HostPath) {
				add(Bind{Source: path.Clean(m.HostPath), Target: path.Join(libDir, path.Base(l.Name))})
			}
		}
	}
}
