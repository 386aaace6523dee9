package relay

import (
	"bytes"

	"coracle/fusewire"

	"golang.org/x/sys/unix"
)

// made gives what a request has just made its owner, whoever asked for it, and replies with it.
func (r *relay) made(h *fusewire.InHeader, l link) (int, error) {
	n, st, err := r.nodes.look(l)
	if err != nil {
		return 0, err
	}
	if st.Uid != h.UID || st.Gid != h.GID {
		dir, err := r.nodes.dir(l.dir)
		if err == nil {
			err = unix.Fchownat(dir, l.name, int(h.UID), int(h.GID), unix.AT_SYMLINK_NOFOLLOW)
		}
		if err == nil && n.kind != unix.S_IFLNK && st.Mode&(unix.S_ISUID|unix.S_ISGID) != 0 {
			err = unix.Fchmodat(dir, l.name, st.Mode&0o7777, 0) // chown took them away
		}
		if err == nil {
			err = unix.Fstatat(dir, l.name, &st, unix.AT_SYMLINK_NOFOLLOW)
		}
		if err != nil {
			return 0, err
		}
	}
	out, size := body[fusewire.EntryOut](r)
	r.tell(out, n, &st)
	return size, nil
}

// mknod makes a file, or a whiteout: that is the one device that an ordinary user may make.
func (r *relay) mknod(h *fusewire.InHeader, d *node, arg []byte) (int, error) {
	in, rest, err := split[fusewire.MknodIn](arg)
	if err != nil {
		return 0, err
	}
	l, _, err := r.take(d, rest)
	if err != nil {
		return 0, err
	}
	return r.makeIn(h, d, l, func(dir int) error { return unix.Mknodat(dir, l.name, in.Mode, int(decodeDev(in.Rdev))) })
}

// makeIn makes what l names in the directory d, by do, and answers with it.
func (r *relay) makeIn(h *fusewire.InHeader, d *node, l link, do func(dir int) error) (int, error) {
	dir, err := r.nodes.dir(d)
	if err == nil {
		err = do(dir)
	}
	if err != nil {
		return 0, err
	}
	return r.made(h, l)
}

func (r *relay) mkdir(h *fusewire.InHeader, d *node, arg []byte) (int, error) {
	in, rest, err := split[fusewire.MkdirIn](arg)
	if err != nil {
		return 0, err
	}
	l, _, err := r.take(d, rest)
	if err != nil {
		return 0, err
	}
	return r.makeIn(h, d, l, func(dir int) error { return unix.Mkdirat(dir, l.name, in.Mode) })
}

func (r *relay) symlink(h *fusewire.InHeader, d *node, arg []byte) (int, error) {
	l, rest, err := r.take(d, arg)
	if err != nil {
		return 0, err
	}
	text, _, ok := bytes.Cut(rest, []byte{0})
	if !ok {
		return 0, unix.EINVAL
	}
	return r.makeIn(h, d, l, func(dir int) error { return unix.Symlinkat(string(text), dir, l.name) })
}

// create makes a file and opens it.
func (r *relay) create(h *fusewire.InHeader, d *node, arg []byte) (int, error) {
	in, rest, err := split[fusewire.CreateIn](arg)
	if err != nil {
		return 0, err
	}
	l, _, err := r.take(d, rest)
	if err != nil {
		return 0, err
	}
	flags := openFlags(in.Flags)
	dir, err := r.nodes.dir(d)
	if err != nil {
		return 0, err
	}
	fd, err := unix.Openat(dir, l.name, flags|unix.O_CREAT|unix.O_EXCL, in.Mode&0o7777)
	if err != nil {
		return 0, err
	}
	size, err := r.made(h, l)
	if err != nil {
		unix.Close(fd)
		return 0, err
	}
	out := fusewire.View[fusewire.OpenOut](r.out[fusewire.OutHeaderSize+size:])
	*out = r.opened(&handle{node: r.nodes.byName[l], fd: fd, flags: flags})
	return size + len(fusewire.BytesOf(out)), nil
}

func (r *relay) link(d *node, arg []byte) (int, error) {
	in, rest, err := split[fusewire.LinkIn](arg)
	if err != nil {
		return 0, err
	}
	l, _, err := r.take(d, rest)
	if err != nil {
		return 0, err
	}
	n, err := r.nodes.get(in.Node)
	if err != nil {
		return 0, err
	}
	if err := r.addLink(n, l); err != nil {
		return 0, err
	}
	n.shared = true
	r.changed(n)
	return r.entry(l)
}

// changed tells the kernel that a node has other attributes than it knows.
func (r *relay) changed(n *node) {
	note := struct {
		head fusewire.OutHeader
		body fusewire.NotifyInvalInode
	}{
		fusewire.OutHeader{Error: fusewire.NotifyInvalInodeCode}, fusewire.NotifyInvalInode{Node: n.id, Offset: -1},
	}
	b := fusewire.BytesOf(&note)
	note.head.Len = uint32(len(b))
	unix.Write(r.fd, b) // of an inode that is not there it needs no telling
}

// addLink gives a file another name.
func (r *relay) addLink(n *node, l link) error {
	from, name, err := r.nodes.at(n)
	if err != nil {
		return err
	}
	to, err := r.nodes.dir(l.dir)
	if err != nil {
		return err
	}
	return unix.Linkat(from, name, to, l.name, 0)
}
