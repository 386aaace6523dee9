package config

import (
	"strings"
	"syscall"
)

// errNotDirectory: a file stands where a directory on the way would be.
const errNotDirectory = syscall.ENOTDIR

// apptainer reads the bind paths and the mount switches of Apptainer's file; the rest of it is about what we do otherwise.
//
// Source: the comments in the file that Apptainer installs: "key = value" lines, # for comments.
func (l *loader) apptainer(name string) bool {
	text, found := l.text(name, true)
	if !found || l.err != nil {
		return found
	}
	f := file{}
	for line := range strings.Lines(text) {
		key, value, ok := strings.Cut(strings.TrimSpace(line), "=")
		key, value = strings.TrimSpace(key), strings.TrimSpace(value)
		if !ok || strings.HasPrefix(key, "#") {
			continue
		}
		f.take(key, value)
	}
	l.add(&f, name)
	return true
}

// take reads one setting of Apptainer's.
func (f *file) take(key, value string) {
	if key == "bind path" {
		if value != "/etc/localtime" && value != "/etc/hosts" && value != "" { // they are there anyhow
			f.Bind = append(f.Bind, value)
		}
		return
	}
	what, ok := strings.CutPrefix(key, "mount ")
	if !ok || value != "no" {
		return
	}
	switch what {
	case "proc", "sys", "dev", "devpts", "home", "tmp":
		f.NoMount = append(f.NoMount, what)
	}
}
