package fuse

import (
	"bytes"
	"encoding/binary"
	"os"
	"path/filepath"
	"slices"
	"testing"
)

// elfFile is the head of an ELF file with two program headers, the second of which names an interpreter.
func elfFile(interpreter string) []byte {
	b := make([]byte, 4096)
	copy(b, elfIdent)
	binary.LittleEndian.PutUint64(b[elfPhoff:], elfHeader)
	binary.LittleEndian.PutUint16(b[elfPhsize:], progHeader)
	binary.LittleEndian.PutUint16(b[elfPhnum:], 2)
	p := b[elfHeader+progHeader:]
	binary.LittleEndian.PutUint32(p[progType:], progInterp)
	binary.LittleEndian.PutUint64(p[progOffset:], 1024)
	binary.LittleEndian.PutUint64(p[progSize:], uint64(len(interpreter)+1))
	copy(b[1024:], interpreter)
	return b
}

// changed is b with v at an offset.
func changed(b []byte, at int, v ...byte) []byte {
	c := slices.Clone(b)
	copy(c[at:], v)
	return c
}

func TestLoader(t *testing.T) {
	good := elfFile("/lib/ld.so")
	for _, tt := range []struct {
		name string
		head []byte
		want string
	}{
		{"good", good, "/lib/ld.so"},
		{"empty", nil, ""},
		{"no ELF", []byte("#!/bin/sh\n"), ""},
		{"32 bits", changed(good, 4, 1), ""},
		{"header cut short", good[:elfHeader-1], ""},
		{"program headers cut short", good[:elfHeader+progHeader+8], ""},
		{"name cut short", good[:1030], ""},
		{"headers behind the end", changed(good, elfPhoff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff), ""},
		{"name behind the end", changed(good, elfHeader+progHeader+progOffset, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff), ""},
		{"endless name", changed(good, elfHeader+progHeader+progSize, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff), ""},
		{"headers of no size", changed(good, elfPhsize, 0, 0), ""},
	} {
		if got := loader(tt.head); got != tt.want {
			t.Errorf("loader(%s) = %q, want %q", tt.name, got, tt.want)
		}
	}
}

func FuzzLoader(f *testing.F) {
	f.Add(elfFile("/lib64/ld-linux-x86-64.so.2"))
	f.Fuzz(func(t *testing.T, head []byte) {
		if got := loader(head); len(got) > len(head) || !bytes.Contains(head, []byte(got)) {
			t.Errorf("loader returned %q, which is not in the file", got)
		}
	})
}

// What a program needs first is decoded before anybody has asked for it: itself, behind links, its loader, and the C library
// beside that. What it does not need is not.
func TestWarmUp(t *testing.T) {
	src := t.TempDir()
	for _, dir := range []string{"bin", "usr/lib"} {
		must(t, os.MkdirAll(filepath.Join(src, dir), 0o755))
	}
	write := func(name string, content []byte) {
		must(t, os.WriteFile(filepath.Join(src, name), append(content, pattern(8192-len(content), uint64(len(name)))...), 0o644))
	}
	write("bin/busy", elfFile("/lib/ld.so.2"))
	write("usr/lib/ld-2.so", nil)
	write("usr/lib/libc.so.6", nil)
	write("usr/lib/libother.so", nil)
	for link, text := range map[string]string{"bin/true": "busy", "lib": "usr/lib", "usr/lib/ld.so.2": "ld-2.so", "bin/loop": "loop", "bin/up": "../../bin/true"} {
		must(t, os.Symlink(text, filepath.Join(src, link)))
	}
	img := openImage(t, mksquashfs(t, src, "-comp", "gzip", "-b", "4096", "-no-xattrs"))
	for _, tt := range []struct {
		program string
		want    []string
	}{
		{"/bin/true", []string{"bin/busy", "usr/lib/ld-2.so", "usr/lib/libc.so.6"}},
		{"/bin/up", []string{"bin/busy", "usr/lib/ld-2.so", "usr/lib/libc.so.6"}},
		{"/usr/lib/libother.so", []string{"usr/lib/libother.so"}},
		{"/bin/loop", nil},
		{"/bin/missing", nil},
		{"/bin", nil},
		{"", nil},
	} {
		s := testWorker(t, img, devNull(t)).s
		s.warmUp([]string{tt.program})
		for _, name := range []string{"bin/busy", "usr/lib/ld-2.so", "usr/lib/libc.so.6", "usr/lib/libother.so"} {
			ino, err := img.Walk(name)
			must(t, err)
			for i := range img.Blocks(&ino) {
				b, err := img.Block(&ino, i)
				must(t, err)
				if got, want := s.cache.has(b), slices.Contains(tt.want, name); got != want {
					t.Errorf("after warmUp(%q): block %d of %s in the cache: %v, want %v", tt.program, i, name, got, want)
				}
			}
		}
	}
}

// A server that has begun to decode and is not needed leaves nothing behind.
func TestDrop(t *testing.T) {
	src := t.TempDir()
	must(t, os.WriteFile(filepath.Join(src, "tool"), pattern(1<<20, 1), 0o755))
	img := openImage(t, mksquashfs(t, src, "-comp", "gzip", "-b", "4096", "-no-xattrs"))
	srv, err := New(img, &Options{Programs: []string{"/tool"}})
	must(t, err)
	srv.Warm([]string{"/tool", "/missing"})
	must(t, srv.Drop())
}
