package ext

import "io"

// maxTree is how deep the tree of a file's extents may be.
const maxTree = 5

// locate returns the block of the file system that holds block i of a file; 0: a hole.
func (r *Reader) locate(ino *Inode, i uint64) (uint64, error) {
	if i >= 1<<32 {
		return 0, corrupt("inode %d: block %d", ino.number, i)
	}
	if ino.flags&flagExtents != 0 {
		return r.extent(ino, uint32(i))
	}
	return r.indirect(ino, i)
}

// extent walks the tree of extents.
//
// Source: "Extent Tree".
func (r *Reader) extent(ino *Inode, i uint32) (uint64, error) {
	node := ino.content[:]
	for range maxTree + 1 {
		entries, depth := int(le.Uint16(node[2:])), le.Uint16(node[6:])
		if le.Uint16(node) != 0xf30a || 12+12*entries > len(node) {
			return 0, corrupt("inode %d: extents", ino.number)
		}
		e := lastNotBehind(node[12:12+12*entries], i)
		if e == nil {
			return 0, nil
		}
		if depth == 0 {
			first, length := le.Uint32(e), uint32(le.Uint16(e[4:]))
			if length > 32768 || i-first >= length { // allocated and not written; behind it
				return 0, nil
			}
			return uint64(le.Uint16(e[6:]))<<32 + uint64(le.Uint32(e[8:])) + uint64(i-first), nil
		}
		below := make([]byte, r.block)
		if err := r.readBlock(uint64(le.Uint16(e[8:]))<<32|uint64(le.Uint32(e[4:])), 0, below); err != nil {
			return 0, err
		}
		node = below
	}
	return 0, corrupt("inode %d: extents without end", ino.number)
}

// lastNotBehind returns the last of the sorted entries that does not begin behind block i, or nil.
func lastNotBehind(entries []byte, i uint32) (found []byte) {
	for ; len(entries) > 0 && le.Uint32(entries) <= i; entries = entries[12:] {
		found = entries[:12]
	}
	return found
}

// indirect walks the older maps of ext2 and ext3.
//
// Source: "Direct/Indirect Block Addressing".
func (r *Reader) indirect(ino *Inode, i uint64) (uint64, error) {
	const direct = 12
	if i < direct {
		return uint64(le.Uint32(ino.content[4*i:])), nil
	}
	i -= direct
	fan := uint64(r.block / 4)
	span := uint64(1)
	for level := range uint64(3) {
		span *= fan
		if i >= span {
			i -= span
			continue
		}
		block := uint64(le.Uint32(ino.content[4*(direct+level):]))
		for span > 1 && block != 0 {
			span /= fan
			var b [4]byte
			if err := r.readBlock(block, int64(i/span)*4, b[:]); err != nil {
				return 0, err
			}
			block, i = uint64(le.Uint32(b[:])), i%span
		}
		return block, nil
	}
	return 0, corrupt("inode %d: too long", ino.number)
}

// ReadAt reads contents of a file, a directory or a long symlink as an io.ReaderAt does.
func (r *Reader) ReadAt(ino *Inode, p []byte, off int64) (done int, err error) {
	for done < len(p) && off < ino.Size {
		n := min(int64(len(p)-done), ino.Size-off, r.block-off%r.block)
		piece := p[done : done+int(n)]
		block, err := r.locate(ino, uint64(off/r.block))
		if err == nil && block == 0 {
			clear(piece)
		} else if err == nil {
			err = r.readBlock(block, off%r.block, piece)
		}
		if err != nil {
			return done, err
		}
		done, off = done+int(n), off+n
	}
	if done < len(p) {
		return done, io.EOF
	}
	return done, nil
}

// maxLink bounds the text of a symbolic link, in bytes.
const maxLink = 4095

// Readlink returns the text of a symbolic link: short ones are in the inode itself.
func (r *Reader) Readlink(ino *Inode) (string, error) {
	if ino.Type != Symlink || ino.Size == 0 || ino.Size > maxLink {
		return "", corrupt("inode %d: symbolic link of %d bytes", ino.number, ino.Size)
	}
	if ino.Size < int64(len(ino.content)) {
		return string(ino.content[:ino.Size]), nil
	}
	b := make([]byte, ino.Size)
	_, err := r.ReadAt(ino, b, 0)
	return string(b), err
}
