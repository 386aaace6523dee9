// Package mkfs makes ext4 file systems for writable layers: empty ones, with the directories upper and work and what is to be
// in upper from the start.
//
// It writes what e2fsck finds nothing to say about and nothing more: blocks of 4 KiB, extents, no journal (fuse2fs, which
// serves it, keeps none), no checksums. All that is not written reads as zeros, so that a sparse file stays sparse.
//
// github.com/diskfs/go-diskfs makes such file systems as well, which e2fsck finds clean from 64 MiB to 10 GiB. For an empty one it is
// a large dependency.
//
// Source: Linux Documentation/filesystems/ext4.
package mkfs

import (
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"time"
)

// ErrSize says that a file system cannot have that size.
var ErrSize = errors.New("a layer's size is from 8 MiB to 8 TiB")

// Options say what is in a file system. The zero value works: everything belongs to root.
type Options struct {
	UID, GID int      // who owns the directories
	Dirs     []string // absolute paths of directories in upper, made with those above them
	UUID     [16]byte
	Time     time.Time
}

const (
	blockSize      = 4096
	blocksPerGroup = 8 * blockSize // as many as a bitmap of one block has bits
	inodeSize      = 256
	descSize       = 32
	minSize        = 8 << 20
	maxSize        = 8 << 40

	rootInode  = 2
	firstInode = 11 // lost+found; those before it are reserved
)

var le = binary.LittleEndian

// A layout is where everything goes.
type layout struct {
	blocks   uint32 // in all
	groups   uint32
	perGroup uint32 // inodes in a group
	descs    uint32 // blocks with group descriptors
	table    uint32 // blocks with inodes in a group
	o        *Options
	dirs     []*dir // in the order of their inodes, the root first
	first    uint32 // block of the first directory
	used     uint32 // blocks of directories
}

// Write makes a file system of size bytes in dst, which has to read as zeros there. The error wraps [ErrSize] or what dst
// returned, or says that there is no room for the directories.
func Write(dst io.WriterAt, size int64, o *Options) error {
	if size < minSize || size > maxSize {
		return ErrSize
	}
	l := plan(size, o)
	if err := l.tree(); err != nil {
		return err
	}
	for _, d := range l.dirs {
		if err := l.writeDir(dst, d); err != nil {
			return err
		}
	}
	descs := make([]byte, l.descs*blockSize)
	var freeBlocks, freeInodes uint32
	for g := range l.groups {
		blocks, inodes, err := l.writeGroup(dst, g, descs[g*descSize:])
		if err != nil {
			return err
		}
		freeBlocks, freeInodes = freeBlocks+blocks, freeInodes+inodes
	}
	for g := l.groups; g > 0; g-- { // the first superblock comes last: until then there is no file system
		if err := l.writeSuper(dst, g-1, descs, freeBlocks, freeInodes); err != nil {
			return err
		}
	}
	return nil
}

// plan lays out a file system of size bytes.
func plan(size int64, o *Options) *layout {
	l := &layout{blocks: uint32(size / blockSize), o: o}
	ratio := int64(16 << 10) // bytes for each inode, as mke2fs has it
	if size < 512<<20 {
		ratio = 8 << 10
	}
	for {
		l.groups = (l.blocks + blocksPerGroup - 1) / blocksPerGroup
		l.descs = (l.groups*descSize + blockSize - 1) / blockSize
		const inBlock = blockSize / inodeSize
		l.perGroup = (uint32(size/ratio)/l.groups + inBlock - 1) / inBlock * inBlock
		l.table = l.perGroup / inBlock
		// A last group without room for its own tables is none.
		if last := l.blocks - (l.groups-1)*blocksPerGroup; l.groups > 1 && last < l.overhead(l.groups-1)+50 {
			l.blocks -= last
			continue
		}
		return l
	}
}

// hasSuper tells whether a group begins with a copy of the superblock and the descriptors (sparse_super).
func hasSuper(g uint32) bool {
	if g < 2 {
		return true
	}
	for _, base := range []uint32{3, 5, 7} {
		n := base
		for n < g {
			n *= base
		}
		if n == g {
			return true
		}
	}
	return false
}

// overhead is how many blocks of a group hold no files.
func (l *layout) overhead(g uint32) uint32 { return l.bitmap(g) - g*blocksPerGroup + 2 + l.table }

// bitmap is the block with the bitmap of a group's blocks; that of its inodes, and the inodes, follow.
func (l *layout) bitmap(g uint32) uint32 {
	at := g * blocksPerGroup
	if hasSuper(g) {
		at += 1 + l.descs
	}
	return at
}

// writeGroup writes the bitmaps of a group and fills in its descriptor.
func (l *layout) writeGroup(dst io.WriterAt, g uint32, desc []byte) (freeBlocks, freeInodes uint32, err error) {
	size := min(l.blocks-g*blocksPerGroup, blocksPerGroup)
	used, inodes, dirs := l.overhead(g), uint32(0), uint32(0)
	if g == 0 {
		used, inodes, dirs = used+l.used, firstInode-1+uint32(len(l.dirs)-1), uint32(len(l.dirs))
	}
	at := l.bitmap(g)
	if err := writeBitmap(dst, at, used, size); err != nil {
		return 0, 0, err
	}
	if err := writeBitmap(dst, at+1, inodes, l.perGroup); err != nil {
		return 0, 0, err
	}
	le.PutUint32(desc[0:], at)
	le.PutUint32(desc[4:], at+1)
	le.PutUint32(desc[8:], at+2)
	le.PutUint16(desc[12:], uint16(size-used))
	le.PutUint16(desc[14:], uint16(l.perGroup-inodes))
	le.PutUint16(desc[16:], uint16(dirs))
	return size - used, l.perGroup - inodes, nil
}

// writeBitmap writes a bitmap in which the first used bits are set, and those from size on, which stand for nothing.
func writeBitmap(dst io.WriterAt, block, used, size uint32) error {
	b := make([]byte, blockSize)
	for i := range uint32(8 * blockSize) {
		if i < used || i >= size {
			b[i/8] |= 1 << (i % 8)
		}
	}
	return writeBlock(dst, block, b)
}

func writeBlock(dst io.WriterAt, block uint32, b []byte) error {
	if _, err := dst.WriteAt(b, int64(block)*blockSize); err != nil {
		return fmt.Errorf("write block %d: %w", block, err)
	}
	return nil
}

// Features, and other numbers of the superblock.
const (
	compatible   = 0x8                     // extended attributes
	incompatible = 0x2 | 0x40              // types in directories, extents
	readOnly     = 0x1 | 0x2 | 0x20 | 0x40 // sparse_super, large_file, dir_nlink, extra_isize
	extraISize   = 32                      // bytes of an inode behind the first 128 that are in use
	reservedPart = 50                      // the part of all blocks that files cannot have: fuse2fs gets into trouble without
)

// writeSuper writes the superblock and the descriptors to a group that has them.
func (l *layout) writeSuper(dst io.WriterAt, g uint32, descs []byte, freeBlocks, freeInodes uint32) error {
	if !hasSuper(g) {
		return nil
	}
	now := uint32(l.o.Time.Unix())
	b := make([]byte, 1024)
	for at, v := range map[int]uint32{
		0x00: l.perGroup * l.groups, 0x04: l.blocks, 0x08: l.blocks / reservedPart, 0x0c: freeBlocks, 0x10: freeInodes,
		0x18: 2, 0x1c: 2, 0x20: blocksPerGroup, 0x24: blocksPerGroup, 0x28: l.perGroup, // 1024 << 2
		0x30: now, 0x40: now, 0x108: now, 0x4c: 1, 0x54: firstInode,
		0x5c: compatible, 0x60: incompatible, 0x64: readOnly,
	} {
		le.PutUint32(b[at:], v)
	}
	for at, v := range map[int]uint16{
		0x36: 0xffff, 0x38: 0xef53, 0x3a: 1, 0x3c: 1, // as many mounts as one likes; magic; clean; go on after errors
		0x58: inodeSize, 0x5a: uint16(g), 0x15c: extraISize, 0x15e: extraISize,
	} {
		le.PutUint16(b[at:], v)
	}
	copy(b[0x68:], l.o.UUID[:])
	at := int64(g) * blocksPerGroup * blockSize
	if _, err := dst.WriteAt(descs, at+blockSize); err != nil {
		return fmt.Errorf("write descriptors: %w", err)
	}
	if g == 0 {
		at = 1024
	}
	if _, err := dst.WriteAt(b, at); err != nil {
		return fmt.Errorf("write superblock: %w", err)
	}
	return nil
}
