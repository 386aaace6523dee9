package fuse

import (
	"sync"
	"sync/atomic"

	"golang.org/x/sys/unix"

	"coracle/fusewire"
	"coracle/squash"
)

// Attributes that come along with a listing save who wants them a LOOKUP for each name, and cost who does not an inode in the kernel for
// each. Nobody says beforehand what he wants; but a file that was listed without is looked up when it is wanted.
//
// names counts listings that nobody has looked a file up after. When they are enough, a small directory is listed without the attributes
// of its files, for a trial, and if still nobody asks for one, so is everything after it, until somebody does. Who comes later and wants
// them all would have to ask for each, out of listings that the kernel has kept: once he has done so in some directories, the kernel is
// told to forget the other listings that came without.
type names struct {
	lists  atomic.Uint32 // listings since a file was looked up
	enough atomic.Uint32 // so many make a trial

	any        atomic.Bool         // bare has something
	sync.Mutex                     // the rest
	bare       map[uint64]struct{} // directories that were listed without; none of those that a file was looked up in
	found      int                 // those
}

const (
	fewLists  = 16
	manyLists = 4096
	smallList = 2 << 10 // bytes of a directory in the image, some 100 names
	fewFound  = 16
	mostBare  = 1 << 16
)

// begin counts a listing of a directory, and tells whether it goes without the attributes of files.
func (n *names) begin(node uint64, dir *squash.Inode) bool {
	lists, enough := n.lists.Load(), n.enough.Load()
	if lists == enough && dir.Size > smallList {
		return false
	}
	n.lists.Add(1)
	return lists >= enough && n.remember(node)
}

// remember notes a directory that is listed without, if there is room for it.
func (n *names) remember(node uint64) bool {
	n.Lock()
	defer n.Unlock()
	if len(n.bare) == mostBare {
		return false
	}
	if n.bare == nil {
		n.bare, n.found = map[uint64]struct{}{}, 0
	}
	n.bare[node] = struct{}{}
	n.any.Store(true)
	return true
}

// alone tells whether a listing that goes on does without the attributes of files.
func (n *names) alone(node uint64) bool {
	if n.lists.Load() <= n.enough.Load() {
		return false
	}
	n.Lock()
	defer n.Unlock()
	_, ok := n.bare[node]
	return ok
}

// wanted says that a file has been looked up in a directory. When that happens soon after a trial, the next one comes later.
// It returns the directories whose listings are of no use.
func (n *names) wanted(node uint64) map[uint64]struct{} {
	if n.lists.Load() != 0 {
		enough := n.enough.Load()
		if lists := n.lists.Swap(0); lists > enough && lists < 4*enough {
			n.enough.Store(min(4*enough, manyLists))
		}
	}
	if !n.any.Load() {
		return nil
	}
	n.Lock()
	defer n.Unlock()
	if _, ok := n.bare[node]; !ok {
		return nil
	}
	delete(n.bare, node)
	if n.found++; n.found < fewFound && len(n.bare) > 0 {
		return nil
	}
	useless := n.bare
	n.bare = nil
	n.any.Store(false)
	return useless
}

// forget has the kernel forget listings.
func (c conn) forget(dirs map[uint64]struct{}) {
	var notice struct {
		head outHeader
		what fusewire.InvalInode
	}
	notice.head = outHeader{Len: uint32(len(bytesOf(&notice))), Error: fusewire.NotifyInvalInode}
	for node := range dirs {
		notice.what.Node = node
		if c.write(bytesOf(&notice)) == unix.ENODEV {
			return
		}
	}
}
