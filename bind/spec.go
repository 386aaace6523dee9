package bind

import (
	"encoding/csv"
	"errors"
	"io"
	"path"
	"strconv"
	"strings"
)

// A Spec is one bind that a user asks for.
type Spec struct {
	Source   string // absolute host path, or the image file that ImageSrc is in
	Target   string // absolute path in the container
	ReadOnly bool
	ImageSrc string // option image-src: the path inside the image file Source; "" an ordinary bind
	ID       string // option id: the SIF partition, a decimal number; "" the primary one
	Why      string // "--bind", "--mount", or the environment key it comes from
}

// ParseMount reads the value of --mount: one mount a line, each a CSV record (RFC 4180) of
//
//	type=bind,source=SRC,destination=DST[,ro][,image-src=PATH][,id=N]
//
// with src, dst and target as other names, readonly[=true|false] as another ro, and type=bind
// as the default. Fields that hold commas or quotes are quoted as a whole: "source=/a,b".
// A relative source starts at cwd, an absolute path. The error wraps [ErrSpec].
func ParseMount(s, cwd string) ([]Spec, error) {
	var specs []Spec
	r := csv.NewReader(strings.NewReader(s))
	r.FieldsPerRecord, r.TrimLeadingSpace = -1, true
	for {
		fields, err := r.Read()
		if errors.Is(err, io.EOF) {
			return specs, nil
		}
		if err != nil {
			var pe *csv.ParseError
			if errors.As(err, &pe) {
				err = pe.Err
			}
			return nil, &SpecError{"mount", s, err.Error()}
		}
		spec, msg := mountFields(fields, cwd)
		if msg != "" {
			return nil, &SpecError{"mount", s, msg}
		}
		specs = append(specs, spec)
	}
}

// mountFields reads one record of --mount; msg says what is wrong.
func mountFields(fields []string, cwd string) (spec Spec, msg string) {
	spec.Why = "--mount"
	for _, f := range fields {
		key, val, has := strings.Cut(f, "=")
		switch key {
		case "":
			if has {
				return spec, "empty key before \"=\""
			}
		case "type":
			if val != "bind" {
				return spec, "type " + strconv.Quote(val) + " is not supported, only bind"
			}
		case "source", "src":
			if val == "" {
				return spec, "empty source"
			}
			spec.Source = absolute(val, cwd)
		case "destination", "dst", "target":
			if spec.Target, msg = target(val); msg != "" {
				return spec, msg
			}
		case "rw":
			spec.ReadOnly = false
		case "ro", "readonly":
			spec.ReadOnly = true
			if has {
				on, err := strconv.ParseBool(val)
				if err != nil {
					return spec, key + "=" + val + " is neither true nor false"
				}
				spec.ReadOnly = on
			}
		default:
			if known, msg := spec.imageOption(key, val, has); msg != "" {
				return spec, msg
			} else if !known {
				return spec, unknown("mount key", key, "type", "source", "src", "destination", "dst", "target", "ro",
					"rw", "readonly", "image-src", "id")
			}
		}
	}
	switch {
	case spec.Source == "":
		return spec, "no source"
	case spec.Target == "":
		return spec, "no destination"
	}
	return spec.done()
}

// imageOption sets image-src or id.
func (s *Spec) imageOption(key, val string, has bool) (known bool, msg string) {
	switch key {
	case "image-src":
		if !has {
			return true, "image-src needs a path: image-src=/path"
		}
		s.ImageSrc = path.Clean("/" + val)
	case "id":
		if n, err := strconv.ParseUint(val, 10, 32); err != nil || n == 0 {
			return true, "id " + strconv.Quote(val) + " is not the number of a partition"
		}
		s.ID = val
	default:
		return false, ""
	}
	return true, ""
}

// done completes a spec: a partition without a path is taken whole.
func (s Spec) done() (Spec, string) {
	if s.ID != "" && s.ImageSrc == "" {
		s.ImageSrc = "/"
	}
	for _, p := range [...]string{s.Source, s.Target, s.ImageSrc} {
		if strings.IndexByte(p, 0) >= 0 {
			return s, "a path holds a NUL byte"
		}
	}
	return s, ""
}

// target cleans a destination.
func target(p string) (clean, msg string) {
	switch {
	case p == "":
		return "", "empty destination"
	case !path.IsAbs(p):
		return "", "destination " + strconv.Quote(p) + " is not an absolute path"
	}
	return path.Clean(p), ""
}

// absolute cleans a source.
func absolute(p, cwd string) string {
	if path.IsAbs(p) {
		return path.Clean(p)
	}
	return path.Join("/", cwd, p)
}

// ParseScratch reads the value of --scratch: absolute paths, comma separated. The error
// wraps [ErrSpec].
func ParseScratch(s string) ([]string, error) {
	var dirs []string
	for _, d := range strings.Split(s, ",") {
		if d = strings.TrimSpace(d); d == "" {
			continue
		}
		clean, msg := target(d)
		if msg == "" && clean == "/" {
			msg = "the root of the container cannot be a scratch directory"
		}
		if msg == "" && strings.IndexByte(d, 0) >= 0 {
			msg = "a path holds a NUL byte"
		}
		if msg != "" {
			return nil, &SpecError{"scratch", s, msg}
		}
		dirs = append(dirs, clean)
	}
	return dirs, nil
}

// ParseNoMount reads the value of --no-mount: names of default mounts and absolute paths
// of their targets, comma separated. The names are proc, sys, dev, devpts, home, tmp,
// hostfs (which coracle never mounts), cwd and bind-paths. The error wraps [ErrSpec].
func ParseNoMount(s string) ([]string, error) {
	names := [...]string{"proc", "sys", "dev", "devpts", "home", "tmp", "hostfs", "cwd", "bind-paths"}
	var list []string
next:
	for _, n := range strings.Split(s, ",") {
		n = strings.TrimSpace(n)
		switch {
		case n == "":
			continue
		case path.IsAbs(n):
			list = append(list, path.Clean(n))
			continue
		}
		for _, known := range names {
			if n == known {
				list = append(list, n)
				continue next
			}
		}
		return nil, &SpecError{"no-mount", s, unknown("default mount", n, names[:]...)}
	}
	return list, nil
}
