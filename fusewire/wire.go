// Package fusewire has the structures of the FUSE protocol, version 7, as the kernel lays them out in memory
// (include/uapi/linux/fuse.h). All fields are in host byte order, every structure is a multiple of 8 bytes, and
// only what a server of ours reads or answers is here.
package fusewire

// Protocol version offered to the kernel. The kernel speaks the smaller of the
// two minors; 38 is the newest whose structures this file follows.
const (
	Major = 7
	Minor = 38
	// MinMinor is the oldest kernel protocol served: Linux 4.18's, whose
	// InitOut has MaxPages' place and whose structures have today's sizes.
	MinMinor = 27
)

// RootNode is the node id that the kernel gives to the root (FUSE_ROOT_ID).
const RootNode = 1

// Operation codes (enum fuse_opcode).
const (
	OpLookup        = 1
	OpForget        = 2
	OpGetattr       = 3
	OpSetattr       = 4
	OpReadlink      = 5
	OpSymlink       = 6
	OpMknod         = 8
	OpMkdir         = 9
	OpUnlink        = 10
	OpRmdir         = 11
	OpRename        = 12
	OpLink          = 13
	OpOpen          = 14
	OpRead          = 15
	OpWrite         = 16
	OpStatfs        = 17
	OpRelease       = 18
	OpFsync         = 20
	OpSetxattr      = 21
	OpGetxattr      = 22
	OpListxattr     = 23
	OpRemovexattr   = 24
	OpFlush         = 25
	OpInit          = 26
	OpOpendir       = 27
	OpReaddir       = 28
	OpReleasedir    = 29
	OpFsyncdir      = 30
	OpCreate        = 35
	OpDestroy       = 38
	OpIoctl         = 39
	OpBatchForget   = 42
	OpFallocate     = 43
	OpReaddirplus   = 44
	OpRename2       = 45
	OpLseek         = 46
	OpCopyFileRange = 47
	OpTmpfile       = 51
)

// Flags of INIT (FUSE_*).
const (
	FlagAsyncRead       = 1 << 0
	FlagExportSupport   = 1 << 4
	FlagBigWrites       = 1 << 5
	FlagDoReaddirplus   = 1 << 13
	FlagReaddirplusAuto = 1 << 14
	FlagNoOpenSupport   = 1 << 17
	FlagParallelDirops  = 1 << 18
	FlagMaxPages        = 1 << 22
	FlagCacheSymlinks   = 1 << 23
	FlagNoOpendirSupp   = 1 << 24
	FlagInitExt         = 1 << 30
)

// Flag2DirectIOMmap is one of Flags2: files that are read past the kernel's pages can be mapped and shared (FUSE_DIRECT_IO_ALLOW_MMAP, Linux 6.6).
const Flag2DirectIOMmap = 1 << 4

// Flags of OpenOut (FOPEN_*).
const (
	OpenDirectIO  = 1 << 0
	OpenKeepCache = 1 << 1
	OpenCacheDir  = 1 << 3
)

// Flags of SetattrIn (FATTR_*).
const (
	SetMode     = 1 << 0
	SetUID      = 1 << 1
	SetGID      = 1 << 2
	SetSize     = 1 << 3
	SetAtime    = 1 << 4
	SetMtime    = 1 << 5
	SetFh       = 1 << 6 // Fh is valid
	SetAtimeNow = 1 << 7
	SetMtimeNow = 1 << 8
)

// GetattrFh is the flag of GetattrIn that its Fh is valid.
const GetattrFh = 1 << 0

// Sizes in bytes of the structures that are counted in.
const (
	InHeaderSize  = 40
	OutHeaderSize = 16
	EntryOutSize  = 128
	DirentSize    = 24
)

// An InHeader begins every request.
type InHeader struct {
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

// An OutHeader begins every reply.
type OutHeader struct {
	Len    uint32
	Error  int32 // 0 or a negative errno
	Unique uint64
}

// An InitIn is the request of INIT.
type InitIn struct {
	Major        uint32
	Minor        uint32
	MaxReadahead uint32
	Flags        uint32
}

// An InitExt follows where a kernel has FlagInitExt.
type InitExt struct {
	Flags2 uint32
	Unused [11]uint32
}

// An InitOut is the reply to INIT.
type InitOut struct {
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

// An Attr is what stat(2) tells.
type Attr struct {
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

// An AttrOut is the reply to GETATTR and SETATTR.
type AttrOut struct {
	AttrValid     uint64 // seconds
	AttrValidNsec uint32
	Reserved      uint32
	Attr          Attr
}

// An EntryOut is the reply to LOOKUP and to what makes a name.
type EntryOut struct {
	Node           uint64 // 0: no such name, to be cached as such
	Generation     uint64
	EntryValid     uint64 // seconds
	AttrValid      uint64 // seconds
	EntryValidNsec uint32
	AttrValidNsec  uint32
	Attr           Attr
}

// A Dirent is followed by the name, padded with zeros to a multiple of 8 bytes.
type Dirent struct {
	Ino     uint64
	Off     uint64 // where the *next* entry is
	NameLen uint32
	Type    uint32 // DT_*
}

// A ReadIn is the request of READ, READDIR and READDIRPLUS.
type ReadIn struct {
	Fh        uint64
	Offset    uint64
	Size      uint32
	ReadFlags uint32
	LockOwner uint64
	Flags     uint32
	Reserved  uint32
}

// A GetxattrIn is the request of GETXATTR, followed by the name, and LISTXATTR.
type GetxattrIn struct {
	Size     uint32 // 0: the caller asks for the size only
	Reserved uint32
}

// A GetxattrOut is the reply to those with a size of 0.
type GetxattrOut struct {
	Size     uint32
	Reserved uint32
}

// A StatfsOut is the reply to STATFS.
type StatfsOut struct {
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

// An OpenOut is the reply to OPEN and OPENDIR.
type OpenOut struct {
	Fh       uint64
	Flags    uint32 // FOPEN_*
	Reserved uint32
}

// An LseekIn is the request of LSEEK.
type LseekIn struct {
	Fh       uint64
	Offset   uint64
	Whence   uint32
	Reserved uint32
}

// An LseekOut is the reply to it.
type LseekOut struct {
	Offset uint64
}

// A ForgetIn is the request of FORGET.
type ForgetIn struct{ Lookups uint64 }

// A BatchForgetIn is the request of BATCH_FORGET, followed by Count of ForgetOne.
type BatchForgetIn struct {
	Count    uint32
	Reserved uint32
}

// A ForgetOne is a node that the kernel forgets.
type ForgetOne struct {
	Node    uint64
	Lookups uint64
}

// A GetattrIn is the request of GETATTR.
type GetattrIn struct {
	Flags    uint32
	Reserved uint32
	Fh       uint64
}

// A SetattrIn is the request of SETATTR.
type SetattrIn struct {
	Valid     uint32 // Set*
	Reserved  uint32
	Fh        uint64
	Size      uint64
	LockOwner uint64
	Atime     uint64
	Mtime     uint64
	Ctime     uint64
	AtimeNsec uint32
	MtimeNsec uint32
	CtimeNsec uint32
	Mode      uint32
	Reserved2 uint32
	UID       uint32
	GID       uint32
	Reserved3 uint32
}

// A MknodIn is the request of MKNOD, followed by the name.
type MknodIn struct {
	Mode     uint32
	Rdev     uint32 // new_encode_dev
	Umask    uint32
	Reserved uint32
}

// A MkdirIn is the request of MKDIR, followed by the name.
type MkdirIn struct {
	Mode  uint32
	Umask uint32
}

// A RenameIn is the request of RENAME, followed by both names.
type RenameIn struct{ NewDir uint64 }

// A Rename2In is the request of RENAME2, followed by both names.
type Rename2In struct {
	NewDir   uint64
	Flags    uint32 // RENAME_*
	Reserved uint32
}

// A LinkIn is the request of LINK, followed by the name.
type LinkIn struct{ Node uint64 }

// An OpenIn is the request of OPEN and OPENDIR.
type OpenIn struct {
	Flags     uint32 // O_*
	OpenFlags uint32
}

// A CreateIn is the request of CREATE, followed by the name.
type CreateIn struct {
	Flags     uint32 // O_*
	Mode      uint32
	Umask     uint32
	OpenFlags uint32
}

// A ReleaseIn is the request of RELEASE and RELEASEDIR.
type ReleaseIn struct {
	Fh        uint64
	Flags     uint32
	RelFlags  uint32
	LockOwner uint64
}

// A WriteIn is the request of WRITE, followed by Size bytes.
type WriteIn struct {
	Fh         uint64
	Offset     uint64
	Size       uint32
	WriteFlags uint32
	LockOwner  uint64
	Flags      uint32
	Reserved   uint32
}

// A WriteOut is the reply to it.
type WriteOut struct {
	Size     uint32
	Reserved uint32
}

// An FsyncIn is the request of FSYNC and FSYNCDIR.
type FsyncIn struct {
	Fh       uint64
	Flags    uint32 // 1: data alone
	Reserved uint32
}

// A SetxattrIn is the request of SETXATTR, followed by the name and Size bytes.
type SetxattrIn struct {
	Size  uint32
	Flags uint32 // XATTR_CREATE, XATTR_REPLACE
}

// A FallocateIn is the request of FALLOCATE.
type FallocateIn struct {
	Fh       uint64
	Offset   uint64
	Length   uint64
	Mode     uint32 // FALLOC_FL_*
	Reserved uint32
}
