package extract

import (
	"context"

	"coracle/squash"

	"golang.org/x/sys/unix"
)

// A Total is what a tree takes on a disk.
type Total struct {
	Bytes   int64 // in whole blocks of 4 KiB; names and inodes count for something, holes do not
	Entries int64
}

const (
	diskBlock = 4096 // bytes in which file systems count
	perEntry  = 512  // bytes for an inode and a name
)

// Measure tells what [Tree] is going to write. It reads metadata only. The error is like Tree's.
func Measure(ctx context.Context, r *squash.Reader) (Total, error) {
	m := measurer{ctx: ctx, r: r, seen: map[squash.Ref]bool{}}
	ino, err := r.Inode(r.Root())
	if err == nil {
		err = m.directory("", &ino, 0)
	}
	return m.total, err
}

type measurer struct {
	ctx   context.Context
	r     *squash.Reader
	total Total
	seen  map[squash.Ref]bool // directories, and files with several names
}

func (m *measurer) directory(at string, ino *squash.Inode, depth int) error {
	if depth > maxDepth || m.seen[ino.Ref] {
		return errEndless
	}
	m.seen[ino.Ref] = true
	if err := m.ctx.Err(); err != nil {
		return err
	}
	list, err := entries(m.r, ino)
	if err != nil {
		return err
	}
	m.total.Bytes += diskBlock
	for _, d := range list {
		m.total.Entries++
		m.total.Bytes += perEntry
		below, err := m.r.Inode(d.Ref)
		switch {
		case err != nil:
		case below.Type == squash.Directory:
			err = m.directory(at+"/"+d.Name, &below, depth+1)
		case below.Type == squash.Regular:
			err = m.file(&below)
		}
		if err != nil {
			return named(at+"/"+d.Name, err)
		}
	}
	return nil
}

// file adds a file's contents, once for all of its names.
func (m *measurer) file(ino *squash.Inode) error {
	if ino.Links > 1 {
		if m.seen[ino.Ref] {
			return nil
		}
		m.seen[ino.Ref] = true
	}
	blocks, size := m.r.Blocks(ino), int64(m.r.Super().BlockSize)
	if blocks == 0 {
		m.total.Bytes += whole(ino.Size)
		return nil
	}
	for i := range blocks {
		b, err := m.r.Block(ino, i)
		if err == nil && i%segment == 0 {
			err = m.ctx.Err()
		}
		if err != nil {
			return err
		}
		if !b.Sparse {
			m.total.Bytes += whole(int64(b.Len))
		}
	}
	if tail := ino.Size - int64(blocks)*size; tail > 0 {
		m.total.Bytes += whole(tail)
	}
	return nil
}

func whole(n int64) int64 { return (n + diskBlock - 1) &^ (diskBlock - 1) }

// Room tells how much of that the file system behind the descriptor dir has left for the caller; a number that it
// does not know is the largest.
func Room(dir int) (Total, error) {
	const unknown = 1<<63 - 1
	var st unix.Statfs_t
	if err := unix.Fstatfs(dir, &st); err != nil {
		return Total{}, err
	}
	room := Total{Bytes: int64(st.Bavail) * st.Bsize, Entries: int64(st.Ffree)}
	if st.Blocks == 0 { // it has no bounds, as tmpfs with size=0
		room.Bytes = unknown
	}
	if st.Files == 0 { // it makes inodes as they are needed
		room.Entries = unknown
	}
	return room, nil
}
