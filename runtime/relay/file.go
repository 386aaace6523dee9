package relay

import (
	"slices"

	"coracle/fusewire"

	"golang.org/x/sys/unix"
)

// openFlags are the flags that a file below is opened with. O_DIRECT: the kernel has the pages of our own file system, and
// those below would know nothing of other names of the same file. Where writing goes the kernel says itself.
func openFlags(asked uint32) int {
	return int(asked)&unix.O_ACCMODE | unix.O_DIRECT | unix.O_NOFOLLOW | unix.O_NONBLOCK | unix.O_CLOEXEC
}

// openNode opens a regular file or a directory.
func (r *relay) openNode(n *node, flags int) (int, error) {
	if n.kind != unix.S_IFREG && n.kind != unix.S_IFDIR {
		return -1, unix.EPERM
	}
	dir, name, err := r.nodes.at(n)
	if err != nil {
		return -1, err
	}
	return unix.Openat(dir, name, flags|unix.O_NOFOLLOW|unix.O_NONBLOCK|unix.O_CLOEXEC, 0)
}

func (r *relay) open(n *node, arg []byte) (int, error) {
	in, _, err := split[fusewire.OpenIn](arg)
	if err != nil {
		return 0, err
	}
	h := &handle{node: n, fd: -1, flags: openFlags(in.Flags), appends: in.Flags&unix.O_APPEND != 0}
	if n.kind != unix.S_IFDIR {
		if h.fd, err = r.openNode(n, h.flags); err != nil {
			return 0, err
		}
	}
	out, size := body[fusewire.OpenOut](r)
	*out = r.opened(h)
	return size, nil
}

// opened takes a handle in.
func (r *relay) opened(h *handle) fusewire.OpenOut {
	r.last++
	r.handles[r.last] = h
	h.node.open = append(h.node.open, h)
	out := fusewire.OpenOut{Fh: r.last}
	var st unix.Stat_t
	switch {
	case h.fd < 0: // the kernel changes what is in a directory itself
		out.Flags = fusewire.OpenKeepCache | fusewire.OpenCacheDir
	case !h.node.shared && !(h.appends && h.node.linked):
		out.Flags = fusewire.OpenKeepCache
	case h.appends || unix.Fstat(h.fd, &st) != nil || r.nodes.names(h.node, &st) > 1: // what one name has in memory the others would not know
		out.Flags, h.direct = fusewire.OpenDirectIO, true
	default:
		h.node.shared = false // the last one that is left: it begins anew
	}
	return out
}

func (r *relay) release(arg []byte) (int, error) {
	in, _, err := split[fusewire.ReleaseIn](arg)
	if err != nil {
		return 0, err
	}
	h := r.handles[in.Fh]
	if h == nil {
		return 0, unix.EBADF
	}
	delete(r.handles, in.Fh)
	if h.fd >= 0 {
		unix.Close(h.fd)
	}
	n := h.node
	n.open = slices.DeleteFunc(n.open, func(o *handle) bool { return o == h })
	if n.link.dir == r.nodes.hidden && len(n.open) == 0 {
		r.letGo(n, link{})
	}
	r.nodes.drop(n)
	return 0, nil
}

// file returns the open file behind a handle.
func (r *relay) file(fh uint64) (*handle, error) {
	h := r.handles[fh]
	if h == nil || h.fd < 0 {
		return nil, unix.EBADF
	}
	return h, nil
}

func (r *relay) read(arg []byte) (int, error) {
	in, _, err := split[fusewire.ReadIn](arg)
	if err != nil {
		return 0, err
	}
	h, err := r.file(in.Fh)
	if err != nil {
		return 0, err
	}
	size := min(int(in.Size), maxIO)
	for done := 0; ; {
		n, err := unix.Pread(h.fd, r.out[fusewire.OutHeaderSize+done:][:size-done], int64(in.Offset)+int64(done))
		if err != nil {
			return 0, err
		}
		if done += n; n == 0 || done == size {
			return done, nil
		}
	}
}

// sizeOf asks fuse2fs how long an open file is: of a file with several names our kernel below keeps a size for each.
func sizeOf(fd int) (uint64, error) {
	var st unix.Statx_t
	err := unix.Statx(fd, "", unix.AT_EMPTY_PATH|unix.AT_STATX_FORCE_SYNC, unix.STATX_SIZE, &st)
	return st.Size, err
}

func (r *relay) write(arg []byte) (int, error) {
	in, data, err := split[fusewire.WriteIn](arg)
	if err != nil {
		return 0, err
	}
	h, err := r.file(in.Fh)
	if err != nil {
		return 0, err
	}
	if int(in.Size) > len(data) {
		return 0, unix.EIO
	}
	if h.appends && h.direct && in.Flags&unix.O_APPEND != 0 { // the kernel goes by the size that this name had when it last asked
		if in.Offset, err = sizeOf(h.fd); err != nil {
			return 0, err
		}
	}
	done, data := 0, data[:in.Size]
	for done < len(data) {
		n, err := unix.Pwrite(h.fd, data[done:], int64(in.Offset)+int64(done))
		if err == nil && n == 0 {
			err = unix.EIO
		}
		if err != nil && done == 0 {
			return 0, err
		}
		if err != nil {
			break
		}
		done += n
	}
	out, size := body[fusewire.WriteOut](r)
	out.Size = uint32(done)
	return size, nil
}

func (r *relay) fsync(arg []byte) (int, error) {
	in, _, err := split[fusewire.FsyncIn](arg)
	if err != nil {
		return 0, err
	}
	h, err := r.file(in.Fh)
	if err != nil {
		return 0, err
	}
	return 0, unix.Fsync(h.fd)
}

func (r *relay) fallocate(arg []byte) (int, error) {
	in, _, err := split[fusewire.FallocateIn](arg)
	if err != nil {
		return 0, err
	}
	h, err := r.file(in.Fh)
	if err != nil {
		return 0, err
	}
	return 0, unix.Fallocate(h.fd, in.Mode, int64(in.Offset), int64(in.Length))
}
