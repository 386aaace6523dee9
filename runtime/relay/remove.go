package relay

import (
	"strconv"
	"strings"

	"golang.org/x/sys/unix"
)

// Names in the hidden directory.
const (
	openPrefix = "open-"  // and the id of a node: a file that has no other name and is open
	swapName   = "swap"   // what is between two places
	intentName = "intent" // a symlink whose text tells what is going on
	syncName   = "sync"   // an empty file
)

func (r *relay) unlink(d *node, arg []byte, directory bool) (int, error) {
	l, _, err := r.take(d, arg)
	if err != nil {
		return 0, err
	}
	n, _, err := r.nodes.look(l)
	if err != nil {
		return 0, err
	}
	dir, err := r.nodes.dir(d)
	if err != nil {
		return 0, err
	}
	if directory {
		if err = unix.Unlinkat(dir, l.name, unix.AT_REMOVEDIR); err == nil {
			r.nodes.place(n, link{})
		}
		return 0, err
	}
	kept, err := r.keep(n)
	if err == nil {
		err = unix.Unlinkat(dir, l.name, 0)
	}
	if err != nil {
		return 0, err
	}
	r.nodes.place(n, kept)
	return 0, nil
}

// keep gives an open file another name, in the hidden directory, before it loses the one that it was opened by: fuse2fs frees
// what has no name, and libfuse goes by that one name whatever others there are. So it is opened again, too. The
// link is zero if that is not needed.
func (r *relay) keep(n *node) (link, error) {
	if len(n.open) == 0 || n.kind != unix.S_IFREG {
		return link{}, nil
	}
	l := r.nodes.unnamed(n.id)
	if n.link == l {
		return l, nil
	}
	err := r.addLink(n, l)
	if err == unix.EEXIST { // from an attempt that failed
		err = nil
	} else if err == nil {
		r.nodes.extra[n.ino]++
	}
	if err != nil {
		return link{}, err
	}
	return l, r.reopen(n, l)
}

// unnamed is where a file is that has no name while it is open.
func (t *nodes) unnamed(id uint64) link {
	return link{t.hidden, openPrefix + strconv.FormatUint(id, 10)}
}

// reopen has the open files of a node open by another name.
func (r *relay) reopen(n *node, l link) error {
	dir, err := r.nodes.dir(l.dir)
	if err != nil {
		return err
	}
	for _, h := range n.open {
		fd, err := unix.Openat(dir, l.name, h.flags, 0)
		if err != nil {
			return err
		}
		unix.Close(h.fd)
		h.fd = fd
	}
	return nil
}

// letGo removes the hidden name of a file: nobody has it open any more, or it has another name by now.
func (r *relay) letGo(n *node, other link) {
	if err := unix.Unlinkat(r.nodes.hidden.fd, n.link.name, 0); err != nil {
		r.log("remove a file that was open: " + err.Error())
	}
	if r.nodes.extra[n.ino]--; r.nodes.extra[n.ino] == 0 {
		delete(r.nodes.extra, n.ino)
	}
	r.nodes.place(n, other)
}

// rename carries RENAME and RENAME2 out.
func (r *relay) rename(d *node, newDir uint64, flags uint32, names []byte) (int, error) {
	from, rest, err := r.take(d, names)
	if err != nil {
		return 0, err
	}
	nd, err := r.nodes.directory(newDir)
	if err != nil {
		return 0, err
	}
	to, _, err := r.take(nd, rest)
	if err != nil {
		return 0, err
	}
	switch flags {
	case 0:
		return 0, r.move(from, to)
	case unix.RENAME_NOREPLACE:
		if _, _, err := r.nodes.look(to); err != unix.ENOENT {
			if err == nil {
				err = unix.EEXIST
			}
			return 0, err
		}
		return 0, r.move(from, to)
	case unix.RENAME_WHITEOUT:
		return 0, r.moveLeaving(from, to)
	case unix.RENAME_EXCHANGE:
		return 0, r.exchange(from, to)
	}
	return 0, unix.EINVAL
}

// move gives what has the name from the name to.
func (r *relay) move(from, to link) error {
	n, st, err := r.nodes.look(from)
	if err != nil {
		return err
	}
	old, oldSt, err := r.nodes.look(to)
	if err != nil && err != unix.ENOENT {
		return err
	}
	var kept link
	if old != nil {
		if st.Ino == oldSt.Ino {
			// Two names of one file stay (rename(2)), but the kernel, which sees two files, has moved the one over the other.
			r.nodes.swap(n, old)
			return nil
		}
		if kept, err = r.keep(old); err != nil {
			return err
		}
	}
	if old == nil && n.kind == unix.S_IFREG && len(n.open) == 0 {
		err = r.relink(n, from, to)
	} else {
		err = r.moveBelow(from, to)
	}
	if err != nil {
		return err
	}
	if old != nil {
		r.nodes.place(old, kept)
	}
	r.nodes.place(n, to)
	return nil
}

// relink is a rename to a name that is free, without the sync to disk that comes with each rename of fuse2fs.
func (r *relay) relink(n *node, from, to link) error {
	if err := r.addLink(n, to); err != nil {
		return err
	}
	dir, err := r.nodes.dir(from.dir)
	if err == nil {
		err = unix.Unlinkat(dir, from.name, 0)
	}
	return err
}

// moveBelow is the system call.
func (r *relay) moveBelow(from, to link) error {
	a, err := r.nodes.dir(from.dir)
	if err != nil {
		return err
	}
	b, err := r.nodes.dir(to.dir)
	if err != nil {
		return err
	}
	return unix.Renameat(a, from.name, b, to.name)
}

// moveLeaving is move that leaves a whiteout. If the process ends between the two, the name would show again what the image
// has there: the intent tells the next relay.
func (r *relay) moveLeaving(from, to link) error {
	r.intend("whiteout", from)
	defer r.done()
	_, _, err := r.nodes.look(to)
	replaces := err == nil
	if err := r.move(from, to); err != nil {
		return err
	}
	dir, err := r.nodes.dir(from.dir)
	if err == nil {
		err = unix.Mknodat(dir, from.name, unix.S_IFCHR, 0)
	}
	if err != nil && !replaces {
		r.move(to, from) // as if nothing had been
	}
	return err
}

// exchange exchanges two names.
func (r *relay) exchange(a, b link) error {
	na, _, err := r.nodes.look(a)
	if err != nil {
		return err
	}
	nb, _, err := r.nodes.look(b)
	if err != nil {
		return err
	}
	r.intend("exchange", a, b)
	defer r.done()
	swap := link{r.nodes.hidden, swapName}
	if err := r.moveBelow(a, swap); err != nil {
		return err
	}
	if err := r.moveBelow(b, a); err != nil {
		r.moveBelow(swap, a)
		return err
	}
	if err := r.moveBelow(swap, b); err != nil {
		r.moveBelow(a, b)
		r.moveBelow(swap, a)
		return err
	}
	r.nodes.swap(na, nb)
	return nil
}

// swap gives each of two nodes the other one's name.
func (t *nodes) swap(a, b *node) {
	la, lb := a.link, b.link
	a.lookups++ // it stays while it has no name
	t.place(a, link{})
	t.place(b, la)
	t.place(a, lb)
	a.lookups--
}

// intend writes down what is about to happen. Paths that no symlink can hold go without.
func (r *relay) intend(what string, names ...link) {
	for _, l := range names {
		what += "//" + r.nodes.path(l)
	}
	if len(what) < unix.PathMax {
		unix.Symlinkat(what, r.nodes.hidden.fd, intentName)
	}
}

// done says that it has happened.
func (r *relay) done() { unix.Unlinkat(r.nodes.hidden.fd, intentName, 0) }

// recover finishes, or takes back, what a relay that was killed has left half done.
func (r *relay) recover() error {
	text := make([]byte, unix.PathMax)
	n, err := unix.Readlinkat(r.nodes.hidden.fd, intentName, text)
	if err == nil {
		if err := r.resume(strings.Split(string(text[:n]), "//")); err != nil {
			return err
		}
		r.done()
	}
	r.sweep()
	return nil
}

// resume carries an intent out. Of a whiteout it makes sure that there is one, or the file that has not been moved. Of an exchange, that what
// is in between goes where there is room for it: back, or on.
func (r *relay) resume(words []string) error {
	var links []link
	for _, path := range words[1:] {
		l, err := r.walk(path)
		if err == unix.ENOENT || err == unix.ENOTDIR {
			return nil // not one of ours
		}
		if err != nil {
			return err
		}
		links = append(links, l)
	}
	swap := link{r.nodes.hidden, swapName}
	for _, l := range links {
		if _, _, err := r.nodes.look(l); err != unix.ENOENT {
			continue // there is something
		}
		dir, err := r.nodes.dir(l.dir)
		if err != nil {
			return err
		}
		if words[0] == "whiteout" {
			return unix.Mknodat(dir, l.name, unix.S_IFCHR, 0)
		}
		if err := r.moveBelow(swap, l); err != unix.ENOENT {
			return err
		}
	}
	return nil
}

// walk returns the name at a path from the root.
func (r *relay) walk(path string) (link, error) {
	l := link{dir: r.nodes.root}
	for name := range strings.SplitSeq(path, "/") {
		if l.name != "" {
			n, _, err := r.nodes.look(l)
			if err != nil {
				return l, err
			}
			if n.kind != unix.S_IFDIR {
				return l, unix.ENOTDIR
			}
			l.dir = n
		}
		if name == "" || name == "." || name == ".." {
			return l, unix.ENOENT
		}
		l.name = name
	}
	return l, nil
}

// sweep removes the files that were open when they lost their names, and our own.
func (r *relay) sweep() {
	names, err := r.list(r.nodes.hidden)
	if err != nil {
		return
	}
	for _, name := range names {
		if strings.HasPrefix(name, openPrefix) || name == syncName {
			unix.Unlinkat(r.nodes.hidden.fd, name, 0)
		}
	}
}
