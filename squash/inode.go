package squash

import (
	"encoding/binary"
	"fmt"
	"io/fs"
	"math"
	"time"
)

// An Inode is a decoded inode. The zero value is none.
type Inode struct {
	Ref    Ref
	Type   Type
	Perm   uint16 // permission bits and setuid, setgid, sticky: mode & 07777
	UID    uint32
	GID    uint32
	MTime  uint32 // seconds since 1970
	Number uint32 // 1 and up, the same for all names of a file
	Links  uint32
	Size   int64  // Regular: bytes; Symlink: bytes of its text; Directory: as the image says
	Rdev   uint32 // devices: as Linux encodes it for user space (see Device)
	Parent uint32 // Directory: number of the parent's inode; the root's is no inode

	xattr    uint32 // index into the xattr id table, or noXattr
	index    uint16 // Directory: entries of its index
	offset   uint16 // Directory: of its listing, in the decoded block
	start    int64  // Directory: block of its listing, from DirTable; Regular: its first data block
	fragment uint32 // Regular: index of the fragment with its tail, or noFragment
	tail     uint32 // Regular: offset of its tail in the fragment
	more     place  // what follows the fixed part: block sizes, link text, directory index
}

// A place is a position in the stream of metadata blocks.
type place struct {
	pos int64 // of the block's header, in the image
	off int   // in the decoded block
}

// HasXattrs tells whether the inode has extended attributes.
func (i *Inode) HasXattrs() bool { return i.xattr != noXattr }

// Device returns a device's major and minor numbers.
func (i *Inode) Device() (major, minor uint32) {
	return i.Rdev >> 8 & 0xfff, i.Rdev&0xff | i.Rdev>>12&0xfff00
}

// Mode returns type and permissions as the fs package writes them.
func (i *Inode) Mode() fs.FileMode {
	m := i.Type.Mode() | fs.FileMode(i.Perm&0o777)
	if i.Perm&0o4000 != 0 {
		m |= fs.ModeSetuid
	}
	if i.Perm&0o2000 != 0 {
		m |= fs.ModeSetgid
	}
	if i.Perm&0o1000 != 0 {
		m |= fs.ModeSticky
	}
	return m
}

// ModTime returns the time of the last change.
func (i *Inode) ModTime() time.Time { return time.Unix(int64(i.MTime), 0) }

// inodeSize is the length of the fixed part behind the common header, by type
// on disk.
//
// Source: format.adoc, "Inode Table".
var inodeSize = [15]int{1: 16, 16, 8, 8, 8, 4, 4, 24, 40, 8, 12, 12, 8, 8}

// Inode decodes the inode at ref.
func (r *Reader) Inode(ref Ref) (Inode, error) {
	ino, err := r.inode(ref)
	if err != nil {
		return Inode{}, fmt.Errorf("inode %#x: %w", uint64(ref), err)
	}
	return ino, nil
}

func (r *Reader) inode(ref Ref) (Inode, error) {
	pos := r.super.InodeTable + uint64(ref>>16)
	if ref>>48 != 0 || pos >= r.super.DirTable {
		return Inode{}, corrupt("outside of the inode table")
	}
	c, err := r.metaAt(int64(pos), int(ref&0xffff))
	if err != nil {
		return Inode{}, err
	}
	var buf [40]byte
	b, err := c.take(inodeHeader, buf[:])
	if err != nil {
		return Inode{}, err
	}
	le := binary.LittleEndian
	t := le.Uint16(b)
	ino := Inode{
		Ref:      ref,
		Perm:     le.Uint16(b[2:]) & 0o7777,
		MTime:    le.Uint32(b[8:]),
		Number:   le.Uint32(b[12:]),
		xattr:    noXattr,
		fragment: noFragment,
	}
	if t == 0 || int(t) >= len(inodeSize) {
		return Inode{}, corrupt("type %d", t)
	}
	if ino.UID, err = r.id(le.Uint16(b[4:])); err != nil {
		return Inode{}, err
	}
	if ino.GID, err = r.id(le.Uint16(b[6:])); err != nil {
		return Inode{}, err
	}
	if b, err = c.take(inodeSize[t], buf[:]); err != nil {
		return Inode{}, err
	}
	if t > extended {
		ino.Type = Type(t - extended)
		ino.decodeExtended(b)
	} else {
		ino.Type = Type(t)
		ino.decodeBasic(b)
	}
	ino.more.pos, ino.more.off = c.place()
	if t == uint16(Symlink)+extended { // the only type with something behind its variable part
		if err := ino.linkXattr(&c); err != nil {
			return Inode{}, err
		}
	}
	return ino, ino.check()
}

// decodeBasic reads the fixed part of a basic inode.
func (i *Inode) decodeBasic(b []byte) {
	le := binary.LittleEndian
	switch i.Type {
	case Directory:
		i.start = int64(le.Uint32(b))
		i.Links = le.Uint32(b[4:])
		i.Size = int64(le.Uint16(b[8:]))
		i.offset = le.Uint16(b[10:])
		i.Parent = le.Uint32(b[12:])
	case Regular:
		i.start = int64(le.Uint32(b))
		i.fragment = le.Uint32(b[4:])
		i.tail = le.Uint32(b[8:])
		i.Size = int64(le.Uint32(b[12:]))
		i.Links = 1
	default:
		i.decodeSpecial(b)
	}
}

// decodeExtended reads the fixed part of an extended inode.
func (i *Inode) decodeExtended(b []byte) {
	le := binary.LittleEndian
	switch i.Type {
	case Directory:
		i.Links = le.Uint32(b)
		i.Size = int64(le.Uint32(b[4:]))
		i.start = int64(le.Uint32(b[8:]))
		i.Parent = le.Uint32(b[12:])
		i.index = le.Uint16(b[16:])
		i.offset = le.Uint16(b[18:])
		i.xattr = le.Uint32(b[20:])
	case Regular:
		i.start = int64(le.Uint64(b))
		i.Size = int64(le.Uint64(b[8:]))
		i.Links = le.Uint32(b[24:])
		i.fragment = le.Uint32(b[28:])
		i.tail = le.Uint32(b[32:])
		i.xattr = le.Uint32(b[36:])
	default:
		i.decodeSpecial(b)
		if i.Type != Symlink {
			i.xattr = le.Uint32(b[len(b)-4:])
		}
	}
}

// decodeSpecial reads what basic and extended links, devices, fifos and
// sockets have in common.
func (i *Inode) decodeSpecial(b []byte) {
	le := binary.LittleEndian
	i.Links = le.Uint32(b)
	switch i.Type {
	case Symlink:
		i.Size = int64(le.Uint32(b[4:]))
	case BlockDevice, CharDevice:
		i.Rdev = le.Uint32(b[4:])
	}
}

// linkXattr reads an extended symlink's xattr index, behind its text.
func (i *Inode) linkXattr(c *metaCursor) error {
	if err := i.check(); err != nil {
		return err
	}
	if err := c.skip(int(i.Size)); err != nil {
		return err
	}
	var buf [4]byte
	b, err := c.take(4, buf[:])
	if err != nil {
		return err
	}
	i.xattr = binary.LittleEndian.Uint32(b)
	return nil
}

func (i *Inode) check() error {
	switch {
	case i.Size < 0 || i.Size > math.MaxInt64-MaxBlockSize:
		return corrupt("size %d", uint64(i.Size))
	case i.start < 0:
		return corrupt("data at %d", uint64(i.start))
	case i.Type == Symlink && (i.Size == 0 || i.Size > maxLinkLen):
		return corrupt("symbolic link of %d bytes", i.Size)
	case i.Type == Directory && i.offset >= MetaSize:
		return corrupt("directory at offset %d of a block", i.offset)
	}
	return nil
}

// Readlink returns the text of a symbolic link.
func (r *Reader) Readlink(ino *Inode) (string, error) {
	if ino.Type != Symlink {
		return "", ErrNotSymlink
	}
	c, err := r.metaAt(ino.more.pos, ino.more.off)
	if err != nil {
		return "", err
	}
	text, err := c.take(int(ino.Size), nil)
	return string(text), err
}
