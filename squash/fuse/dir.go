package fuse

import (
	"golang.org/x/sys/unix"

	"coracle/squash"
)

// maxListing is the longest reply to READDIR, in bytes. The kernel's buffer is
// that of getdents(2) rounded to pages, 32 KiB with glibc.
const maxListing = 64 << 10

// Offsets in a directory: 0 is in front of ".", 1 in front of "..", and what
// is above is a cursor of the reader plus 2.
const (
	offDot = iota
	offDotDot
	offBias
)

// A listing is a reply to READDIR or READDIRPLUS in the making.
type listing struct {
	plus bool
	bare bool // files go without attributes
	end  int  // w.out must not grow beyond
	used int  // bytes of w.out

	first  nextFile // the first file with contents; 0 bytes: none
	behind squash.Cursor
	whole  bool // it begins with the first entry, and there is such a file
}

// readdir lists a directory, with attributes if the kernel asked for them,
// which it always does after init: an entry that comes with them costs it no
// LOOKUP later. Those of files are left out while nobody looks at them ([names]).
func (w *worker) readdir(h *inHeader, arg []byte) (int, unix.Errno) {
	in := view[readIn](arg)
	if in == nil {
		return 0, unix.EIO
	}
	size, off := min(int(in.Size), maxListing), in.Offset
	if err := w.inode(h.Node); err != nil {
		return w.fail(h.Node, err)
	}
	if w.ino.Type != squash.Directory {
		return 0, unix.ENOTDIR
	}
	w.dir = w.ino
	w.room(size)
	w.list = listing{plus: h.Opcode == opReaddirplus, end: outHeaderSize + size, used: outHeaderSize}
	w.list.bare = w.list.plus && off != offDot && w.s.names.alone(h.Node)
	if off == offDot {
		w.list.bare = w.list.plus && w.s.names.begin(h.Node, &w.dir)
		if !w.dot(".", w.dir.Number, offDotDot) {
			return 0, 0
		}
		off = offDotDot
	}
	if off == offDotDot {
		parent := w.dir.Parent
		if w.dir.Ref == w.s.img.Root() {
			parent = w.dir.Number
		}
		if !w.dot("..", parent, offBias) {
			return w.list.used - outHeaderSize, 0
		}
		off = offBias
	}
	err := w.s.img.ReadDir(&w.dir, squash.Cursor(off-offBias), w.addEntry)
	w.list.whole = in.Offset == offDot && w.list.first.bytes > 0
	n := w.list.used - outHeaderSize
	if err != nil && n == 0 {
		w.ino = w.dir
		return w.fail(h.Node, err)
	}
	return n, 0 // what was read before an error; the next call returns the error
}

// dot adds "." or "..". The kernel makes no inode of them, whatever it is told.
func (w *worker) dot(name string, number uint32, next uint64) bool {
	_, ok := w.addName(name, number, unix.DT_DIR, next)
	return ok
}

// entry adds one entry; false means that the reply is full. An entry whose
// inode cannot be read is listed without attributes: who wants them gets the
// error.
func (w *worker) entry(d squash.Dirent, next squash.Cursor) bool {
	out, ok := w.addName(d.Name, d.Number, direntType(d.Type), uint64(next)+offBias)
	if !ok {
		return false
	}
	if out == nil || w.list.bare && d.Type != squash.Directory {
		return true
	}
	var err error
	if w.ino, err = w.s.img.Inode(d.Ref); err == nil && w.ino.Type == d.Type {
		w.fillEntry(out)
		if w.list.first.bytes == 0 && d.Type == squash.Regular {
			w.list.first, w.list.behind = w.startOf(), next
		}
	}
	return true
}

// addName appends a directory entry and returns the zeroed place of its
// attributes, nil without any. ok is false when there is no room.
func (w *worker) addName(name string, number, typ uint32, next uint64) (out *entryOut, ok bool) {
	l := &w.list
	head := direntSize
	if l.plus {
		head += entryOutSize
	}
	size := (head + len(name) + 7) &^ 7
	if l.used+size > l.end {
		return nil, false
	}
	b := w.out[l.used : l.used+size]
	clear(b[size-8:])
	if l.plus {
		out = view[entryOut](b)
		*out = entryOut{}
		b = b[entryOutSize:]
	}
	*view[dirent](b) = dirent{Ino: uint64(number), Off: next, NameLen: uint32(len(name)), Type: typ}
	copy(b[direntSize:], name)
	l.used += size
	return out, true
}
