package bind

import "strings"

// ParseBind reads the value of --bind or of an environment key: binds, comma separated,
// each
//
//	SRC[:DST[:OPT[,OPT]...]]
//
// The options are ro, rw, image-src=PATH and id=N; what follows a comma behind options is
// one more option if it reads like one, else the next bind. A backslash takes the meaning
// from a colon, a comma or a backslash. Blanks around a bind are ignored, and so are empty
// binds. A relative source starts at cwd, an absolute path; without DST the target is the
// absolute source. The error wraps [ErrSpec].
//
// exists tells whether an absolute host path is there; nil: nobody knows. With it, a source
// with a colon in its name needs no backslash: where the text up to the first colon is no
// existing path and a longer text is, the longer one counts.
func ParseBind(s, cwd string, exists func(path string) bool) ([]Spec, error) {
	var specs []Spec
	items := split(s, ',')
	for i := 0; i < len(items); i++ {
		item := strings.TrimSpace(items[i])
		if item == "" {
			continue
		}
		f, msg := bindFields(item, cwd, exists)
		spec := Spec{Why: "--bind"}
		if msg == "" {
			spec, msg = f.spec(cwd)
		}
		for ok := f.opts != ""; ok && msg == "" && i+1 < len(items); { // options that a comma cut off
			next := strings.TrimSpace(items[i+1])
			if ok = isOption(next); ok {
				msg = spec.option(next)
				i++
			} else if near := nearOption(next); near != "" && exists != nil && !exists(absolute(unescape(next), cwd)) {
				msg = unknown("bind option", next, near)
			}
		}
		if msg == "" {
			spec, msg = spec.done()
		}
		if msg != "" {
			return nil, &SpecError{"bind", item, msg}
		}
		specs = append(specs, spec)
	}
	return specs, nil
}

// ParseHome reads the value of --home: SRC[:DST], with the escapes and the literal colons
// of [ParseBind]. The error wraps [ErrSpec].
func ParseHome(s, cwd string, exists func(path string) bool) (Spec, error) {
	f, msg := bindFields(strings.TrimSpace(s), cwd, exists)
	if msg == "" && f.opts != "" {
		msg = "more than a source and a destination"
	}
	var spec Spec
	if msg == "" {
		spec, msg = f.spec(cwd)
	}
	if msg == "" {
		spec, msg = spec.done()
	}
	if msg != "" {
		return Spec{}, &SpecError{"home", s, msg}
	}
	spec.Why = "--home"
	return spec, nil
}

// fields are the parts of one bind, escapes removed but from the options.
type fields struct {
	src, dst string
	hasDst   bool
	opts     string // the first option; "" none
}

// bindFields takes one bind apart at its colons.
func bindFields(item, cwd string, exists func(string) bool) (f fields, msg string) {
	parts := split(item, ':')
	n := 1 // how many parts the source takes
	if len(parts) > 1 && exists != nil && !exists(absolute(unescape(parts[0]), cwd)) {
		for k := len(parts); k > 1; k-- {
			if exists(absolute(unescape(strings.Join(parts[:k], ":")), cwd)) {
				n = k
				break
			}
		}
	}
	f.src = unescape(strings.Join(parts[:n], ":"))
	rest := parts[n:]
	if n > 1 && len(rest) > 1 { // then the destination may well have colons too
		last := len(rest)
		if isOption(rest[last-1]) {
			last--
		}
		rest = append([]string{strings.Join(rest[:last], ":")}, rest[last:]...)
	}
	switch {
	case f.src == "":
		return f, "empty source"
	case len(rest) > 2:
		return f, "too many colons: a colon in a path is written \\:"
	case len(rest) == 2 && rest[1] == "":
		return f, "empty option after the last colon"
	case len(rest) == 2:
		f.opts = strings.TrimSpace(rest[1])
	}
	if len(rest) > 0 {
		f.dst, f.hasDst = unescape(strings.TrimSpace(rest[0])), true
	}
	return f, ""
}

// spec makes the bind of its fields.
func (f fields) spec(cwd string) (s Spec, msg string) {
	s = Spec{Source: absolute(f.src, cwd), Why: "--bind"}
	s.Target = s.Source
	if f.hasDst {
		if s.Target, msg = target(f.dst); msg != "" {
			return s, msg
		}
	}
	if f.opts != "" {
		msg = s.option(f.opts)
	}
	return s, msg
}

// option sets one option of a bind. Read-only wins over rw, as in Apptainer.
func (s *Spec) option(o string) (msg string) {
	switch o {
	case "ro":
		s.ReadOnly = true
		return ""
	case "rw":
		return ""
	}
	key, val, has := strings.Cut(o, "=")
	if known, msg := s.imageOption(key, unescape(val), has); known {
		return msg
	}
	return unknown("bind option", o, "ro", "rw", "image-src", "id")
}

// isOption tells whether s reads like an option.
func isOption(s string) bool {
	return s == "ro" || s == "rw" || strings.HasPrefix(s, "image-src=") || strings.HasPrefix(s, "id=")
}

// nearOption is the option that s, a word and no path, may have been meant for.
func nearOption(s string) string {
	word, _, _ := strings.Cut(s, "=")
	if len(word) < 2 || strings.ContainsAny(word, "/:.") {
		return ""
	}
	return nearest(word, "ro", "rw", "image-src", "id")
}

// split cuts s at every sep that no backslash precedes. Escapes stay in.
func split(s string, sep byte) []string {
	var parts []string
	start := 0
	for i := 0; i < len(s); i++ {
		switch s[i] {
		case '\\':
			i++
		case sep:
			parts = append(parts, s[start:i])
			start = i + 1
		}
	}
	return append(parts, s[start:])
}

// unescape removes the backslash in front of a colon, a comma and a backslash.
func unescape(s string) string {
	if strings.IndexByte(s, '\\') < 0 {
		return s
	}
	b := make([]byte, 0, len(s))
	for i := 0; i < len(s); i++ {
		if s[i] == '\\' && i+1 < len(s) && strings.IndexByte(":,\\", s[i+1]) >= 0 {
			i++
		}
		b = append(b, s[i])
	}
	return string(b)
}
