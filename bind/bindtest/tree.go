// Package bindtest has trees in memory for the tests of planning.
package bindtest

import (
	"fmt"
	"io/fs"
	"path"
	"sort"
	"strconv"
	"strings"
	"syscall"

	"coracle/bind"
)

// A Tree is a [bind.Tree] in memory. Keys are absolute clean paths; parents need not be
// listed. Values:
//
//	"dir" or "dir 1777"   a directory, 0755 or with octal permission bits
//	"file:text"           a regular file, 0644, with that text
//	"-> text"             a symlink
//	"dev"                 a device
//	"EACCES", "EIO"       looking at it, or below it, fails
type Tree struct {
	entries map[string]string
	Asked   map[string]int // how often Lstat was asked for each path
}

// New makes a tree.
func New(entries map[string]string) *Tree {
	t := &Tree{entries: map[string]string{"/": "dir"}, Asked: map[string]int{}}
	for p, v := range entries {
		t.entries[p] = v
	}
	for p := range entries {
		for p = path.Dir(p); p != "/"; p = path.Dir(p) {
			if _, ok := t.entries[p]; !ok {
				t.entries[p] = "dir"
			}
		}
	}
	return t
}

// Lstat implements [bind.Tree]. It panics when a component but the last is a symlink,
// because a planner must have resolved those.
func (t *Tree) Lstat(p string) (bind.Entry, error) {
	t.Asked[p]++
	for d := path.Dir(p); d != "/"; d = path.Dir(d) {
		switch v := t.entries[d]; {
		case strings.HasPrefix(v, "->"):
			panic(fmt.Sprintf("Lstat(%q): %s is a symlink", p, d))
		case v == "EACCES" || v == "EIO":
			return bind.Entry{}, errno(p, v)
		}
	}
	v, ok := t.entries[p]
	if !ok || path.Clean(p) != p || !path.IsAbs(p) {
		return bind.Entry{}, &fs.PathError{Op: "lstat", Path: p, Err: fs.ErrNotExist}
	}
	switch {
	case v == "EACCES" || v == "EIO":
		return bind.Entry{}, errno(p, v)
	case strings.HasPrefix(v, "->"):
		return bind.Entry{Kind: bind.Symlink, Perm: 0o777, Target: strings.TrimPrefix(v, "-> ")}, nil
	case strings.HasPrefix(v, "file:"):
		return bind.Entry{Kind: bind.File, Perm: 0o644}, nil
	case v == "dev":
		return bind.Entry{Kind: bind.Other, Perm: 0o666}, nil
	}
	perm := uint64(0o755)
	if _, bits, ok := strings.Cut(v, " "); ok {
		perm, _ = strconv.ParseUint(bits, 8, 32)
	}
	return bind.Entry{Kind: bind.Directory, Perm: uint32(perm)}, nil
}

func errno(p, v string) error {
	e := syscall.EIO
	if v == "EACCES" {
		e = syscall.EACCES
	}
	return &fs.PathError{Op: "lstat", Path: p, Err: e}
}

// ReadDir implements [bind.Tree].
func (t *Tree) ReadDir(dir string) ([]string, error) {
	if e, err := t.Lstat(dir); err != nil {
		return nil, err
	} else if e.Kind != bind.Directory {
		return nil, &fs.PathError{Op: "readdir", Path: dir, Err: syscall.ENOTDIR}
	}
	var names []string
	for p := range t.entries {
		if p != "/" && path.Dir(p) == dir {
			names = append(names, path.Base(p))
		}
	}
	sort.Strings(names)
	return names, nil
}

// ReadFile implements [bind.Tree].
func (t *Tree) ReadFile(p string, max int64) ([]byte, error) {
	e, err := t.Lstat(p)
	if err != nil {
		return nil, err
	}
	text := strings.TrimPrefix(t.entries[p], "file:")
	if e.Kind != bind.File || int64(len(text)) > max {
		return nil, &fs.PathError{Op: "read", Path: p, Err: syscall.EFBIG}
	}
	return []byte(text), nil
}
