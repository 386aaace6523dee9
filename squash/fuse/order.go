package fuse

import (
	"sync"

	"coracle/squash"
)

// Who reads every file of a tree (a copy, an archive, a search, a checksum) reads them in the order in which their directories list
// them. When some have been read so, the blocks of those that follow are decoded ahead, as the blocks of one file are.

// orders knows which files are read next, if it is in order.
type orders struct {
	mu    sync.Mutex   // whoever finds it locked does without: these are hints
	count int          // files read in order, less those that were not
	dirs  [8]following // the directories that were listed last
	turn  int          // whose place is taken next
}

// A following is what follows in a directory.
type following struct {
	dir    squash.Inode
	files  [16]nextFile // the first n are read next, in this order
	n      int
	bytes  int64         // of them
	behind squash.Cursor // the place behind the last one
	end    bool          // there are no more
	fresh  bool          // files is what the listing began with, decoded ahead, and nobody has read one since
}

// A nextFile is a file with contents. Only so many bytes of it are decoded ahead.
type nextFile struct {
	ref   squash.Ref
	bytes int64
}

const (
	enoughInOrder = 8         // files in order before others are decoded ahead
	mostInOrder   = 32        // more are not counted
	outOfOrder    = 4         // so much counts one that was not expected
	mostFollowing = 512 << 10 // bytes that are decoded ahead, about
	mostLooks     = 256       // entries of a directory that are looked at for files, at a time
)

// startOf returns w.ino as a file that may be read next.
func (w *worker) startOf() nextFile {
	return nextFile{w.ino.Ref, min(w.ino.Size, mostFollowing)}
}

// listed is told that w.dir has been listed, its first file with contents and the place behind that being in w.list. If files are read in
// order, what is listed is likely to be read.
func (w *worker) listed() {
	o := &w.s.orders
	if !o.mu.TryLock() {
		return
	}
	defer o.mu.Unlock()
	d := o.add(&w.dir, w.list.first, w.list.behind)
	if o.count >= enoughInOrder && w.s.opt.ReadAhead > 0 {
		o.count -= outOfOrder // until one of them is read
		d.fresh = true
		w.reserveStart(d.files[0])
		w.follow(d)
	}
}

// add takes a directory, its first file with contents, and the place behind that.
func (o *orders) add(dir *squash.Inode, first nextFile, behind squash.Cursor) *following {
	d := &o.dirs[o.turn]
	for i := range o.dirs {
		if o.dirs[i].dir.Ref == dir.Ref {
			d = &o.dirs[i]
		}
	}
	if d == &o.dirs[o.turn] {
		o.turn = (o.turn + 1) % len(o.dirs)
	}
	d.dir, d.n, d.bytes, d.behind, d.end, d.fresh = *dir, 1, first.bytes, behind, false, false
	d.files[0] = first
	return d
}

// find returns the directory in which a file is expected next, and its place among those that are.
func (o *orders) find(ref squash.Ref) (*following, int) {
	for k := range o.dirs {
		d := &o.dirs[k]
		for i := range d.n {
			if d.files[i].ref == ref {
				return d, i
			}
		}
	}
	return nil, 0
}

// inOrder is told that the beginning of w.ino is read. It returns the directory in which that was expected, if it was, and for how many
// files the order has been kept, before this one and with it.
func (w *worker) inOrder() (d *following, before, count int) {
	o := &w.s.orders
	if !o.mu.TryLock() {
		return nil, 0, 0
	}
	defer o.mu.Unlock()
	d, i := o.find(w.ino.Ref)
	before = o.count
	if d == nil {
		o.count = max(o.count-outOfOrder, 0)
		return nil, before, o.count
	}
	if d.fresh {
		o.count += outOfOrder
		d.fresh = false
	}
	o.count = max(0, min(o.count+1-i, mostInOrder)) // i have been left out
	for _, f := range d.files[:i+1] {
		d.bytes -= f.bytes
	}
	d.n = copy(d.files[:], d.files[i+1:d.n])
	return d, before, o.count
}

// goOn looks for more files that follow in d, if few are known, and has them decoded if files are read in order; all: those that are
// known, too. It changes w.ino.
func (w *worker) goOn(d *following, all bool) {
	o := &w.s.orders
	if !o.mu.TryLock() {
		return
	}
	defer o.mu.Unlock()
	if all {
		for _, f := range d.files[:d.n] {
			w.reserveStart(f)
		}
	}
	if d.n <= len(d.files)/2 && d.bytes <= mostFollowing/2 && !d.end {
		w.follow(d)
	}
}

// reserveStart has the beginning of a file decoded. It changes w.ino.
func (w *worker) reserveStart(f nextFile) {
	if w.inode(nodeOf(f.ref)) != nil {
		return // who reads it gets the error
	}
	for at := int64(0); at < f.bytes; at += int64(w.s.blockSize) {
		w.reserve(at)
	}
}

// follow finds more of the files that follow, and has them decoded if files are read in order. It changes w.ino. The
// lock is held.
func (w *worker) follow(d *following) {
	w.ahead, w.looks = d, 0
	_ = w.s.img.ReadDir(&d.dir, d.behind, w.addFile) // who lists the directory gets the error
	d.end = w.ahead != nil
	w.ahead = nil
}

// file takes an entry of a directory; false means that no more are wanted.
func (w *worker) file(e squash.Dirent, behind squash.Cursor) bool {
	d := w.ahead
	d.behind = behind
	if e.Type == squash.Regular {
		var err error
		if w.ino, err = w.s.img.Inode(e.Ref); err != nil {
			return true
		}
		if f := w.startOf(); f.bytes > 0 {
			d.files[d.n] = f
			d.n++
			d.bytes += f.bytes
			if w.s.orders.count >= enoughInOrder || d.fresh {
				w.reserveStart(f)
			}
		}
	}
	if w.looks++; w.looks == mostLooks || d.n == len(d.files) || d.bytes >= mostFollowing {
		w.ahead = nil
		return false
	}
	return true
}
