package ext

import (
	"fmt"
	"io/fs"
	"strings"
)

// maxDir bounds a directory, in bytes.
const maxDir = 64 << 20

// Walk returns the inode at a slash-separated path from the root. Symbolic links are not followed. The error wraps
// [fs.ErrNotExist], [ErrNotDir] or [ErrCorrupt].
func (r *Reader) Walk(path string) (Inode, error) {
	ino, err := r.inode(rootInode)
	for name := range strings.SplitSeq(path, "/") {
		if err != nil {
			break
		}
		if name == "" || name == "." {
			continue
		}
		next := uint32(0)
		err = r.entries(&ino, func(entry string, n uint32) bool {
			if entry == name {
				next = n
			}
			return next == 0
		})
		if err == nil && next == 0 {
			err = fs.ErrNotExist
		}
		if err == nil {
			ino, err = r.inode(next)
		}
	}
	if err != nil {
		return Inode{}, fmt.Errorf("%q: %w", path, err)
	}
	return ino, nil
}

// Names lists a directory, but for "." and "..", in no order.
func (r *Reader) Names(dir *Inode) (names []string, err error) {
	err = r.entries(dir, func(name string, _ uint32) bool {
		names = append(names, name)
		return true
	})
	return names, err
}

// entries calls fn for the entries of a directory until it returns false. The tree of hashes that large directories have
// looks like entries that are not in use.
//
// Source: "Directory Entries", "Linear (Classic) Directories".
func (r *Reader) entries(dir *Inode, fn func(name string, inode uint32) bool) error {
	if dir.Type != Directory {
		return ErrNotDir
	}
	if dir.Size > maxDir {
		return corrupt("inode %d: directory of %d bytes", dir.number, dir.Size)
	}
	b := make([]byte, r.block)
	for off := int64(0); off < dir.Size; off += r.block {
		if n, err := r.ReadAt(dir, b[:min(r.block, dir.Size-off)], off); err != nil {
			return err
		} else if more, err := r.blockEntries(dir, b[:n], fn); err != nil || !more {
			return err
		}
	}
	return nil
}

func (r *Reader) blockEntries(dir *Inode, b []byte, fn func(name string, inode uint32) bool) (more bool, err error) {
	for len(b) >= 8 {
		n, length, nameLen := le.Uint32(b), int(le.Uint16(b[4:])), int(b[6])
		if length == 0xffff || length == 0 && r.block == 64<<10 { // 64 KiB do not fit
			length = len(b)
		}
		if length < 8 || length > len(b) || 8+nameLen > length {
			return false, corrupt("inode %d: directory entry", dir.number)
		}
		name := string(b[8 : 8+nameLen])
		if n != 0 && name != "." && name != ".." && name != "" && !strings.ContainsAny(name, "/\x00") && !fn(name, n) {
			return false, nil
		}
		b = b[length:]
	}
	return true, nil
}

// xattrMagic begins a list of extended attributes.
const xattrMagic = 0xea020000

// Opaque tells whether a directory of an overlay layer hides what lies below it.
func (r *Reader) Opaque(ino *Inode) bool {
	if len(ino.raw) > 0x82 {
		at := 128 + int(le.Uint16(ino.raw[0x80:]))
		if at+4 <= len(ino.raw) && le.Uint32(ino.raw[at:]) == xattrMagic && opaqueIn(ino.raw[at+4:], ino.raw[at+4:]) {
			return true
		}
	}
	if ino.acl == 0 {
		return false
	}
	b := make([]byte, r.block)
	return r.readBlock(ino.acl, 0, b) == nil && le.Uint32(b) == xattrMagic && opaqueIn(b[32:], b)
}

// opaqueIn looks for user.overlay.opaque or trusted.overlay.opaque with the value y in a list of attributes. Values lie in the bytes values.
//
// Source: "Extended Attributes", ext4_xattr_entry.
func opaqueIn(list, values []byte) bool {
	for len(list) >= 16 && le.Uint32(list) != 0 {
		nameLen, index, at, size := int(list[0]), list[1], int(le.Uint16(list[2:])), le.Uint32(list[8:])
		if 16+nameLen > len(list) {
			return false
		}
		if (index == 1 || index == 4) && string(list[16:16+nameLen]) == "overlay.opaque" && size == 1 && at < len(values) {
			return values[at] == 'y'
		}
		next := (16 + nameLen + 3) &^ 3
		if next > len(list) {
			return false
		}
		list = list[next:]
	}
	return false
}
