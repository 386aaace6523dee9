package fuse

import (
	"bytes"
	"path"
	"runtime"
	"strings"

	"coracle/squash"
)

// What a program needs first is known before it is started: its own first blocks, and those of the loader and the C library.
// They are decoded while the launch is still busy with mounts.

// warmBytes is how much of one file is decoded ahead, in bytes.
const warmBytes = 2 << 20

// maxLinks is how many symlinks are followed in one path.
const maxLinks = 40

// libc is found beside the loader.
const libc = "libc.so.6"

// warmUp decodes the beginnings of programs and of what they load. What cannot be had is left alone: whoever needs it
// will ask, and be told.
func (s *server) warmUp(programs []string) {
	for _, p := range programs {
		ino, _, ok := s.resolve(p)
		if !ok {
			continue
		}
		s.warmFile(&ino, 1)
		loader, at, ok := s.resolve(s.interpreter(&ino))
		s.warmFile(&ino, warmBytes)
		if !ok {
			continue
		}
		s.warmFile(&loader, warmBytes)
		if lib, _, ok := s.resolve(path.Join(path.Dir(at), libc)); ok {
			s.warmFile(&lib, warmBytes)
		}
	}
}

// warmFile decodes the blocks with the first n bytes of a file.
func (s *server) warmFile(ino *squash.Inode, n int64) {
	for i := int64(0); i<<s.blockLog < min(n, ino.Size); i++ {
		var b squash.Block
		var err error
		if i < int64(s.img.Blocks(ino)) {
			b, err = s.img.Block(ino, int(i))
		} else {
			b, _, err = s.img.Tail(ino)
		}
		if err != nil || !s.warmBlock(b) {
			return
		}
	}
}

// warmBlock decodes a block, or has it decoded where there are processors to spare; false: the server has ended.
func (s *server) warmBlock(b squash.Block) bool {
	if b.Sparse {
		return true
	}
	e := s.cache.reserve(b)
	if e == nil {
		return true
	}
	if s.opt.ReadAhead > 0 && runtime.GOMAXPROCS(0) > 2 {
		select {
		case s.ahead <- e:
			return true
		case <-s.done:
			s.cache.drop(e)
			return false
		}
	}
	s.cache.load(e)
	select {
	case <-s.done:
		return false
	default:
		return true
	}
}

// resolve returns the regular file at an absolute path of the image, and its path without symlinks.
func (s *server) resolve(name string) (ino squash.Inode, at string, ok bool) {
	at, rest := "/", strings.Split(name, "/")
	ino, err := s.img.Inode(s.img.Root())
	for links := 0; err == nil && len(rest) > 0; {
		part := rest[0]
		rest = rest[1:]
		if part == "" || part == "." {
			continue
		}
		next := path.Join(at, part)
		if ino, err = s.img.Walk(next); err == nil && ino.Type == squash.Symlink {
			var target string
			if target, err = s.img.Readlink(&ino); err != nil || links == maxLinks {
				return ino, at, false
			}
			links++
			if strings.HasPrefix(target, "/") {
				at = "/"
			}
			rest = append(strings.Split(target, "/"), rest...)
			continue
		}
		at = next
	}
	return ino, at, err == nil && ino.Type == squash.Regular && len(name) > 0
}

// interpreter returns the path of what a program is started by: the loader in an ELF header, the word behind "#!". "": nothing.
func (s *server) interpreter(ino *squash.Inode) string {
	head := make([]byte, 4096)
	n, err := s.img.ReadAt(ino, head, 0)
	if n == 0 && err != nil {
		return ""
	}
	head = head[:n]
	if line, ok := bytes.CutPrefix(head, []byte("#!")); ok {
		line, _, _ = bytes.Cut(line, []byte("\n"))
		if words := strings.Fields(string(line)); len(words) > 0 {
			return words[0]
		}
		return ""
	}
	return loader(head)
}
