package fuse

import (
	"errors"

	"golang.org/x/sys/unix"
)

// A READ of bytes that somebody is decoding keeps no worker waiting: it is left to whoever decodes the block. The leader goes on to the
// next request, and nobody has to be woken up for this one but its reader.

// A late is a READ that has been left so.
type late struct {
	unique, node uint64
	number       uint32 // of the inode
	skip, n      int    // the bytes of the block that are wanted
}

// mostLate is how many are left to one block: a reader in sequence has two under way.
const mostLate = 2

// errLeft is no failure: there is nothing to reply now.
var errLeft = errors.New("left to whoever decodes the block")

// leave has r answered when the block is decoded. False means that this is not going on, or that others have been left to it. The shard is locked.
func (e *slot) leave(r late) bool {
	if e.state != slotLoading || e.nlate == mostLate {
		return false
	}
	e.pin()
	e.late[e.nlate] = r
	e.nlate++
	return true
}

// answer answers a READ that was left to whoever has decoded data, or failed.
func (s *server) answer(r late, data []byte, err error) {
	if err == nil && r.skip+r.n > len(data) {
		err = errShort
	}
	h := outHeader{Len: uint32(outHeaderSize + r.n), Unique: r.unique}
	parts := [2]unix.Iovec{iovec(bytesOf(&h))}
	if err == nil {
		parts[1] = iovec(data[r.skip : r.skip+r.n])
		s.sent(r.unique, s.writev(parts[:]))
		return
	}
	s.log.add(r.node, r.number, err)
	h.Len, h.Error = outHeaderSize, -int32(unix.EIO)
	s.sent(r.unique, s.writev(parts[:1]))
}
