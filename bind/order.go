package bind

import (
	"fmt"
	"path"
)

// order cleans the targets and puts the mounts into the order that works:
//
//   - of two user mounts with one target the first stays;
//   - a mount that a later user mount would hide is left out;
//   - a user mount goes in front of user mounts inside its target;
//   - an Unless mount goes in front of whatever it would hide, or is left out when the
//     mount points of those are missing in its source.
func (v *View) order(mounts []Mount) []*Mount {
	all := make([]Mount, len(mounts))
	copy(all, mounts)
	out := make([]*Mount, 0, len(all))
	for i := range all {
		m := &all[i]
		m.Target = path.Clean("/" + m.Target)
		if m.Type == Bind {
			m.Source = path.Clean("/" + m.Source)
		}
		switch {
		case m.User:
			out = v.insertUser(out, m)
		case m.Unless:
			out = v.insertUnless(out, m)
		default:
			out = append(out, m)
		}
	}
	return out
}

// insertUser puts m behind the mounts that are not the user's, and in front of the
// user's own mounts inside its target.
func (v *View) insertUser(out []*Mount, m *Mount) []*Mount {
	for _, o := range out {
		if o.User && o.Target == m.Target {
			if !sameSource(o, m) {
				v.warn("%s %s on %s is ignored: %s is already mounted there", whyOr(m), m.Source, m.Target, o.Source)
			}
			return out
		}
	}
	if m.Target == "/" {
		return append(out, m) // an error soon; it must hide nothing
	}
	kept := out[:0]
	for _, o := range out {
		if o.User || !Under(o.Target, m.Target) {
			kept = append(kept, o)
		}
	}
	for i, o := range kept {
		if o.User && Under(o.Target, m.Target) {
			return insert(kept, i, m)
		}
	}
	return append(kept, m)
}

// insertUnless puts m in front of the first mount inside its target.
func (v *View) insertUnless(out []*Mount, m *Mount) []*Mount {
	first := -1
	for i, o := range out {
		if o.Target == m.Target || !Under(o.Target, m.Target) {
			continue
		}
		if first < 0 {
			first = i
		}
		_, missing, err := v.host.walk(m.Source + o.Target[len(m.Target):])
		if err != nil || len(missing) > 0 {
			v.warn("%s is not mounted in the container: it would hide %s, which it does not have", m.Target, o.Target)
			return out
		}
	}
	if first < 0 {
		return append(out, m)
	}
	return insert(out, first, m)
}

// insert puts m at index i.
func insert(out []*Mount, i int, m *Mount) []*Mount {
	out = append(out, nil)
	copy(out[i+1:], out[i:])
	out[i] = m
	return out
}

// sameSource tells whether two mounts onto one target are the same wish.
func sameSource(a, b *Mount) bool {
	return a.Type == b.Type && a.Source == b.Source && a.Image == b.Image && a.ReadOnly == b.ReadOnly
}

func whyOr(m *Mount) string {
	if m.Why == "" {
		return "mount"
	}
	return m.Why
}

func (v *View) warn(format string, args ...any) {
	v.layout.Warnings = append(v.layout.Warnings, fmt.Sprintf(format, args...))
}
