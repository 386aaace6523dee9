package relay

import (
	"slices"

	"coracle/fusewire"

	"golang.org/x/sys/unix"
)

// list returns the names in a directory, but for "." and "..".
func (r *relay) list(d *node) (names []string, err error) {
	at, err := r.nodes.dir(d)
	if err != nil {
		return nil, err
	}
	fd, err := unix.Openat(at, ".", unix.O_RDONLY|unix.O_DIRECTORY|unix.O_CLOEXEC, 0)
	if err != nil {
		return nil, err
	}
	defer unix.Close(fd)
	buf := make([]byte, 64<<10)
	for {
		n, err := unix.ReadDirent(fd, buf)
		if err != nil || n <= 0 {
			return names, err
		}
		_, _, names = unix.ParseDirent(buf[:n], -1, names)
	}
}

// readdir lists a directory as it was when it was read from its beginning: offsets count names, so that they stay
// valid whatever is made and removed meanwhile.
func (r *relay) readdir(op uint32, arg []byte) (int, error) {
	in, _, err := split[fusewire.ReadIn](arg)
	if err != nil {
		return 0, err
	}
	h := r.handles[in.Fh]
	if h == nil || h.fd >= 0 {
		return 0, unix.EBADF
	}
	d := h.node
	if in.Offset == 0 {
		h.names = nil
		if d.link.dir != nil || d == r.nodes.root { // else it has been removed
			if h.names, err = r.list(d); err != nil {
				return 0, err
			}
		}
		h.names = slices.DeleteFunc(h.names, func(name string) bool { return r.nodes.isHidden(link{d, name}) })
		h.names = append([]string{".", ".."}, h.names...)
	}
	b := r.out[fusewire.OutHeaderSize:][:min(int(in.Size), maxIO)]
	used := 0
	for i := in.Offset; i < uint64(len(h.names)); i++ {
		n, fits := r.dirent(b[used:], op == fusewire.OpReaddirplus, link{d, h.names[i]}, i+1)
		if !fits {
			break
		}
		used += n
	}
	return used, nil
}

// dirent writes one entry to b, with attributes for READDIRPLUS, and returns its length: 0 for a name that is no more.
// fits is false when there is no room for it.
func (r *relay) dirent(b []byte, plus bool, l link, next uint64) (size int, fits bool) {
	head := fusewire.DirentSize
	if plus {
		head += fusewire.EntryOutSize
	}
	size = (head + len(l.name) + 7) &^ 7
	if size > len(b) {
		return 0, false
	}
	clear(b[:size])
	e := fusewire.Dirent{Ino: l.dir.ino, Off: next, NameLen: uint32(len(l.name)), Type: unix.DT_DIR}
	if n := r.nodes.byName[l]; n != nil && n.lookups > 0 {
		e.Ino, e.Type = n.ino, n.kind>>12 // what else there is the kernel knows
	} else if l.name != "." && l.name != ".." {
		n, st, err := r.nodes.look(l)
		if err != nil {
			return 0, true
		}
		e.Ino, e.Type = st.Ino, n.kind>>12
		if plus {
			r.tell(fusewire.View[fusewire.EntryOut](b), n, &st)
		} else {
			r.nodes.drop(n)
		}
	}
	*fusewire.View[fusewire.Dirent](b[head-fusewire.DirentSize:]) = e
	copy(b[head:], l.name)
	return size, true
}
