package fuse

import "coracle/fusewire"

// The protocol's names, as this package uses them.

type (
	inHeader    = fusewire.InHeader
	outHeader   = fusewire.OutHeader
	initIn      = fusewire.InitIn
	initOut     = fusewire.InitOut
	attr        = fusewire.Attr
	attrOut     = fusewire.AttrOut
	entryOut    = fusewire.EntryOut
	dirent      = fusewire.Dirent
	readIn      = fusewire.ReadIn
	getxattrIn  = fusewire.GetxattrIn
	getxattrOut = fusewire.GetxattrOut
	statfsOut   = fusewire.StatfsOut
	openOut     = fusewire.OpenOut
	lseekIn     = fusewire.LseekIn
	lseekOut    = fusewire.LseekOut
)

const (
	protoMajor = fusewire.Major
	protoMinor = fusewire.Minor
	minMinor   = fusewire.MinMinor
	rootNode   = fusewire.RootNode

	inHeaderSize  = fusewire.InHeaderSize
	outHeaderSize = fusewire.OutHeaderSize
	entryOutSize  = fusewire.EntryOutSize
	direntSize    = fusewire.DirentSize

	openKeepCache = fusewire.OpenKeepCache
	openCacheDir  = fusewire.OpenCacheDir
)

const (
	opLookup        = fusewire.OpLookup
	opForget        = fusewire.OpForget
	opGetattr       = fusewire.OpGetattr
	opSetattr       = fusewire.OpSetattr
	opReadlink      = fusewire.OpReadlink
	opSymlink       = fusewire.OpSymlink
	opMknod         = fusewire.OpMknod
	opMkdir         = fusewire.OpMkdir
	opUnlink        = fusewire.OpUnlink
	opRmdir         = fusewire.OpRmdir
	opRename        = fusewire.OpRename
	opLink          = fusewire.OpLink
	opOpen          = fusewire.OpOpen
	opRead          = fusewire.OpRead
	opWrite         = fusewire.OpWrite
	opStatfs        = fusewire.OpStatfs
	opRelease       = fusewire.OpRelease
	opSetxattr      = fusewire.OpSetxattr
	opGetxattr      = fusewire.OpGetxattr
	opListxattr     = fusewire.OpListxattr
	opRemovexattr   = fusewire.OpRemovexattr
	opInit          = fusewire.OpInit
	opOpendir       = fusewire.OpOpendir
	opReaddir       = fusewire.OpReaddir
	opReleasedir    = fusewire.OpReleasedir
	opCreate        = fusewire.OpCreate
	opDestroy       = fusewire.OpDestroy
	opIoctl         = fusewire.OpIoctl
	opBatchForget   = fusewire.OpBatchForget
	opFallocate     = fusewire.OpFallocate
	opReaddirplus   = fusewire.OpReaddirplus
	opRename2       = fusewire.OpRename2
	opLseek         = fusewire.OpLseek
	opCopyFileRange = fusewire.OpCopyFileRange
	opTmpfile       = fusewire.OpTmpfile
)

const (
	flagAsyncRead      = fusewire.FlagAsyncRead
	flagExportSupport  = fusewire.FlagExportSupport
	flagDoReaddirplus  = fusewire.FlagDoReaddirplus
	flagNoOpenSupport  = fusewire.FlagNoOpenSupport
	flagParallelDirops = fusewire.FlagParallelDirops
	flagMaxPages       = fusewire.FlagMaxPages
	flagCacheSymlinks  = fusewire.FlagCacheSymlinks
	flagNoOpendirSupp  = fusewire.FlagNoOpendirSupp
)

func view[T any](b []byte) *T    { return fusewire.View[T](b) }
func bytesOf[T any](t *T) []byte { return fusewire.BytesOf(t) }
func textOf(b []byte) string     { return fusewire.TextOf(b) }
