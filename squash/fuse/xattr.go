package fuse

import (
	"bytes"

	"golang.org/x/sys/unix"
)

// getxattr answers with the value of one attribute. ENOSYS, where the image
// has none at all, tells the kernel never to ask again.
func (w *worker) getxattr(node uint64, arg []byte) (int, unix.Errno) {
	if !w.s.xattrs {
		return 0, unix.ENOSYS
	}
	in, name := view[getxattrIn](arg), []byte(nil)
	if in != nil {
		name = arg[len(bytesOf(in)):]
	}
	i := bytes.IndexByte(name, 0)
	if i < 0 {
		return 0, unix.EINVAL
	}
	if err := w.inode(node); err != nil {
		return w.fail(node, err)
	}
	n, errno := 0, unix.ENODATA
	err := w.s.img.Xattrs(&w.ino, func(key string, value []byte) bool {
		if key != string(name[:i]) {
			return true
		}
		n, errno = w.xattrReply(in.Size, len(value))
		if errno == 0 && in.Size > 0 {
			copy(w.out[outHeaderSize:], value)
		}
		return false
	})
	if err != nil {
		return w.fail(node, err)
	}
	return n, errno
}

// listxattr answers with the names of an inode's attributes, each ended by NUL.
func (w *worker) listxattr(node uint64, arg []byte) (int, unix.Errno) {
	if !w.s.xattrs {
		return 0, unix.ENOSYS
	}
	in := view[getxattrIn](arg)
	if in == nil {
		return 0, unix.EIO
	}
	if err := w.inode(node); err != nil {
		return w.fail(node, err)
	}
	var names []byte
	err := w.s.img.Xattrs(&w.ino, func(key string, _ []byte) bool {
		names = append(append(names, key...), 0)
		return len(names) <= maxXattrList
	})
	if err != nil {
		return w.fail(node, err)
	}
	n, errno := w.xattrReply(in.Size, len(names))
	if errno == 0 && in.Size > 0 {
		copy(w.out[outHeaderSize:], names)
	}
	return n, errno
}

// maxXattrList is the kernel's limit (XATTR_LIST_MAX); the value's limit is
// the format's.
const maxXattrList = 64 << 10

// xattrReply makes room for n bytes of data, or answers with their number if
// the caller asked for that with size 0.
func (w *worker) xattrReply(size uint32, n int) (int, unix.Errno) {
	switch {
	case n > maxXattrList:
		return 0, unix.E2BIG
	case size == 0:
		out, k := body[getxattrOut](w)
		out.Size = uint32(n)
		return k, 0
	case n > int(size):
		return 0, unix.ERANGE
	}
	w.room(n)
	return n, 0
}
