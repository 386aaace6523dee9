package fuse

import (
	"bytes"
	"path"
	"strings"

	"golang.org/x/sys/unix"

	"coracle/squash"
)

// What a program needs first is known before it is started: its own first blocks, and those of the loader and the C library.
// They are decoded while the launch is still busy with mounts.

// warmBytes is how much of one file is decoded ahead, in bytes.
const warmBytes = 2 << 20

// headBytes is how much of a program is looked at for what it is started by, in bytes.
const headBytes = 4096

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

// stepBack has this thread make way for those that wait for its processor: the launch and the answers to it. The kernel would let them wait
// for milliseconds, while another processor has nothing to do.
func stepBack() { _, _, _ = unix.RawSyscall(unix.SYS_SCHED_YIELD, 0, 0, 0) }

// warmFile decodes the blocks with the first n bytes of a file, from both ends to the middle: the kernel and the loader look at headers,
// symbols and the first code, which are in front, and at what is written to and constants, which are behind.
func (s *server) warmFile(ino *squash.Inode, n int64) {
	first, last := int64(0), (min(n, ino.Size)-1)>>s.blockLog // -1: there is nothing
	for ; first < last; first, last = first+1, last-1 {
		if !s.warm(ino, first) || !s.warm(ino, last) {
			return
		}
	}
	if first == last {
		s.warm(ino, first)
	}
}

// warm decodes the i-th block of a file; false: there is no more to be had.
func (s *server) warm(ino *squash.Inode, i int64) bool {
	var b squash.Block
	var err error
	if i < int64(s.img.Blocks(ino)) {
		b, err = s.img.Block(ino, int(i))
	} else {
		b, _, err = s.img.Tail(ino)
	}
	return err == nil && s.warmBlock(b)
}

// warmBlock decodes a block, or has it decoded where there are processors to spare or an image to be waited for; false: the server has ended.
func (s *server) warmBlock(b squash.Block) bool {
	if b.Sparse {
		return true
	}
	e := s.cache.reserve(b)
	if e == nil {
		return true
	}
	if s.opt.ReadAhead > 0 && (s.spare || s.img.Slow()) {
		s.moreDecoders()
		select {
		case s.ahead <- e:
			return true
		case <-s.done:
			s.cache.drop(e)
			return false
		}
	}
	s.cache.load(e)
	stepBack()
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

// head returns how a file begins. Its first block is in the cache then.
func (s *server) head(ino *squash.Inode) []byte {
	var b squash.Block
	var from int
	var err error
	if s.img.Blocks(ino) > 0 {
		b, err = s.img.Block(ino, 0)
	} else {
		b, from, err = s.img.Tail(ino)
	}
	if err != nil || b.Sparse || ino.Size == 0 {
		return nil
	}
	e, data, err := s.cache.get(b, func() {})
	if err != nil {
		return nil
	}
	defer s.cache.put(e, 0)
	from = min(from, len(data))
	return bytes.Clone(data[from:min(len(data), from+headBytes, from+int(min(ino.Size, headBytes)))])
}

// interpreter returns the path of what a program is started by: the loader in an ELF header, the word behind "#!". "": nothing.
func (s *server) interpreter(ino *squash.Inode) string {
	head := s.head(ino)
	if line, ok := bytes.CutPrefix(head, []byte("#!")); ok {
		line, _, _ = bytes.Cut(line, []byte("\n"))
		if words := strings.Fields(string(line)); len(words) > 0 {
			return words[0]
		}
		return ""
	}
	return loader(head)
}
