// Package ext reads ext2, ext3 and ext4 file systems: as much of them as it takes to look into an image before the
// host's fuse2fs mounts it. A journal that has not been replayed is not looked at.
//
// Images are hostile: every number is checked before use, and what cannot be is an error that wraps [ErrCorrupt].
//
// Source: Linux Documentation/filesystems/ext4.
package ext

import (
	"encoding/binary"
	"errors"
	"fmt"
	"io"
)

// The errors that callers tell apart.
var (
	ErrCorrupt     = errors.New("corrupt ext file system")
	ErrUnsupported = errors.New("unsupported ext file system")
	ErrNotDir      = errors.New("not a directory")
)

func corrupt(format string, args ...any) error {
	return fmt.Errorf("%w: %s", ErrCorrupt, fmt.Sprintf(format, args...))
}

var le = binary.LittleEndian

// Features that change how the file system is read, and the ones that are known.
//
// Source: "The Super Block", s_feature_incompat.
const (
	featureExtents = 0x40
	feature64Bit   = 0x80
	// filetype, recover, mmp, flex_bg, ea_inode, csum_seed, largedir
	featuresKnown = featureExtents | feature64Bit | 0x2 | 0x4 | 0x100 | 0x200 | 0x400 | 0x2000 | 0x4000
)

const (
	superAt   = 1024 // byte of the superblock
	superSize = 1024
	magic     = 0xef53
	rootInode = 2
)

// A Reader gives access to one file system.
type Reader struct {
	src       io.ReaderAt
	block     int64 // bytes
	blocks    uint64
	first     int64 // block with the superblock
	perGroup  uint32
	inodes    uint32
	inodeSize int64
	descSize  int64
	long      bool // 64-bit block numbers
}

// Open reads the superblock of the file system in the first size bytes of src. The error wraps [ErrCorrupt],
// [ErrUnsupported] or what src returned.
func Open(src io.ReaderAt, size int64) (*Reader, error) {
	b := make([]byte, superSize)
	if _, err := io.ReadFull(io.NewSectionReader(src, superAt, superSize), b); err != nil {
		return nil, corrupt("no superblock: %v", err)
	}
	if le.Uint16(b[0x38:]) != magic {
		return nil, corrupt("no superblock")
	}
	r := &Reader{
		src: io.NewSectionReader(src, 0, size), first: int64(le.Uint32(b[0x14:])),
		blocks: uint64(le.Uint32(b[4:])), perGroup: le.Uint32(b[0x28:]), inodes: le.Uint32(b), inodeSize: 128, descSize: 32,
	}
	incompat := le.Uint32(b[0x60:])
	if le.Uint32(b[0x4c:]) > 0 {
		r.inodeSize = int64(le.Uint16(b[0x58:]))
		if unknown := incompat &^ featuresKnown; unknown != 0 {
			return nil, fmt.Errorf("%w: features %#x", ErrUnsupported, unknown)
		}
	}
	if incompat&feature64Bit != 0 {
		r.long, r.descSize = true, int64(le.Uint16(b[0xfe:]))
		r.blocks |= uint64(le.Uint32(b[0x150:])) << 32
	}
	shift := le.Uint32(b[0x18:])
	if shift > 6 || r.perGroup == 0 || r.inodeSize < 128 || r.inodeSize > 1024<<shift || r.descSize < 32 || r.long && r.descSize < 64 || r.first > 1 {
		return nil, corrupt("superblock")
	}
	r.block = 1024 << shift
	return r, nil
}

// Length is the size of the file system in bytes, as it says itself.
func (r *Reader) Length() uint64 { return r.blocks * uint64(r.block) }

// readBlock reads the n bytes at off of a block.
func (r *Reader) readBlock(block uint64, off int64, b []byte) error {
	if block >= r.blocks || block > 1<<47 || off < 0 || off+int64(len(b)) > r.block {
		return corrupt("block %d", block)
	}
	if _, err := r.src.ReadAt(b, int64(block)*r.block+off); err != nil {
		if errors.Is(err, io.EOF) {
			return corrupt("block %d lies behind the end", block)
		}
		return err
	}
	return nil
}

// A Type is the type of an inode, the upper bits of its mode.
type Type uint16

// The types that matter to somebody who looks; there are others.
const (
	CharDevice Type = 0x2000
	Directory  Type = 0x4000
	Regular    Type = 0x8000
	Symlink    Type = 0xa000
)

// An Inode is a decoded inode.
type Inode struct {
	Type Type
	Perm uint16 // mode & 07777
	Size int64
	Null bool // CharDevice: its number is 0:0
	UID  uint32

	number  uint32
	flags   uint32
	acl     uint64 // block with further attributes; 0 none
	raw     []byte // the whole inode
	content [60]byte
}

const (
	flagExtents = 0x80000
	flagInline  = 0x10000000
)

// inode reads the inode with a number.
func (r *Reader) inode(n uint32) (Inode, error) {
	if n == 0 || n > r.inodes {
		return Inode{}, corrupt("inode %d", n)
	}
	desc := make([]byte, r.descSize)
	at := int64((n-1)/r.perGroup) * r.descSize
	if err := r.readBlock(uint64(r.first+1+at/r.block), at%r.block, desc); err != nil {
		return Inode{}, err
	}
	table := uint64(le.Uint32(desc[8:]))
	if r.long {
		table |= uint64(le.Uint32(desc[0x28:])) << 32
	}
	at = int64((n-1)%r.perGroup) * r.inodeSize
	ino := Inode{number: n, raw: make([]byte, r.inodeSize)}
	b := ino.raw
	if err := r.readBlock(table+uint64(at/r.block), at%r.block, b); err != nil {
		return Inode{}, fmt.Errorf("inode %d: %w", n, err)
	}
	mode := le.Uint16(b)
	ino.Type, ino.Perm, ino.flags = Type(mode&0xf000), mode&0o7777, le.Uint32(b[0x20:])
	ino.UID = uint32(le.Uint16(b[2:])) | uint32(le.Uint16(b[0x78:]))<<16
	ino.acl = uint64(le.Uint32(b[0x68:])) | uint64(le.Uint16(b[0x76:]))<<32
	copy(ino.content[:], b[0x28:])
	ino.Size = int64(le.Uint32(b[4:]))
	if ino.Type == Regular || ino.Type == Directory {
		ino.Size |= int64(le.Uint32(b[0x6c:])) << 32
	}
	ino.Null = ino.Type == CharDevice && le.Uint32(ino.content[:]) == 0 && le.Uint32(ino.content[4:]) == 0
	if ino.Size < 0 || ino.flags&flagInline != 0 {
		return ino, corrupt("inode %d", n)
	}
	return ino, nil
}
