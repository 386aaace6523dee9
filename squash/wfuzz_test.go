package squash

import (
	"bytes"
	"fmt"
	"testing"
)

// A script makes a tree from bytes.
type script struct {
	b    []byte
	tree *testTree
	dirs []string
	hard []*Node            // what links may lead to
	name map[*Node][]string // the names of those
}

func (s *script) next() int {
	if len(s.b) == 0 {
		return 0
	}
	v := s.b[0]
	s.b = s.b[1:]
	return int(v)
}

// contents returns what a file has: text, noise or zeros, or a mixture.
func (s *script) contents(bs int) []byte {
	var b []byte
	for range s.next() % 4 {
		n := s.next() * bs / 100
		if s.next()%3 == 0 {
			n = bs
		}
		switch s.next() % 3 {
		case 0:
			b = append(b, pattern(n)...)
		case 1:
			b = append(b, noise(byte(n), n)...)
		default:
			b = append(b, make([]byte, n)...)
		}
	}
	return b
}

func (s *script) xattrs() (list []Xattr) {
	for i := range s.next() % 4 {
		space := []string{"trusted.", "security.", "user."}[s.next()%3]
		list = append(list, Xattr{space + fmt.Sprint(i, s.next()%4), pattern(s.next() * s.next() % 9000)})
	}
	return list
}

// entry adds one entry.
func (s *script) entry(i, bs int) {
	dir := s.dirs[s.next()%len(s.dirs)]
	path := fmt.Sprintf("%s%c%d", dir, 'a'+s.next()%26, i)
	kind := s.next() % 9
	if kind == 8 {
		if len(s.hard) > 0 {
			first := s.hard[s.next()%len(s.hard)]
			s.tree.add(path, Node{Link: first}, nil)
			s.name[first] = append(s.name[first], path)
		}
		return
	}
	n := Node{Type: Type(max(1, kind)), Perm: uint16(s.next() << 4), UID: uint32(s.next()) << 24, GID: uint32(s.next()), MTime: int64(s.next()) << 24, Xattrs: s.xattrs()}
	var b []byte
	switch n.Type {
	case Regular:
		b = s.contents(bs)
	case Symlink:
		n.Target = string(pattern(1 + s.next()*s.next()%4000))
	case BlockDevice, CharDevice:
		n.Rdev, _ = Rdev(uint32(s.next()<<4), uint32(s.next()<<12))
	}
	node := s.tree.add(path, n, b)
	if n.Type == Directory {
		s.dirs = append(s.dirs, path+"/")
		return
	}
	s.hard = append(s.hard, node)
	s.name[node] = []string{path}
}

// FuzzWriter writes random trees, reads them back, and writes them again with
// other workers.
func FuzzWriter(f *testing.F) {
	f.Add(byte(0), []byte("\x00\x01\x02\x03\x02\xff\x02\x02\x00\x02\x01\x01\x01\x02\x02\x02\x08\x00\x01\x08"))
	f.Add(byte(1), noise(1, 300))
	f.Add(byte(6), noise(2, 600))
	f.Add(byte(9), pattern(200))
	f.Fuzz(func(t *testing.T, option byte, b []byte) {
		if len(b) > 2000 {
			t.Skip("too long")
		}
		all := allOptions()
		o := all[int(option)%len(all)]
		o.BlockSize = MinBlockSize << (option % 3)
		var s *script
		fill := func(w *Writer) *Node {
			s = &script{b: b, tree: newTree(t, w), dirs: []string{""}, name: map[*Node][]string{}}
			for i := 0; len(s.b) > 0 && i < 100; i++ {
				s.entry(i, w.o.BlockSize)
			}
			for _, names := range s.name {
				s.tree.links(uint32(len(names)), names...)
			}
			return s.tree.root
		}
		img := write(t, o, fill)
		diff(t, listImage(t, openImage(t, img)), s.tree.want)
		o.Workers = 3
		if !bytes.Equal(write(t, o, fill), img) {
			t.Error("three workers write another image")
		}
	})
}
