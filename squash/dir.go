package squash

import (
	"encoding/binary"
	"fmt"
	"io/fs"
	"math/bits"
	"strings"
)

// A Dirent is an entry of a directory.
type Dirent struct {
	// Name has 1 to 256 bytes, none of them '/' or NUL, and is not "." or "..".
	// It shares memory with a cached metadata block: clone it to keep it long.
	Name   string
	Ref    Ref
	Type   Type
	Number uint32 // of the inode
}

// A Cursor is a place between two entries of a directory; 0 is its start. It
// is below 1<<61. A cursor means something only for the directory it came from:
// others give wrong entries or an error that wraps [ErrCorrupt].
//
// From the low end: 8 bits for entries to skip in a run, as many bits as the
// listing's length needs for the run's offset in the listing, and the rest for
// its metadata block's distance from the first one, 0 if that is too far to
// write down: then the listing is walked from its start.
type Cursor uint64

const cursorBits = 61

// A dirRun is a directory header with the place it was found at.
//
// Source: format.adoc, "Directory Table".
type dirRun struct {
	at     int64 // bytes of the listing in front of the header
	block  int64 // position of the metadata block that holds the header's start
	offset int   // and the offset there
	count  int   // entries
	start  uint32
	number uint32
}

// A dirWalk walks the runs of a listing.
type dirWalk struct {
	metaCursor
	first  int64 // position of the listing's first metadata block
	offset int   // of the listing in it
	size   int64 // bytes of the listing
	at     int64 // of them, in front of the cursor
	run    dirRun
}

// listing returns the bytes of a directory's listing.
func (i *Inode) listing() int64 { return max(0, i.Size-dirSizeBias) }

// walkDir returns a walk that stands at the run with at bytes of listing in
// front of it, in the block at distance delta from the listing's first one.
func (r *Reader) walkDir(dir *Inode, at, delta int64) (dirWalk, error) {
	w := dirWalk{
		first:  int64(r.super.DirTable) + dir.start,
		offset: int(dir.offset),
		size:   dir.listing(),
		at:     at,
	}
	if dir.Type != Directory {
		return w, ErrNotDir
	}
	if at >= w.size {
		return w, nil
	}
	off := w.offset
	if delta != 0 {
		off = int((int64(off) + at) % MetaSize)
	}
	var err error
	if w.metaCursor, err = r.metaAt(w.first+delta, off); err == nil && delta == 0 {
		err = w.skip(int(at))
	}
	return w, err
}

// next reads the header of the next run. It returns false at the end.
func (w *dirWalk) next() (bool, error) {
	if w.at >= w.size {
		return false, nil
	}
	w.run.at = w.at
	w.run.block, w.run.offset = w.place()
	var buf [dirHeaderSize]byte
	b, err := w.take(dirHeaderSize, buf[:])
	if err != nil {
		return false, err
	}
	w.at += dirHeaderSize
	count := binary.LittleEndian.Uint32(b)
	if count >= maxRunEntries {
		return false, corrupt("directory header with %d entries", uint64(count)+1)
	}
	w.run.count = int(count) + 1
	w.run.start = binary.LittleEndian.Uint32(b[4:])
	w.run.number = binary.LittleEndian.Uint32(b[8:])
	return true, nil
}

// A rawEntry is an entry as it is stored.
type rawEntry struct {
	head [dirEntrySize]byte
	name []byte
}

// entry reads the next entry of a run.
func (w *dirWalk) entry(e *rawEntry) error {
	b, err := w.take(dirEntrySize, e.head[:])
	if err != nil {
		return err
	}
	copy(e.head[:], b)
	n := int(binary.LittleEndian.Uint16(b[6:])) + 1
	if n > maxNameLen {
		return corrupt("name of %d bytes", n)
	}
	w.at += int64(dirEntrySize + n)
	if w.at > w.size {
		return corrupt("entry behind the end of its directory")
	}
	e.name, err = w.take(n, nil)
	return err
}

// pass goes past entries of a run, at most count of them, that are neither the one of that name nor tell that there is none.
// It stops in front of what is not whole in the metadata block or not right, and returns how many it has passed.
func (w *dirWalk) pass(name string, count int) (passed int) {
	b := w.blk.data[w.off:]
	b = b[:max(0, min(int64(len(b)), w.size-w.at))]
	all := len(b)
	for passed < count && len(b) > dirEntrySize {
		n := int(binary.LittleEndian.Uint16(b[6:])) + 1
		if n > len(b)-dirEntrySize || n > maxNameLen {
			break
		}
		if this := b[dirEntrySize : dirEntrySize+n]; this[0] > name[0] || string(this) == name {
			break
		}
		b = b[dirEntrySize+n:]
		passed++
	}
	w.off += all - len(b)
	w.at += int64(all - len(b))
	return passed
}

// dirent makes sense of an entry.
func (w *dirWalk) dirent(e *rawEntry) (Dirent, error) {
	le := binary.LittleEndian
	d := Dirent{
		Name:   viewString(e.name),
		Ref:    Ref(w.run.start)<<16 | Ref(le.Uint16(e.head[:])),
		Type:   Type(e.head[4]),
		Number: w.run.number + uint32(int32(int16(le.Uint16(e.head[2:])))),
	}
	if d.Type < Directory || d.Type > Socket || e.head[5] != 0 {
		return d, corrupt("entry %q of type %d", d.Name, le.Uint16(e.head[4:]))
	}
	if !validName(d.Name) {
		return d, corrupt("entry named %q", d.Name)
	}
	return d, nil
}

func validName(s string) bool {
	return s != "." && s != ".." && strings.IndexByte(s, '/') < 0 && strings.IndexByte(s, 0) < 0
}

// cursor returns the place in front of entry skip of the walk's run.
func (w *dirWalk) cursor(run *dirRun, skip int) Cursor {
	width := uint(bits.Len64(uint64(w.size)))
	delta := run.block - w.first
	if delta>>(cursorBits-8-width) != 0 || run.offset != int((int64(w.offset)+run.at)%MetaSize) {
		delta = 0
	}
	return Cursor(uint64(delta)<<(8+width) | uint64(run.at)<<8 | uint64(skip))
}

// ReadDir calls fn for the entries of a directory from a cursor on, in the
// image's order (by name, as bytes), until fn returns false. next is the place
// behind the entry. "." and ".." are not among the entries. The error wraps
// [ErrNotDir], [ErrCorrupt] or what the source returned.
func (r *Reader) ReadDir(dir *Inode, at Cursor, fn func(d Dirent, next Cursor) bool) error {
	if err := r.readDir(dir, at, fn); err != nil {
		return fmt.Errorf("directory %#x: %w", uint64(dir.Ref), err)
	}
	return nil
}

func (r *Reader) readDir(dir *Inode, at Cursor, fn func(d Dirent, next Cursor) bool) error {
	if at>>cursorBits != 0 {
		return corrupt("cursor %#x", uint64(at))
	}
	width := uint(bits.Len64(uint64(dir.listing())))
	skip := int(at & 0xff)
	w, err := r.walkDir(dir, int64(at>>8&(1<<width-1)), int64(at>>(8+width)))
	if err != nil {
		return err
	}
	for {
		ok, err := w.next()
		if !ok || err != nil {
			return err
		}
		more, err := w.list(skip, fn)
		if !more || err != nil {
			return err
		}
		skip = 0
	}
}

// list calls fn for the entries of the walk's run but the first skip ones.
func (w *dirWalk) list(skip int, fn func(d Dirent, next Cursor) bool) (more bool, err error) {
	var e rawEntry
	for i := range w.run.count {
		if err := w.entry(&e); err != nil {
			return false, err
		}
		if i < skip {
			continue
		}
		d, err := w.dirent(&e)
		if err != nil {
			return false, err
		}
		var next Cursor
		if i+1 < w.run.count {
			next = w.cursor(&w.run, i+1)
		} else {
			end := dirRun{at: w.at}
			end.block, end.offset = w.place()
			next = w.cursor(&end, 0)
		}
		if !fn(d, next) {
			return false, nil
		}
	}
	return true, nil
}

// Lookup finds an entry of a directory by name. The error wraps
// [fs.ErrNotExist], [ErrNotDir], [ErrCorrupt] or what the source returned.
func (r *Reader) Lookup(dir *Inode, name string) (Dirent, error) {
	d, err := r.lookup(dir, name)
	if err != nil && err != fs.ErrNotExist {
		err = fmt.Errorf("directory %#x: %w", uint64(dir.Ref), err)
	}
	return d, err
}

func (r *Reader) lookup(dir *Inode, name string) (Dirent, error) {
	if dir.Type != Directory {
		return Dirent{}, ErrNotDir
	}
	if name == "" || len(name) > maxNameLen {
		return Dirent{}, fs.ErrNotExist
	}
	at, delta, err := r.searchIndex(dir, name)
	if err != nil {
		return Dirent{}, err
	}
	w, err := r.walkDir(dir, at, delta)
	if err != nil {
		return Dirent{}, err
	}
	var e rawEntry
	for {
		ok, err := w.next()
		if !ok || err != nil {
			if err == nil {
				err = fs.ErrNotExist
			}
			return Dirent{}, err
		}
		for left := w.run.count - w.pass(name, w.run.count); left > 0; left -= 1 + w.pass(name, left-1) {
			if err := w.entry(&e); err != nil {
				return Dirent{}, err
			}
			if string(e.name) == name {
				return w.dirent(&e)
			}
			if e.name[0] > name[0] { // sorted; as strict as the kernel
				return Dirent{}, fs.ErrNotExist
			}
		}
	}
}

// searchIndex returns the place of the last run that an index entry names and
// that does not begin behind name: bytes of listing in front of it, and its
// block's distance from the first one. Without an index that is the start.
//
// Source: format.adoc, "Directory Index".
func (r *Reader) searchIndex(dir *Inode, name string) (at, delta int64, err error) {
	if dir.index == 0 {
		return 0, 0, nil
	}
	c, err := r.metaAt(dir.more.pos, dir.more.off)
	if err != nil {
		return 0, 0, err
	}
	var head [dirIndexSize]byte
	var text [maxNameLen]byte
	for range dir.index {
		b, err := c.take(dirIndexSize, head[:])
		if err != nil {
			return 0, 0, err
		}
		i := int64(binary.LittleEndian.Uint32(b))
		start := int64(binary.LittleEndian.Uint32(b[4:]))
		n := uint64(binary.LittleEndian.Uint32(b[8:])) + 1
		if n > maxNameLen || i < at || i > dir.listing() || start < dir.start {
			return 0, 0, corrupt("directory index entry %d, %d, %d", i, start, n)
		}
		first, err := c.take(int(n), text[:])
		if err != nil {
			return 0, 0, err
		}
		if string(first) > name {
			break
		}
		at, delta = i, start-dir.start
	}
	return at, delta, nil
}
