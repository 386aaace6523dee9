package fuse

import (
	"bytes"
	"errors"
	"fmt"
	"io/fs"
	"math"

	"golang.org/x/sys/unix"

	"coracle/squash"
)

// forever is a validity in seconds that the kernel takes for the longest it
// has: the image never changes.
const forever = math.MaxInt64

// noReply is what a handler returns for a request that is not answered, or has
// been.
const noReply unix.Errno = math.MaxUint16

// serve answers one request. A panic on the way, which would be a mistake of
// ours, is EIO for that request and nothing else.
func (w *worker) serve(req []byte) {
	h := view[inHeader](req)
	if h == nil || int(h.Len) != len(req) {
		return // not the kernel's
	}
	unique, node := h.Unique, h.Node
	defer func() {
		if p := recover(); p != nil {
			w.unpin()
			w.s.log.add(node, 0, fmt.Errorf("panic: %v", p))
			w.reply(unique, 0, unix.EIO)
		}
	}()
	if w.leader {
		w.s.lone.note(h.Opcode, node)
	}
	n, errno := w.dispatch(h, req[inHeaderSize:])
	if errno != noReply {
		w.reply(unique, n, errno)
	}
	if w.list.whole {
		w.list.whole = false
		w.listed()
	}
}

// dispatch carries a request out. It returns the length of the reply's body,
// in w.out behind the header, or the error to reply.
func (w *worker) dispatch(h *inHeader, arg []byte) (int, unix.Errno) {
	switch h.Opcode {
	case opLookup:
		return w.lookup(h.Node, arg)
	case opRead:
		return w.read(h, arg)
	case opReaddirplus, opReaddir:
		return w.readdir(h, arg)
	case opGetattr:
		return w.getattr(h.Node)
	case opReadlink:
		return w.readlink(h.Node)
	case opForget, opBatchForget:
		return 0, noReply
	case opGetxattr:
		return w.getxattr(h.Node, arg)
	case opListxattr:
		return w.listxattr(h.Node, arg)
	case opStatfs:
		return w.statfs()
	case opLseek:
		return w.lseek(h.Node, arg)
	case opInit:
		return w.init(arg)
	case opOpen, opOpendir:
		return w.open(h.Opcode)
	case opRelease, opReleasedir, opDestroy:
		return 0, 0
	case opIoctl:
		return 0, unix.ENOTTY
	case opSetattr, opSymlink, opMknod, opMkdir, opUnlink, opRmdir, opRename, opRename2, opLink,
		opWrite, opSetxattr, opRemovexattr, opCreate, opTmpfile, opFallocate, opCopyFileRange:
		return 0, unix.EROFS
	}
	// Among the rest: ACCESS, FLUSH, FSYNC, POLL, BMAP, STATX, locks (the kernel
	// then does them itself) and INTERRUPT (every request ends soon).
	return 0, unix.ENOSYS
}

// reply sends w.out[:header+n], or the error alone.
func (w *worker) reply(unique uint64, n int, errno unix.Errno) {
	w.settle()
	if errno != 0 {
		n = 0
	}
	b := w.out[:outHeaderSize+n]
	*view[outHeader](b) = outHeader{Len: uint32(len(b)), Error: -int32(errno), Unique: unique}
	w.s.sent(unique, w.s.write(b))
}

// sent looks at the outcome of a reply. A request that went away (its process
// was killed, the file system unmounted) is nobody's trouble. What the kernel
// will not take must still be answered, or its process waits for ever.
func (s *server) sent(unique uint64, errno unix.Errno) {
	switch errno {
	case 0, unix.ENOENT, unix.ENODEV, unix.EPERM, unix.ECONNABORTED:
		return
	}
	s.log.add(0, 0, fmt.Errorf("reply: %w", errno))
	s.write(bytesOf(&outHeader{Len: outHeaderSize, Error: -int32(unix.EIO), Unique: unique}))
}

// body returns the reply's body as a T, zeroed.
func body[T any](w *worker) (t *T, size int) {
	t = view[T](w.out[outHeaderSize:])
	var zero T
	*t = zero
	return t, len(bytesOf(t))
}

// init agrees with the kernel on what both can do.
func (w *worker) init(arg []byte) (int, unix.Errno) {
	in := view[initIn](arg)
	if in == nil {
		return 0, unix.EIO
	}
	out, n := body[initOut](w)
	out.Major, out.Minor = protoMajor, protoMinor
	if in.Major > protoMajor {
		return 8, 0 // the kernel asks again with our major
	}
	if in.Major < protoMajor || in.Minor < minMinor {
		w.s.stop(fmt.Errorf("kernel speaks FUSE %d.%d, at least %d.%d is needed", in.Major, in.Minor, protoMajor, minMinor))
		return 0, unix.EPROTO
	}
	want := uint32(flagAsyncRead | flagDoReaddirplus | flagNoOpenSupport | flagNoOpendirSupp |
		flagParallelDirops | flagMaxPages | flagCacheSymlinks)
	if w.s.export {
		want |= flagExportSupport
	}
	w.s.noOpen.Store(in.Flags&flagNoOpenSupport != 0)
	w.s.noOpendir.Store(in.Flags&flagNoOpendirSupp != 0)
	out.Flags = in.Flags & want
	out.MaxReadahead = in.MaxReadahead
	out.MaxBackground, out.CongestionThreshold = maxBackground, maxBackground*3/4
	out.MaxWrite = 4096
	out.TimeGran = 1_000_000_000
	out.MaxPages = maxRead / 4096
	return n, 0
}

// open tells the kernel not to ask again: it then keeps the pages of files and
// the entries of directories. Older kernels must be told at every open.
func (w *worker) open(op uint32) (int, unix.Errno) {
	if op == opOpen && w.s.noOpen.Load() || op == opOpendir && w.s.noOpendir.Load() {
		return 0, unix.ENOSYS
	}
	out, n := body[openOut](w)
	out.Flags = openKeepCache | openCacheDir
	return n, 0
}

// ref is the inode reference behind a node id. Any number is safe: the reader
// checks references.
func (s *server) ref(node uint64) squash.Ref {
	if node == rootNode {
		return s.img.Root()
	}
	return squash.Ref(node - nodeBias)
}

// nodeBias is what is added to an inode reference to make a node id: 0 and 1
// are taken.
const nodeBias = 2

func nodeOf(r squash.Ref) uint64 { return uint64(r) + nodeBias }

// inode decodes the inode of a node into w.ino.
func (w *worker) inode(node uint64) (err error) {
	w.ino, err = w.s.img.Inode(w.s.ref(node))
	return err
}

// fail turns an error of the reader into an errno, and logs those that mean a
// broken image.
func (w *worker) fail(node uint64, err error) (int, unix.Errno) {
	switch {
	case errors.Is(err, fs.ErrNotExist):
		return 0, unix.ENOENT
	case errors.Is(err, squash.ErrNotDir):
		return 0, unix.ENOTDIR
	case errors.Is(err, squash.ErrNotSymlink), errors.Is(err, squash.ErrNotRegular):
		return 0, unix.EINVAL
	}
	number := uint32(0)
	if w.ino.Ref == w.s.ref(node) {
		number = w.ino.Number
	}
	w.s.log.add(node, number, err)
	return 0, unix.EIO
}

func (w *worker) fillAttr(a *attr, ino *squash.Inode) {
	t := uint64(ino.MTime)
	size := uint64(ino.Size)
	*a = attr{
		Ino: uint64(ino.Number), Size: size, Blocks: (size + 511) / 512,
		Atime: t, Mtime: t, Ctime: t,
		Mode: modeOf(ino), Nlink: ino.Links, Rdev: ino.Rdev,
		UID: w.s.opt.UID(ino.UID), GID: w.s.opt.GID(ino.GID),
	}
}

// modeOf is st_mode.
func modeOf(ino *squash.Inode) uint32 { return direntType(ino.Type)<<12 | uint32(ino.Perm) }

// direntType is the type as DT_* has it, which is st_mode's shifted by 12.
func direntType(t squash.Type) uint32 {
	switch t {
	case squash.Directory:
		return unix.DT_DIR
	case squash.Regular:
		return unix.DT_REG
	case squash.Symlink:
		return unix.DT_LNK
	case squash.BlockDevice:
		return unix.DT_BLK
	case squash.CharDevice:
		return unix.DT_CHR
	case squash.Fifo:
		return unix.DT_FIFO
	case squash.Socket:
		return unix.DT_SOCK
	}
	return unix.DT_UNKNOWN
}

func (w *worker) getattr(node uint64) (int, unix.Errno) {
	if err := w.inode(node); err != nil {
		return w.fail(node, err)
	}
	out, n := body[attrOut](w)
	out.AttrValid = forever
	w.fillAttr(&out.Attr, &w.ino)
	return n, 0
}

// lookup answers for one name; that a name is not there is worth caching too.
func (w *worker) lookup(node uint64, arg []byte) (int, unix.Errno) {
	i := bytes.IndexByte(arg, 0)
	if i < 0 {
		return 0, unix.EINVAL
	}
	ref, err := w.find(node, textOf(arg[:i]))
	out, n := body[entryOut](w)
	if errors.Is(err, fs.ErrNotExist) {
		out.EntryValid = forever
		return n, 0
	}
	if err != nil {
		return w.fail(node, err)
	}
	if w.ino, err = w.s.img.Inode(ref); err != nil {
		return w.fail(nodeOf(ref), err)
	}
	if w.ino.Type != squash.Directory {
		if dirs := w.s.names.wanted(node); len(dirs) > 0 {
			w.s.workers.Go(func() { w.s.forget(dirs) })
		}
	}
	w.fillEntry(out)
	return n, 0
}

// find returns the inode of a name in a directory. "." and ".." are asked for
// when the file system is exported (NFS) and a handle has been forgotten.
func (w *worker) find(node uint64, name string) (squash.Ref, error) {
	if name == "." {
		return w.s.ref(node), nil
	}
	if err := w.inode(node); err != nil {
		return 0, err
	}
	if name == ".." {
		if w.ino.Type != squash.Directory {
			return 0, squash.ErrNotDir
		}
		return w.s.img.ByNumber(w.ino.Parent)
	}
	d, err := w.s.img.Lookup(&w.ino, name)
	return d.Ref, err
}

// fillEntry describes w.ino as the thing behind a name.
func (w *worker) fillEntry(out *entryOut) {
	out.Node = nodeOf(w.ino.Ref)
	if w.ino.Ref == w.s.img.Root() {
		out.Node = rootNode
	}
	out.EntryValid, out.AttrValid = forever, forever
	w.fillAttr(&out.Attr, &w.ino)
}

func (w *worker) readlink(node uint64) (int, unix.Errno) {
	if err := w.inode(node); err != nil {
		return w.fail(node, err)
	}
	text, err := w.s.img.Readlink(&w.ino)
	if err != nil {
		return w.fail(node, err)
	}
	w.room(len(text))
	return copy(w.out[outHeaderSize:], text), 0
}

// room makes w.out hold a body of n bytes.
func (w *worker) room(n int) {
	if len(w.out) < outHeaderSize+n {
		w.out = make([]byte, (outHeaderSize+n+4095)&^4095)
	}
}

func (w *worker) statfs() (int, unix.Errno) {
	sup := w.s.img.Super()
	out, n := body[statfsOut](w)
	bs := uint64(sup.BlockSize)
	out.Blocks = (sup.BytesUsed + bs - 1) / bs
	out.Files = uint64(sup.Inodes)
	out.Bsize, out.Frsize = sup.BlockSize, sup.BlockSize
	out.NameLen = 256
	return n, 0
}
