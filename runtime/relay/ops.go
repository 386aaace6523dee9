package relay

import (
	"bytes"

	"coracle/fusewire"

	"golang.org/x/sys/unix"
)

// dispatch carries a request out. It returns the length of the reply's body, in r.out behind the header, or the error to reply.
func (r *relay) dispatch(h *fusewire.InHeader, arg []byte) (int, error) {
	switch h.Opcode {
	case fusewire.OpInit:
		return r.init(arg)
	case fusewire.OpForget, fusewire.OpBatchForget:
		r.forget(h, arg)
		return 0, noReply
	case fusewire.OpStatfs:
		return r.statfs()
	case fusewire.OpDestroy:
		return 0, nil
	case fusewire.OpIoctl: // overlayfs asks at every copy-up
		return 0, unix.ENOTTY
	case fusewire.OpRelease, fusewire.OpReleasedir:
		return r.release(arg)
	case fusewire.OpRead:
		return r.read(arg)
	case fusewire.OpWrite:
		return r.write(arg)
	case fusewire.OpFsync:
		return r.fsync(arg)
	case fusewire.OpFallocate:
		return r.fallocate(arg)
	case fusewire.OpReaddir, fusewire.OpReaddirplus:
		return r.readdir(h.Opcode, arg)
	}
	n, err := r.nodes.get(h.Node)
	if err != nil {
		return 0, err
	}
	if n.kind == unix.S_IFDIR {
		if size, err := r.dispatchDir(h, n, arg); err != unix.ENOSYS {
			return size, err
		}
	}
	switch h.Opcode {
	case fusewire.OpGetattr:
		return r.getattr(n)
	case fusewire.OpSetattr:
		return r.setattr(n, arg)
	case fusewire.OpReadlink:
		return r.readlink(n)
	case fusewire.OpOpen, fusewire.OpOpendir:
		return r.open(n, arg)
	case fusewire.OpGetxattr:
		return r.getxattr(n, arg)
	case fusewire.OpListxattr:
		return r.listxattr(n, arg)
	case fusewire.OpSetxattr:
		return r.setxattr(n, arg)
	case fusewire.OpRemovexattr:
		return r.removexattr(n, arg)
	}
	// Among the rest: ACCESS, FLUSH, LSEEK, locks (the kernel then does them itself) and INTERRUPT.
	return 0, unix.ENOSYS
}

// changes tells whether a request changes something.
func changes(op uint32) bool {
	switch op {
	case fusewire.OpWrite, fusewire.OpSetattr, fusewire.OpMknod, fusewire.OpMkdir, fusewire.OpSymlink, fusewire.OpCreate, fusewire.OpTmpfile,
		fusewire.OpLink, fusewire.OpUnlink, fusewire.OpRmdir, fusewire.OpRename, fusewire.OpRename2, fusewire.OpSetxattr, fusewire.OpRemovexattr, fusewire.OpFallocate:
		return true
	}
	return false
}

// dispatchDir carries out what happens to a name in the directory d.
func (r *relay) dispatchDir(h *fusewire.InHeader, d *node, arg []byte) (int, error) {
	switch h.Opcode {
	case fusewire.OpLookup:
		return r.lookup(d, arg)
	case fusewire.OpMknod:
		return r.mknod(h, d, arg)
	case fusewire.OpMkdir:
		return r.mkdir(h, d, arg)
	case fusewire.OpSymlink:
		return r.symlink(h, d, arg)
	case fusewire.OpCreate:
		return r.create(h, d, arg)
	case fusewire.OpTmpfile:
		return r.tmpfile(h, arg)
	case fusewire.OpLink:
		return r.link(d, arg)
	case fusewire.OpUnlink, fusewire.OpRmdir:
		return r.unlink(d, arg, h.Opcode == fusewire.OpRmdir)
	case fusewire.OpRename:
		in, names, err := split[fusewire.RenameIn](arg)
		if err != nil {
			return 0, err
		}
		return r.rename(d, in.NewDir, 0, names)
	case fusewire.OpRename2:
		in, names, err := split[fusewire.Rename2In](arg)
		if err != nil {
			return 0, err
		}
		return r.rename(d, in.NewDir, in.Flags, names)
	case fusewire.OpFsyncdir:
		fd, err := r.openNode(d, unix.O_RDONLY|unix.O_DIRECTORY)
		if err != nil {
			return 0, err
		}
		defer unix.Close(fd)
		return 0, unix.Fsync(fd)
	}
	return 0, unix.ENOSYS
}

// take reads a name that ends with NUL and makes it one in d. Nobody gets to the hidden directory.
func (r *relay) take(d *node, b []byte) (l link, rest []byte, err error) {
	name, rest, ok := bytes.Cut(b, []byte{0})
	s := string(name)
	if !ok || s == "" || s == "." || s == ".." || bytes.IndexByte(name, '/') >= 0 {
		return l, nil, unix.EINVAL
	}
	l = link{d, s}
	if r.nodes.isHidden(l) {
		return l, nil, unix.EACCES
	}
	return l, rest, nil
}

func (r *relay) forget(h *fusewire.InHeader, arg []byte) {
	if h.Opcode == fusewire.OpForget {
		if in := fusewire.View[fusewire.ForgetIn](arg); in != nil {
			r.nodes.forget(h.Node, in.Lookups)
		}
		return
	}
	_, rest, err := split[fusewire.BatchForgetIn](arg)
	for err == nil {
		var one *fusewire.ForgetOne
		if one, rest, err = split[fusewire.ForgetOne](rest); err == nil {
			r.nodes.forget(one.Node, one.Lookups)
		}
	}
}

func (r *relay) lookup(d *node, arg []byte) (int, error) {
	l, _, err := r.take(d, arg)
	if err != nil {
		return 0, err
	}
	return r.entry(l)
}

// entry replies with what a name stands for. That there is none is worth knowing, too.
func (r *relay) entry(l link) (int, error) {
	out, size := body[fusewire.EntryOut](r)
	n, st, err := r.nodes.look(l)
	if err == unix.ENOENT {
		out.EntryValid = forever
		return size, nil
	}
	if err != nil {
		return 0, err
	}
	r.tell(out, n, &st)
	return size, nil
}

// tell fills in what the kernel learns of a node that it will know from now on.
func (r *relay) tell(out *fusewire.EntryOut, n *node, st *unix.Stat_t) {
	n.lookups++
	*out = fusewire.EntryOut{Node: n.id, EntryValid: forever, AttrValid: r.valid(n, st), Attr: r.attr(n, st)}
	if n.linked { // so the kernel asks, and learns of its size, before it opens it
		out.EntryValid = 0
	}
}

// valid is how long attributes are valid, in seconds: those of a file with several names change through the others, too.
func (r *relay) valid(n *node, st *unix.Stat_t) uint64 {
	if r.nodes.names(n, st) > 1 {
		return 0
	}
	return forever
}

// attr is what stat(2) tells of a node. A name that is there for us only does not count.
func (r *relay) attr(n *node, st *unix.Stat_t) fusewire.Attr {
	a := fusewire.Attr{
		Ino: st.Ino, Size: uint64(st.Size), Blocks: uint64(st.Blocks), Mode: st.Mode, Nlink: uint32(st.Nlink),
		Atime: uint64(st.Atim.Sec), AtimeNsec: uint32(st.Atim.Nsec), Mtime: uint64(st.Mtim.Sec), MtimeNsec: uint32(st.Mtim.Nsec),
		Ctime: uint64(st.Ctim.Sec), CtimeNsec: uint32(st.Ctim.Nsec), UID: st.Uid, GID: st.Gid, Rdev: encodeDev(st.Rdev),
	}
	if n.kind != unix.S_IFDIR {
		a.Nlink = r.nodes.names(n, st)
	}
	return a
}

// encodeDev is a device number as the protocol has it.
//
// Source: Linux include/linux/kdev_t.h, new_encode_dev.
func encodeDev(rdev uint64) uint32 {
	major, minor := unix.Major(rdev), unix.Minor(rdev)
	return minor&0xff | major<<8 | (minor&^0xff)<<12
}

// decodeDev is its inverse.
func decodeDev(dev uint32) uint64 {
	return unix.Mkdev(dev&0xfff00>>8, dev&0xff|dev>>12&0xfff00)
}

// stat looks at a node. A file without a name is still there while it is open.
func (r *relay) stat(n *node) (st unix.Stat_t, err error) {
	dir, name, err := r.nodes.at(n)
	switch {
	case err == unix.ESTALE && len(n.open) > 0 && n.open[0].fd >= 0:
		return st, unix.Fstat(n.open[0].fd, &st)
	case err != nil:
		return st, err
	case name == ".":
		return st, unix.Fstat(dir, &st)
	}
	if n.linked {
		refresh(dir, name)
	}
	return st, unix.Fstatat(dir, name, &st, unix.AT_SYMLINK_NOFOLLOW)
}

func (r *relay) getattr(n *node) (int, error) {
	st, err := r.stat(n)
	if err != nil {
		return 0, err
	}
	out, size := body[fusewire.AttrOut](r)
	out.AttrValid, out.Attr = r.valid(n, &st), r.attr(n, &st)
	return size, nil
}

func (r *relay) setattr(n *node, arg []byte) (int, error) {
	in, _, err := split[fusewire.SetattrIn](arg)
	if err != nil {
		return 0, err
	}
	dir, name, err := r.nodes.at(n)
	if err != nil {
		return 0, err
	}
	if in.Valid&fusewire.SetSize != 0 {
		if err := r.truncate(n, int64(in.Size)); err != nil {
			return 0, err
		}
	}
	if in.Valid&(fusewire.SetUID|fusewire.SetGID) != 0 {
		uid, gid := -1, -1
		if in.Valid&fusewire.SetUID != 0 {
			uid = int(in.UID)
		}
		if in.Valid&fusewire.SetGID != 0 {
			gid = int(in.GID)
		}
		if err := unix.Fchownat(dir, name, uid, gid, unix.AT_SYMLINK_NOFOLLOW); err != nil {
			return 0, err
		}
	}
	if in.Valid&fusewire.SetMode != 0 {
		if n.kind == unix.S_IFLNK {
			return 0, unix.EOPNOTSUPP
		}
		if err := unix.Fchmodat(dir, name, in.Mode&0o7777, 0); err != nil {
			return 0, err
		}
	}
	if in.Valid&(fusewire.SetAtime|fusewire.SetMtime) != 0 {
		times := []unix.Timespec{
			timeOf(in.Valid, fusewire.SetAtime, fusewire.SetAtimeNow, in.Atime, in.AtimeNsec),
			timeOf(in.Valid, fusewire.SetMtime, fusewire.SetMtimeNow, in.Mtime, in.MtimeNsec),
		}
		if err := unix.UtimesNanoAt(dir, name, times, unix.AT_SYMLINK_NOFOLLOW); err != nil {
			return 0, err
		}
	}
	return r.getattr(n)
}

// timeOf is a time as utimensat(2) wants it.
func timeOf(valid, set, now uint32, sec uint64, nsec uint32) unix.Timespec {
	switch {
	case valid&set == 0:
		return unix.Timespec{Nsec: unix.UTIME_OMIT}
	case valid&now != 0:
		return unix.Timespec{Nsec: unix.UTIME_NOW}
	}
	return unix.Timespec{Sec: int64(sec), Nsec: int64(nsec)}
}

func (r *relay) truncate(n *node, size int64) error {
	if n.kind != unix.S_IFREG || size < 0 {
		return unix.EINVAL
	}
	fd, err := r.openNode(n, unix.O_WRONLY)
	if err != nil {
		return err
	}
	defer unix.Close(fd)
	return unix.Ftruncate(fd, size)
}

func (r *relay) readlink(n *node) (int, error) {
	dir, name, err := r.nodes.at(n)
	if err != nil {
		return 0, err
	}
	return unix.Readlinkat(dir, name, r.out[fusewire.OutHeaderSize:][:unix.PathMax])
}

func (r *relay) statfs() (int, error) {
	var st unix.Statfs_t
	if err := unix.Fstatfs(r.nodes.root.fd, &st); err != nil {
		return 0, err
	}
	out, size := body[fusewire.StatfsOut](r)
	out.Blocks, out.Bfree, out.Bavail = st.Blocks, st.Bfree, st.Bavail
	out.Files, out.Ffree = st.Files, st.Ffree
	out.Bsize, out.Frsize, out.NameLen = uint32(st.Bsize), uint32(st.Frsize), uint32(st.Namelen)
	return size, nil
}
