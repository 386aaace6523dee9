package mkfs

import (
	"errors"
	"fmt"
	"io"
	"path"
	"slices"
	"strings"
)

// A dir is a directory of the new file system.
type dir struct {
	name    string
	parent  *dir
	inode   uint32
	subs    []*dir
	content []byte // whole blocks
}

// maxName bounds a name, in bytes.
const maxName = 255

// errMany says that there is no room for so many directories.
var errMany = errors.New("too many directories for a file system of this size")

// tree makes the directories and finds their place.
func (l *layout) tree() error {
	root := &dir{inode: rootInode}
	root.parent = root
	root.sub("lost+found")
	upper := root.sub("upper")
	root.sub("work")
	for _, p := range l.o.Dirs {
		d := upper
		for name := range strings.SplitSeq(strings.Trim(path.Clean("/"+p), "/"), "/") {
			switch {
			case name == "":
				continue
			case len(name) > maxName || strings.ContainsRune(name, 0):
				return fmt.Errorf("%q: %q is no name of a directory", p, name)
			}
			d = d.sub(name)
		}
	}
	l.number(root)
	l.first = l.overhead(0)
	for _, d := range l.dirs {
		d.content = d.entries()
		l.used += uint32(len(d.content) / blockSize)
	}
	if size := min(l.blocks, blocksPerGroup); l.first+l.used > size-size/4 || uint32(len(l.dirs))+firstInode > l.perGroup {
		return errMany
	}
	return nil
}

// sub returns the directory with a name in d, and makes it if there is none.
func (d *dir) sub(name string) *dir {
	if i := slices.IndexFunc(d.subs, func(s *dir) bool { return s.name == name }); i >= 0 {
		return d.subs[i]
	}
	s := &dir{name: name, parent: d}
	d.subs = append(d.subs, s)
	return s
}

// number gives d and all below it their inodes.
func (l *layout) number(d *dir) {
	if n := uint32(len(l.dirs)); n > 0 {
		d.inode = firstInode + n - 1
	}
	l.dirs = append(l.dirs, d)
	for _, s := range d.subs {
		l.number(s)
	}
}

// entries is what a directory contains. An entry does not go over the end of a block, and the last one of a block reaches to it.
//
// Source: "Linear (Classic) Directories".
func (d *dir) entries() []byte {
	const directory = 2 // the type of all
	var b []byte
	last := 0
	add := func(name string, inode uint32) {
		need := (8 + len(name) + 3) &^ 3
		if used := len(b) % blockSize; len(b) == 0 || used+need > blockSize {
			if used > 0 {
				fill(b, last)
				b = append(b, make([]byte, blockSize-used)...)
			}
		}
		last = len(b)
		b = append(b, make([]byte, need)...)
		le.PutUint32(b[last:], inode)
		le.PutUint16(b[last+4:], uint16(need))
		b[last+6], b[last+7] = byte(len(name)), directory
		copy(b[last+8:], name)
	}
	add(".", d.inode)
	add("..", d.parent.inode)
	for _, s := range d.subs {
		add(s.name, s.inode)
	}
	fill(b, last)
	return append(b, make([]byte, -len(b)&(blockSize-1))...)
}

// fill makes the entry at last reach to the end of its block.
func fill(b []byte, last int) { le.PutUint16(b[last+4:], uint16(blockSize-last%blockSize)) }

// writeDir writes a directory and its inode. They follow each other in the order of their inodes.
//
// Source: "Inode Table", "Extent Tree".
func (l *layout) writeDir(dst io.WriterAt, d *dir) error {
	block, count := l.first, uint32(len(d.content)/blockSize)
	l.first += count
	for i := range count {
		if err := writeBlock(dst, block+i, d.content[i*blockSize:][:blockSize]); err != nil {
			return err
		}
	}
	mode, uid, gid := uint16(0o40755), uint32(l.o.UID), uint32(l.o.GID)
	if d.inode == firstInode {
		mode, uid, gid = 0o40700, 0, 0
	}
	b := make([]byte, inodeSize)
	le.PutUint16(b[0x00:], mode)
	le.PutUint16(b[0x02:], uint16(uid))
	le.PutUint16(b[0x18:], uint16(gid))
	le.PutUint16(b[0x78:], uint16(uid>>16))
	le.PutUint16(b[0x7a:], uint16(gid>>16))
	le.PutUint32(b[0x04:], count*blockSize)
	for _, at := range []int{0x08, 0x0c, 0x10, 0x90} { // read, changed, written, made
		le.PutUint32(b[at:], uint32(l.o.Time.Unix()))
	}
	le.PutUint16(b[0x1a:], uint16(2+len(d.subs)))
	le.PutUint32(b[0x1c:], count*(blockSize/512))
	le.PutUint32(b[0x20:], 0x80000) // it has extents
	le.PutUint16(b[0x28:], 0xf30a)
	le.PutUint16(b[0x2a:], 1) // one, of four that have room here
	le.PutUint16(b[0x2c:], 4)
	le.PutUint16(b[0x38:], uint16(count))
	le.PutUint32(b[0x3c:], block)
	le.PutUint16(b[0x80:], extraISize)
	at := int64(l.bitmap(0)+2)*blockSize + int64(d.inode-1)*inodeSize
	if _, err := dst.WriteAt(b, at); err != nil {
		return fmt.Errorf("write inode %d: %w", d.inode, err)
	}
	return nil
}
