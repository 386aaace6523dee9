package squash

import (
	"encoding/binary"
	"fmt"
	"io/fs"
)

// Sizes and limits of the format.
//
// Source: squashfs-tools-ng doc/format.adoc; Linux fs/squashfs/squashfs_fs.h.
const (
	Magic        = 0x73717368 // "hsqs", little endian
	magicSwapped = 0x68737173 // the same from a big-endian writer of version 3 and before

	SuperSize    = 96      // bytes of the superblock
	MetaSize     = 8192    // decoded bytes of every metadata block but the last of a table
	MinBlockSize = 4 << 10 // bytes
	MaxBlockSize = 1 << 20 // bytes

	metaHeaderSize = 2
	metaStored     = 1 << 15 // in a metadata header: the block is not compressed
	dataStored     = 1 << 24 // in a data block size: the block is not compressed
	dataSizeMask   = dataStored - 1

	noTable    = ^uint64(0) // table position: the image has no such table
	noFragment = ^uint32(0) // fragment index: the file has no tail end
	noXattr    = ^uint32(0) // xattr index: the inode has no extended attributes

	maxNameLen    = 256     // bytes of an entry's name
	maxRunEntries = 256     // entries after one directory header
	maxLinkLen    = 1 << 16 // bytes of a symbolic link's text
	maxXattrValue = 1 << 16 // bytes of an attribute's value (Linux XATTR_SIZE_MAX)
	maxXattrCount = 1 << 16 // attributes of one inode
	dirSizeBias   = 3       // a directory's size counts 3 bytes for "." and ".."

	dirHeaderSize = 12
	dirEntrySize  = 8
	dirIndexSize  = 12
	fragmentSize  = 16 // bytes of a fragment table entry
	xattrIDSize   = 16 // bytes of an xattr id table entry
	xattrSuper    = 16 // bytes in front of the xattr id table's block list
	inodeHeader   = 16 // bytes that all inodes begin with
)

// A Compressor is the id of a compression algorithm.
type Compressor uint16

// The compressors. Source: format.adoc, "The Superblock".
const (
	Gzip Compressor = 1 + iota // zlib streams (RFC 1950)
	LZMA                       // LZMA alone; written by very old tools only
	LZO                        // LZO1X
	XZ                         // xz streams with one LZMA2 block
	LZ4                        // raw LZ4 blocks
	Zstd
)

// String returns the name that mksquashfs uses.
func (c Compressor) String() string {
	switch c {
	case Gzip:
		return "gzip"
	case LZMA:
		return "lzma"
	case LZO:
		return "lzo"
	case XZ:
		return "xz"
	case LZ4:
		return "lz4"
	case Zstd:
		return "zstd"
	}
	return fmt.Sprintf("compressor %d", uint16(c))
}

// Flags are the superblock's flags.
type Flags uint16

// The flags. Source: format.adoc, "The Superblock".
const (
	FlagInodesStored    Flags = 1 << 0 // inode table blocks are not compressed
	FlagDataStored      Flags = 1 << 1
	FlagFragmentsStored Flags = 1 << 3
	FlagNoFragments     Flags = 1 << 4
	FlagAlwaysFragments Flags = 1 << 5
	FlagDuplicates      Flags = 1 << 6 // equal files share their blocks
	FlagExportable      Flags = 1 << 7 // there is an export table
	FlagXattrsStored    Flags = 1 << 8
	FlagNoXattrs        Flags = 1 << 9
	FlagOptions         Flags = 1 << 10 // compressor options follow the superblock
	FlagIDsStored       Flags = 1 << 11
)

// A Ref locates an inode: the position of its metadata block relative to the
// inode table, shifted left by 16 bits, plus its offset in the decoded block.
// It fits 48 bits.
type Ref uint64

// A Type is the kind of an inode. Values are the format's basic inode types.
type Type uint8

// The types. Source: format.adoc, "Inode Table".
const (
	Directory Type = 1 + iota
	Regular
	Symlink
	BlockDevice
	CharDevice
	Fifo
	Socket

	extended = 7 // an extended inode's type is its basic type plus this
)

// Mode returns the type bits of an fs.FileMode.
func (t Type) Mode() fs.FileMode {
	switch t {
	case Regular:
		return 0
	case Directory:
		return fs.ModeDir
	case Symlink:
		return fs.ModeSymlink
	case BlockDevice:
		return fs.ModeDevice
	case CharDevice:
		return fs.ModeDevice | fs.ModeCharDevice
	case Fifo:
		return fs.ModeNamedPipe
	case Socket:
		return fs.ModeSocket
	}
	return fs.ModeIrregular
}

// A Super is the decoded superblock. Table positions are bytes from the start
// of the image; 1<<64-1 means that there is no such table.
type Super struct {
	Inodes     uint32 // number of inodes
	MTime      uint32 // seconds since 1970 of the image's creation
	BlockSize  uint32 // bytes of a decoded data block
	Fragments  uint32 // number of fragment blocks
	Compressor Compressor
	BlockLog   uint16 // log2 of BlockSize
	Flags      Flags
	IDs        uint16 // number of user and group ids
	Major      uint16
	Minor      uint16
	Root       Ref
	BytesUsed  uint64 // length of the image without padding

	IDTable       uint64
	XattrTable    uint64
	InodeTable    uint64
	DirTable      uint64
	FragmentTable uint64
	ExportTable   uint64
}

// decode reads the superblock's fields without judging them.
func (s *Super) decode(b *[SuperSize]byte) (magic uint32) {
	le := binary.LittleEndian
	*s = Super{
		Inodes:        le.Uint32(b[4:]),
		MTime:         le.Uint32(b[8:]),
		BlockSize:     le.Uint32(b[12:]),
		Fragments:     le.Uint32(b[16:]),
		Compressor:    Compressor(le.Uint16(b[20:])),
		BlockLog:      le.Uint16(b[22:]),
		Flags:         Flags(le.Uint16(b[24:])),
		IDs:           le.Uint16(b[26:]),
		Major:         le.Uint16(b[28:]),
		Minor:         le.Uint16(b[30:]),
		Root:          Ref(le.Uint64(b[32:])),
		BytesUsed:     le.Uint64(b[40:]),
		IDTable:       le.Uint64(b[48:]),
		XattrTable:    le.Uint64(b[56:]),
		InodeTable:    le.Uint64(b[64:]),
		DirTable:      le.Uint64(b[72:]),
		FragmentTable: le.Uint64(b[80:]),
		ExportTable:   le.Uint64(b[88:]),
	}
	return le.Uint32(b[:])
}

// check judges the superblock of an image of size bytes.
func (s *Super) check(magic uint32, size int64) error {
	switch {
	case magic == magicSwapped:
		return fmt.Errorf("%w: big-endian, from before version 4", ErrUnsupported)
	case magic != Magic:
		return ErrNotSquashfs
	case s.Major != 4 || s.Minor != 0:
		return fmt.Errorf("%w: version %d.%d, want 4.0", ErrUnsupported, s.Major, s.Minor)
	case s.BlockSize < MinBlockSize || s.BlockSize > MaxBlockSize || s.BlockLog > 20 || s.BlockSize != 1<<s.BlockLog:
		return corrupt("block size %d, log %d", s.BlockSize, s.BlockLog)
	case s.BytesUsed < SuperSize:
		return corrupt("%d bytes used", s.BytesUsed)
	case s.BytesUsed > uint64(size):
		return corrupt("truncated: it should have %d bytes and has %d", s.BytesUsed, size)
	case s.IDs == 0:
		return corrupt("no user and group ids")
	case s.InodeTable < SuperSize || s.InodeTable >= s.DirTable || s.DirTable > s.BytesUsed:
		return corrupt("inode table at %d, directory table at %d of %d", s.InodeTable, s.DirTable, s.BytesUsed)
	}
	for _, t := range []struct {
		name string
		pos  uint64
		none bool // the table may be missing
	}{
		{"id", s.IDTable, false},
		{"xattr", s.XattrTable, true},
		{"fragment", s.FragmentTable, true},
		{"export", s.ExportTable, true},
	} {
		if t.pos == noTable && t.none {
			continue
		}
		if t.pos < s.DirTable || t.pos >= s.BytesUsed {
			return corrupt("%s table at %d of %d", t.name, t.pos, s.BytesUsed)
		}
	}
	return nil
}
