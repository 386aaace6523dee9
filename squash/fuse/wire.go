package fuse

// The structures of the FUSE protocol, version 7, as the kernel lays them out
// in memory (include/uapi/linux/fuse.h). All fields are in host byte order,
// every structure is a multiple of 8 bytes, and only what this server reads or
// answers is here.

// Protocol version offered to the kernel. The kernel speaks the smaller of the
// two minors; 38 is the newest whose structures this file follows.
const (
	protoMajor = 7
	protoMinor = 38
	// minMinor is the oldest kernel protocol served: Linux 4.18's, whose
	// init_out has max_pages' place and whose structures have today's sizes.
	minMinor = 27
)

// rootNode is the node id that the kernel gives to the root (FUSE_ROOT_ID).
const rootNode = 1

// Operation codes (enum fuse_opcode).
const (
	opLookup        = 1
	opForget        = 2
	opGetattr       = 3
	opSetattr       = 4
	opReadlink      = 5
	opSymlink       = 6
	opMknod         = 8
	opMkdir         = 9
	opUnlink        = 10
	opRmdir         = 11
	opRename        = 12
	opLink          = 13
	opOpen          = 14
	opRead          = 15
	opWrite         = 16
	opStatfs        = 17
	opRelease       = 18
	opSetxattr      = 21
	opGetxattr      = 22
	opListxattr     = 23
	opRemovexattr   = 24
	opInit          = 26
	opOpendir       = 27
	opReaddir       = 28
	opReleasedir    = 29
	opCreate        = 35
	opDestroy       = 38
	opIoctl         = 39
	opBatchForget   = 42
	opFallocate     = 43
	opReaddirplus   = 44
	opRename2       = 45
	opLseek         = 46
	opCopyFileRange = 47
	opTmpfile       = 51
)

// Flags of INIT (FUSE_*).
const (
	flagAsyncRead      = 1 << 0
	flagExportSupport  = 1 << 4
	flagDoReaddirplus  = 1 << 13
	flagNoOpenSupport  = 1 << 17
	flagParallelDirops = 1 << 18
	flagMaxPages       = 1 << 22
	flagCacheSymlinks  = 1 << 23
	flagNoOpendirSupp  = 1 << 24
)

type inHeader struct {
	Len      uint32
	Opcode   uint32
	Unique   uint64
	Node     uint64
	UID      uint32
	GID      uint32
	PID      uint32
	ExtLen   uint16 // in 8-byte units
	Reserved uint16
}

type outHeader struct {
	Len    uint32
	Error  int32 // 0 or a negative errno
	Unique uint64
}

type initIn struct {
	Major        uint32
	Minor        uint32
	MaxReadahead uint32
	Flags        uint32
}

type initOut struct {
	Major               uint32
	Minor               uint32
	MaxReadahead        uint32
	Flags               uint32
	MaxBackground       uint16
	CongestionThreshold uint16
	MaxWrite            uint32
	TimeGran            uint32
	MaxPages            uint16
	MapAlignment        uint16
	Flags2              uint32
	Unused              [7]uint32
}

type attr struct {
	Ino       uint64
	Size      uint64
	Blocks    uint64 // of 512 bytes
	Atime     uint64
	Mtime     uint64
	Ctime     uint64
	AtimeNsec uint32
	MtimeNsec uint32
	CtimeNsec uint32
	Mode      uint32
	Nlink     uint32
	UID       uint32
	GID       uint32
	Rdev      uint32 // new_encode_dev
	Blksize   uint32 // 0: the kernel's own choice
	Flags     uint32
}

type attrOut struct {
	AttrValid     uint64 // seconds
	AttrValidNsec uint32
	Reserved      uint32
	Attr          attr
}

type entryOut struct {
	Node           uint64 // 0: no such name, to be cached as such
	Generation     uint64
	EntryValid     uint64 // seconds
	AttrValid      uint64 // seconds
	EntryValidNsec uint32
	AttrValidNsec  uint32
	Attr           attr
}

// dirent is followed by the name, padded with zeros to a multiple of 8 bytes.
type dirent struct {
	Ino     uint64
	Off     uint64 // where the *next* entry is
	NameLen uint32
	Type    uint32 // DT_*
}

// readIn is the request of READ, READDIR and READDIRPLUS.
type readIn struct {
	Fh        uint64
	Offset    uint64
	Size      uint32
	ReadFlags uint32
	LockOwner uint64
	Flags     uint32
	Reserved  uint32
}

type getxattrIn struct {
	Size     uint32 // 0: the caller asks for the size only
	Reserved uint32
}

type getxattrOut struct {
	Size     uint32
	Reserved uint32
}

type statfsOut struct {
	Blocks   uint64
	Bfree    uint64
	Bavail   uint64
	Files    uint64
	Ffree    uint64
	Bsize    uint32
	NameLen  uint32
	Frsize   uint32
	Reserved uint32
	Spare    [6]uint32
}

type openOut struct {
	Fh       uint64
	Flags    uint32 // FOPEN_*
	Reserved uint32
}

// Flags of openOut (FOPEN_*).
const (
	openKeepCache = 1 << 1
	openCacheDir  = 1 << 3
)

type lseekIn struct {
	Fh       uint64
	Offset   uint64
	Whence   uint32
	Reserved uint32
}

type lseekOut struct {
	Offset uint64
}

// Sizes in bytes of the structures that are counted in.
const (
	inHeaderSize  = 40
	outHeaderSize = 16
	entryOutSize  = 128
	direntSize    = 24
)
