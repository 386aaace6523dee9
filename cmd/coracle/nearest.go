package main

import (
	"strings"

	"coracle/image"
)

// nearest returns the one of names that a user who typed s most likely meant, or "".
func nearest(s string, names []string) string {
	best, cost := "", 1+max(1, len(s)/3)
	for _, name := range names {
		d := image.Distance(s, name)
		if len(s) >= 3 && strings.HasPrefix(name, s) {
			d = min(d, 1)
		}
		if d < cost {
			best, cost = name, d
		}
	}
	return best
}

// nearestFlag returns the flag of the table that asked ("--bnd", "-b") is nearest to, or "".
func nearestFlag(asked string, flags []flag) string {
	if len(asked) == 2 { // a short flag: the other case
		for _, f := range flags {
			if f.short != 0 && strings.EqualFold(asked[1:], string(f.short)) {
				return "-" + string(f.short)
			}
		}
		return ""
	}
	var names []string
	for _, f := range flags {
		if !f.hidden {
			names = append(names, f.name)
		}
	}
	if n := nearest(strings.TrimPrefix(asked, "--"), names); n != "" {
		return "--" + n
	}
	return ""
}
