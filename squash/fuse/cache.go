package fuse

import (
	"fmt"
	"sync"
	"sync/atomic"
	"unsafe"

	"golang.org/x/sys/unix"

	"coracle/squash"
)

// A cache holds decoded blocks: data blocks and fragment blocks alike.
//
// The kernel's page cache keeps what files contain, so a block is only wanted
// again when it holds several small files (fragments), when somebody reads
// parts of it in any order, or when it was read ahead. A block whose every
// byte has been handed out is therefore the first to be reused: a long
// sequential read goes through the same few slots, which stay in the
// processor's cache, and a small cache does as well as a big one.
//
// The memory is one anonymous mapping outside the Go heap, so that neither
// the collector's pace nor its work depends on it; pages never used cost
// nothing. Each block is decoded by one goroutine however many want it.
type cache struct {
	mapped []byte
	mem    []byte       // the slots, one behind the other: mapped from just before its first huge page on
	stride int          // from one slot to the next
	slots  int          // how many there may be
	made   atomic.Int32 // how many there are: a server that is asked for one program needs few
	shards []shard
	decode func(b squash.Block, dst []byte) (int, error)
	answer func(r late, data []byte, err error) // for those who have left it to the decoder
}

type shard struct {
	mu    sync.Mutex
	left  int // slots that it may still make
	index map[squash.Block]*slot
	lru   slot     // ring of unpinned slots: lru.next was used last, lru.prev is reused next
	_     [64]byte // the next shard's lock is in another cache line
}

type slotState uint8

const (
	slotFree    slotState = iota // holds nothing
	slotQueued                   // to be decoded into, by whoever comes first
	slotLoading                  // one goroutine decodes into it
	slotReady                    // buf[:n] is the block
	slotFailed                   // err says why; gone when the last pin is
)

// A slot is the place of one block. Fields but buf are guarded by the shard.
type slot struct {
	prev, next *slot // in the ring while pins == 0
	shard      *shard
	buf        []byte // block size and squash.Slack
	outside    bool   // not of the arena: made because every slot of the shard was pinned
	key        squash.Block
	state      slotState
	pins       int
	n          int // decoded length
	served     int // bytes handed out, about
	err        error
	ready      sync.Cond
	late       [mostLate]late // the first nlate are answered by who decodes the block; each has pinned it
	nlate      int
}

// hugePage is the size of a huge page, in bytes.
const hugePage = 2 << 20

// minSlots keeps a cache of large blocks useful.
const minSlots = 16

// newCache makes a cache of about bytes for blocks of at most blockSize, for a number of
// processors.
func newCache(bytes int64, blockSize, procs int, decode func(squash.Block, []byte) (int, error)) (*cache, error) {
	n, stride := max(int(bytes/int64(blockSize)), minSlots), blockSize+squash.Slack
	lead := hugePage / blockSize * squash.Slack // so much is in front of the first huge page: 16 blocks of 128 KiB end with that, and need no other
	mapped, err := anonymous(n*stride + hugePage)
	for err == unix.ENOMEM && n > minSlots { // little address space is left
		n = max(n/2, minSlots)
		mapped, err = anonymous(n*stride + hugePage)
	}
	if err != nil {
		return nil, fmt.Errorf("block cache of %d bytes: %w", n*stride, err)
	}
	c := &cache{mapped: mapped, stride: stride, slots: n, shards: make([]shard, shardsFor(n, procs)), decode: decode}
	c.mem = mapped[-(uintptr(unsafe.Pointer(unsafe.SliceData(mapped)))+uintptr(lead))&(hugePage-1):]
	for i := range c.shards {
		s := &c.shards[i]
		s.lru.prev, s.lru.next = &s.lru, &s.lru
		s.left = (n + i) / len(c.shards)
		s.index = make(map[squash.Block]*slot)
	}
	return c, nil
}

// anonymous maps n bytes that take memory as they are used, in huge pages where the kernel gives them: the first block in a
// slot of small ones causes a page fault for each, which takes almost as long as decoding it.
func anonymous(n int) ([]byte, error) {
	mem, err := unix.Mmap(-1, 0, n, unix.PROT_READ|unix.PROT_WRITE, unix.MAP_PRIVATE|unix.MAP_ANONYMOUS|unix.MAP_NORESERVE)
	if err == nil {
		_ = unix.Madvise(mem, unix.MADV_HUGEPAGE)
	}
	return mem, err
}

// shardsFor returns how many locks a cache of n slots has with a number of processors.
// A request pins several slots at a time, and the fewer shards, the fewer slots a
// sequential read goes through: few shards of many slots, unless many processors would
// meet at them.
func shardsFor(n, procs int) int { return max(1, min(n/64, 4), min(n/16, procs/2)) }

// close gives the memory back. No slot may be in use.
func (c *cache) close() error { return unix.Munmap(c.mapped) }

func (e *slot) insert(after *slot) {
	e.prev, e.next = after, after.next
	e.prev.next, e.next.prev = e, e
}

func (e *slot) remove() {
	e.prev.next, e.next.prev = e.next, e.prev
	e.prev, e.next = nil, nil
}

func (c *cache) shardOf(b squash.Block) *shard {
	h := uint64(b.Off) * 0x9e3779b97f4a7c15
	return &c.shards[(h>>32)%uint64(len(c.shards))]
}

// get returns block b, pinned: data stays valid until put. Before it waits for
// a decoder, its own or another goroutine's, it calls wait once.
func (c *cache) get(b squash.Block, wait func()) (e *slot, data []byte, err error) {
	return c.getOrLeave(b, wait, late{})
}

// getOrLeave does not wait if r, which has a length then, can be left to somebody who is decoding b: the error is errLeft.
func (c *cache) getOrLeave(b squash.Block, wait func(), r late) (e *slot, data []byte, err error) {
	s := c.shardOf(b)
	s.mu.Lock()
	e, ok := s.index[b]
	if ok && r.n > 0 && e.leave(r) {
		s.mu.Unlock()
		return nil, nil, errLeft
	}
	if ok && e.state == slotQueued {
		e.pin()
		e.state = slotLoading
		s.mu.Unlock()
		wait()
		data, err = c.fill(e, b)
	} else if ok {
		e.pin()
		if e.state == slotLoading {
			s.mu.Unlock()
			wait()
			s.mu.Lock()
			for e.state == slotLoading {
				e.ready.Wait()
			}
		}
		data, err = e.buf[:e.n], e.err
		s.mu.Unlock()
	} else {
		e = c.claim(s, b)
		s.mu.Unlock()
		wait()
		data, err = c.fill(e, b)
	}
	if err != nil {
		c.put(e, 0)
		return nil, nil, err
	}
	return e, data, nil
}

// has tells whether b is in the cache or on its way.
func (c *cache) has(b squash.Block) bool {
	s := c.shardOf(b)
	s.mu.Lock()
	defer s.mu.Unlock()
	_, ok := s.index[b]
	return ok
}

// reserve takes a slot for b, which load or drop must be called for. It is nil if b is
// there or on its way, or no slot is free. A reader who wants b before load has begun
// decodes it himself.
func (c *cache) reserve(b squash.Block) *slot {
	s := c.shardOf(b)
	s.mu.Lock()
	defer s.mu.Unlock()
	if _, ok := s.index[b]; ok || s.lru.prev == &s.lru && s.left == 0 {
		return nil
	}
	e := c.claim(s, b)
	e.state = slotQueued
	return e
}

// load decodes a reserved block unless a reader has begun to. Errors wait for the reader
// who wants the block.
func (c *cache) load(e *slot) {
	e.shard.mu.Lock()
	mine := e.state == slotQueued
	if mine {
		e.state = slotLoading
	}
	e.shard.mu.Unlock()
	if mine {
		c.fill(e, e.key)
	}
	c.put(e, 0)
}

// drop gives a reserved slot back, unless a reader has it.
func (c *cache) drop(e *slot) {
	e.shard.mu.Lock()
	if e.state == slotQueued {
		delete(e.shard.index, e.key)
		e.state = slotFailed
	}
	e.shard.mu.Unlock()
	c.put(e, 0)
}

// pin holds e where it is. The shard is locked.
func (e *slot) pin() {
	if e.pins == 0 {
		e.remove()
	}
	e.pins++
}

// claim takes a slot for block b and pins it: one that has served its purpose, a new one, or the one that is reused next.
// When all of them are pinned it makes one outside the arena, which put forgets. The
// shard is locked.
func (c *cache) claim(s *shard, b squash.Block) *slot {
	e := s.lru.prev
	switch {
	case s.left > 0 && (e == &s.lru || e.state == slotReady && e.served < e.n):
		e = c.fresh(s)
	case e == &s.lru:
		e = &slot{shard: s, outside: true, pins: 1}
		e.ready.L = &s.mu
	default:
		if e.state == slotReady {
			delete(s.index, e.key)
		}
		e.pin()
	}
	e.key, e.state, e.n, e.served, e.err = b, slotLoading, 0, 0, nil
	s.index[b] = e
	return e
}

// fresh makes another slot of the arena, pinned. The shard is locked, and may have one more.
func (c *cache) fresh(s *shard) *slot {
	s.left--
	end := int(c.made.Add(1)) * c.stride
	e := &slot{shard: s, buf: c.mem[end-c.stride : end : end], pins: 1}
	e.ready.L = &s.mu
	return e
}

// fill decodes b into the claimed slot, wakes those who wait for it and answers those who do not.
func (c *cache) fill(e *slot, b squash.Block) ([]byte, error) {
	buf, state := e.buf, slotReady
	if buf == nil {
		buf = make([]byte, b.Len+squash.Slack)
	}
	n, err := c.safeDecode(b, buf)
	if err != nil {
		state, n = slotFailed, 0
	}
	e.shard.mu.Lock()
	e.buf, e.state, e.n, e.err = buf, state, n, err
	if err != nil {
		delete(e.shard.index, e.key) // the next reader tries again
	}
	left, nleft := e.late, e.nlate
	e.nlate = 0
	e.shard.mu.Unlock()
	e.ready.Broadcast()
	for _, r := range left[:nleft] {
		c.answer(r, buf[:n], err)
		c.put(e, r.n)
	}
	return buf[:n], err
}

// safeDecode keeps a decoder's panic from leaving a slot loading for ever.
func (c *cache) safeDecode(b squash.Block, dst []byte) (n int, err error) {
	defer func() {
		if p := recover(); p != nil {
			n, err = 0, fmt.Errorf("decoder panic: %v", p)
		}
	}()
	if room := len(dst) - squash.Slack; b.Len > room {
		return 0, fmt.Errorf("block of %d bytes in an image of %d byte blocks", b.Len, room)
	}
	return c.decode(b, dst)
}

// put gives back a slot from get, of which served bytes were used.
func (c *cache) put(e *slot, served int) {
	s := e.shard
	s.mu.Lock()
	defer s.mu.Unlock()
	e.served += served
	if e.pins--; e.pins > 0 {
		return
	}
	switch {
	case e.outside:
		if s.index[e.key] == e {
			delete(s.index, e.key)
		}
	case e.state == slotFailed:
		e.state, e.err = slotFree, nil
		e.insert(s.lru.prev)
	case e.served >= e.n:
		e.insert(s.lru.prev)
	default:
		e.insert(&s.lru)
	}
}
