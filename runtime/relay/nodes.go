package relay

import (
	"fmt"
	"slices"
	"strings"

	"coracle/fusewire"

	"golang.org/x/sys/unix"
)

// hiddenName is a directory in the directory workName, where nobody else sees it: what is between two places, or has
// no name any more and is still open, is in it. It is removed at the end. (The root may be somebody else's.)
const (
	workName   = "work"
	hiddenName = ".coracle"
)

// A link is a name in a directory. The zero value is none.
type link struct {
	dir  *node
	name string
}

// A node is a name that the kernel knows by an id, and what it stands for. Each name of a file is a node of its own: overlayfs goes on
// looking a file up by the name that it was first seen by, and would lose the others with that.
type node struct {
	id      uint64
	ino     uint64
	kind    uint32 // S_IFMT
	lookups uint64 // how often the kernel has been told of it
	below   int    // how many nodes there are in it
	link    link   // its name; zero: it has been removed
	fd      int    // of a directory: O_PATH, or -1
	open    []*handle
	shared  bool            // the file has had several names: the kernel may have old pages of it
	linked  bool            // the same, for ever: the kernel may have an old size, which it appends at
	xattrs  map[string]bool // the names of its attributes; nil: not known
}

// nodes are the names that the kernel knows, and the directories that they are in.
type nodes struct {
	root, hidden *node
	work         uint64 // inode of the directory that hidden is in
	byID         map[uint64]*node
	byName       map[link]*node
	extra        map[uint64]uint32 // by inode: how many names it has in the hidden directory
	last         uint64            // id
	held         []*node           // directories with a descriptor, in the order in which they were opened
}

// maxHeld is how many directories stay open between two requests.
const maxHeld = 64

// begin opens the root, a directory whose descriptor stays the caller's, and the hidden directory.
func (t *nodes) begin(root int) error {
	*t = nodes{byID: map[uint64]*node{}, byName: map[link]*node{}, extra: map[uint64]uint32{}, last: fusewire.RootNode}
	var st unix.Stat_t
	if err := unix.Fstat(root, &st); err != nil {
		return err
	}
	t.root = &node{id: fusewire.RootNode, ino: st.Ino, kind: unix.S_IFDIR, fd: root, lookups: 1}
	t.byID[t.root.id] = t.root
	work, err := enter(root, workName, 0o755)
	if err != nil {
		return fmt.Errorf("make the directory %s: %w", workName, err)
	}
	defer unix.Close(work)
	if err := unix.Fstat(work, &st); err != nil {
		return err
	}
	t.work = st.Ino
	hidden, err := enter(work, hiddenName, 0o700)
	if err != nil {
		return fmt.Errorf("make a directory in %s: %w", workName, err)
	}
	t.hidden = &node{kind: unix.S_IFDIR, fd: hidden}
	return nil
}

// enter opens the directory name in dir, and makes it if there is none.
func enter(dir int, name string, mode uint32) (int, error) {
	if err := unix.Mkdirat(dir, name, mode); err != nil && err != unix.EEXIST {
		return -1, err
	}
	return unix.Openat(dir, name, unix.O_PATH|unix.O_DIRECTORY|unix.O_NOFOLLOW|unix.O_CLOEXEC, 0)
}

// isHidden tells whether the hidden directory has that name.
func (t *nodes) isHidden(l link) bool { return l.name == hiddenName && l.dir.ino == t.work }

// end closes all directories but the root.
func (t *nodes) end() {
	for _, n := range t.held {
		unix.Close(n.fd)
	}
	unix.Close(t.hidden.fd)
	unix.Unlinkat(t.root.fd, workName+"/"+hiddenName, unix.AT_REMOVEDIR)
}

// trim closes the directories that were opened first, when there are many.
func (t *nodes) trim() {
	if len(t.held) <= maxHeld {
		return
	}
	rest := len(t.held) - maxHeld/2
	for _, n := range t.held[:rest] {
		unix.Close(n.fd)
		n.fd = -1
	}
	t.held = slices.Delete(t.held, 0, rest)
}

// get returns the node with an id. The error is ESTALE.
func (t *nodes) get(id uint64) (*node, error) {
	if n := t.byID[id]; n != nil {
		return n, nil
	}
	return nil, unix.ESTALE
}

// directory is get for a directory.
func (t *nodes) directory(id uint64) (*node, error) {
	n, err := t.get(id)
	if err == nil && n.kind != unix.S_IFDIR {
		err = unix.ENOTDIR
	}
	return n, err
}

// dir returns an O_PATH descriptor of a directory, which stays open until the request is answered at least.
func (t *nodes) dir(n *node) (int, error) {
	var names []string
	a := n
	for ; a.fd < 0; a = a.link.dir {
		if a.link.dir == nil {
			return -1, unix.ESTALE
		}
		names = append(names, a.link.name)
	}
	at := a.fd
	for i, name := range slices.Backward(names) {
		fd, err := unix.Openat(at, name, unix.O_PATH|unix.O_DIRECTORY|unix.O_NOFOLLOW|unix.O_CLOEXEC, 0)
		if at != a.fd {
			unix.Close(at)
		}
		if err != nil {
			return -1, err
		}
		at = fd
		if i == 0 {
			n.fd = fd
			t.held = append(t.held, n)
		}
	}
	return at, nil
}

// at returns a directory and the name in it by which system calls find the node. What has no name any more is ESTALE.
func (t *nodes) at(n *node) (dir int, name string, err error) {
	if n.kind == unix.S_IFDIR {
		dir, err = t.dir(n)
		return dir, ".", err
	}
	if n.link.dir == nil {
		return -1, "", unix.ESTALE
	}
	dir, err = t.dir(n.link.dir)
	return dir, n.link.name, err
}

// look finds the node of a name, which becomes known with it.
func (t *nodes) look(l link) (*node, unix.Stat_t, error) {
	var st unix.Stat_t
	dir, err := t.dir(l.dir)
	if err == nil {
		err = unix.Fstatat(dir, l.name, &st, unix.AT_SYMLINK_NOFOLLOW)
	}
	if err != nil {
		return nil, st, err
	}
	n := t.byName[l]
	if n != nil && (n.ino != st.Ino || n.kind != st.Mode&unix.S_IFMT) { // a damaged file system
		t.place(n, link{})
		n = nil
	}
	if n == nil {
		t.last++
		n = &node{id: t.last, ino: st.Ino, kind: st.Mode & unix.S_IFMT, fd: -1}
		t.byID[n.id] = n
		t.place(n, l)
	}
	if t.names(n, &st) > 1 || n.linked {
		n.shared, n.linked = n.shared || t.names(n, &st) > 1, true
		refresh(dir, l.name)
		err = unix.Fstatat(dir, l.name, &st, unix.AT_SYMLINK_NOFOLLOW)
	}
	return n, st, err
}

// refresh has the kernel ask fuse2fs anew about a file with several names: below, too, each of them is a file of its own.
func refresh(dir int, name string) {
	var st unix.Statx_t
	unix.Statx(dir, name, unix.AT_SYMLINK_NOFOLLOW|unix.AT_STATX_FORCE_SYNC, unix.STATX_SIZE, &st)
}

// names tells how many names a file has that others see; of a directory it is 1.
func (t *nodes) names(n *node, st *unix.Stat_t) uint32 {
	if n.kind == unix.S_IFDIR {
		return 1
	}
	return uint32(st.Nlink) - min(t.extra[n.ino], uint32(st.Nlink))
}

// place gives a node another name; link{} takes its name away.
func (t *nodes) place(n *node, l link) {
	was := n.link
	if n.link = l; l.dir != nil {
		if other := t.byName[l]; other != nil && other != n {
			t.place(other, link{})
		}
		l.dir.below++
		t.byName[l] = n
	}
	if was.dir != nil {
		if t.byName[was] == n && was != l {
			delete(t.byName, was)
		}
		was.dir.below--
		t.drop(was.dir)
	}
	if l.dir == nil {
		t.drop(n)
	}
}

// drop forgets a node that nobody needs any more.
func (t *nodes) drop(n *node) {
	if n.lookups > 0 || n.below > 0 || len(n.open) > 0 || t.byID[n.id] != n || n == t.root {
		return
	}
	delete(t.byID, n.id)
	if i := slices.Index(t.held, n); i >= 0 {
		t.held = slices.Delete(t.held, i, i+1)
		unix.Close(n.fd)
		n.fd = -1
	}
	if n.link.dir != nil {
		t.place(n, link{})
	}
}

// forget takes back what the kernel has been told times times.
func (t *nodes) forget(id, times uint64) {
	if n := t.byID[id]; n != nil && n != t.root {
		n.lookups -= min(times, n.lookups)
		t.drop(n)
	}
}

// path is the path of a name from the root.
func (t *nodes) path(l link) string {
	names := []string{l.name}
	for d := l.dir; d != t.root && d.link.dir != nil; d = d.link.dir {
		names = append(names, d.link.name)
	}
	slices.Reverse(names)
	return strings.Join(names, "/")
}
