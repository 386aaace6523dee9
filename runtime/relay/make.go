package relay

import (
	"bytes"
	"errors"

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
	fd, err := r.createBelow(in, l)
	if err != nil {
		return 0, err
	}
	return r.created(h, in, l, fd)
}

// createBelow is the system call.
func (r *relay) createBelow(in *fusewire.CreateIn, l link) (fd int, err error) {
	dir, err := r.nodes.dir(l.dir)
	if err != nil {
		return -1, err
	}
	return unix.Openat(dir, l.name, openFlags(in.Flags)|unix.O_CREAT|unix.O_EXCL, in.Mode&0o7777)
}

// created replies with a new file, which is open.
func (r *relay) created(h *fusewire.InHeader, in *fusewire.CreateIn, l link, fd int) (int, error) {
	size, err := r.made(h, l)
	if err != nil {
		unix.Close(fd)
		return 0, err
	}
	out := fusewire.View[fusewire.OpenOut](r.out[fusewire.OutHeaderSize+size:])
	*out = r.opened(&handle{node: r.nodes.byName[l], fd: fd, flags: openFlags(in.Flags)})
	return size + len(fusewire.BytesOf(out)), nil
}

// tmpfile makes a file without a name (O_TMPFILE): it has one in the hidden directory, as if it had been removed, until it is given
// another or nobody has it open any more.
func (r *relay) tmpfile(h *fusewire.InHeader, arg []byte) (int, error) {
	in, _, err := split[fusewire.CreateIn](arg)
	if err != nil {
		return 0, err
	}
	l := r.nodes.unnamed(r.nodes.last + 1)
	fd, err := r.createBelow(in, l)
	if err != nil {
		return 0, err
	}
	n, _, err := r.nodes.look(l)
	if err != nil {
		unix.Close(fd)
		return 0, err
	}
	r.nodes.extra[n.ino]++
	size, err := r.created(h, in, l, fd)
	if err != nil {
		r.letGo(n, link{})
	}
	return size, err
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
	if n.link.dir == r.nodes.hidden {
		err = r.name(n, l)
	} else {
		n.shared, n.linked = true, true
	}
	var st unix.Stat_t
	if err == nil {
		st, err = r.stat(n)
	}
	if err != nil {
		return 0, err
	}
	out, size := body[fusewire.EntryOut](r)
	r.tell(out, n, &st)
	if n.link != l {
		// overlayfs wants to see one file, and warns in the kernel's log of two. Then it looks the name up anew.
		out.EntryValid = 0
	}
	return size, nil
}

// name makes the name l, which has just been made, the one of a file that had none.
func (r *relay) name(n *node, l link) error {
	if err := r.reopen(n, l); err != nil {
		dir, _ := r.nodes.dir(l.dir)
		return errors.Join(err, unix.Unlinkat(dir, l.name, 0))
	}
	r.letGo(n, l)
	return nil
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
