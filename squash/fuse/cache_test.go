package fuse

import (
	"errors"
	"fmt"
	"os"
	"sync"
	"sync/atomic"
	"testing"
	"time"
	"unsafe"

	"golang.org/x/sys/unix"

	"coracle/squash"
)

const testBlock = 4096

// countingCache decodes block i to bytes of value i, and counts.
func countingCache(t *testing.T, bytes int64, fail func(i int64) error) (*cache, *atomic.Int32) {
	decoded := new(atomic.Int32)
	c, err := newCache(bytes, testBlock, 1, func(b squash.Block, dst []byte) (int, error) {
		decoded.Add(1)
		if err := fail(b.Off); err != nil {
			return 0, err
		}
		for i := range dst[:b.Len] {
			dst[i] = byte(b.Off)
		}
		return b.Len, nil
	})
	must(t, err)
	t.Cleanup(func() { must(t, c.close()) })
	return c, decoded
}

func block(i int64) squash.Block { return squash.Block{Off: i, Size: 10, Len: testBlock} }

func never(int64) error { return nil }

// However many want a block at a time, it is decoded once.
func TestCacheSingleFlight(t *testing.T) {
	gate := make(chan struct{})
	c, decoded := countingCache(t, 0, func(int64) error { <-gate; return nil })
	var waits atomic.Int32
	var wg sync.WaitGroup
	for range 8 {
		wg.Go(func() {
			e, data, err := c.get(block(3), func() { waits.Add(1) })
			if err != nil || len(data) != testBlock || data[0] != 3 {
				t.Errorf("get = %d bytes, %v", len(data), err)
				return
			}
			c.put(e, 1)
		})
	}
	for waits.Load() < 8 {
		time.Sleep(time.Millisecond)
	}
	close(gate)
	wg.Wait()
	if n := decoded.Load(); n != 1 {
		t.Errorf("decoded %d times, want once", n)
	}
}

// A block handed out completely makes room first; the others stay by use.
func TestCacheReplacement(t *testing.T) {
	c, decoded := countingCache(t, minSlots*testBlock, never)
	use := func(i int64, served int) {
		t.Helper()
		e, data, err := c.get(block(i), func() {})
		if err != nil || data[0] != byte(i) {
			t.Fatalf("get(%d) = %v", i, err)
		}
		c.put(e, served)
	}
	for i := range int64(minSlots - 1) {
		use(i, 1)
	}
	for i := int64(100); i < 200; i++ { // a long sequential read
		use(i, testBlock)
	}
	before := decoded.Load()
	for i := range int64(minSlots - 1) {
		use(i, 1)
	}
	if n := decoded.Load() - before; n != 0 {
		t.Errorf("%d blocks were pushed out by a sequential read", n)
	}
	for i := int64(200); i < 200+minSlots; i++ {
		use(i, 1)
	}
	if use(0, 1); decoded.Load() != before+minSlots+1 {
		t.Error("a block used long ago is still there")
	}
}

// Slots are made as they are needed, so that a huge page's worth ends with one: who reads a long file in sequence needs one slot.
func TestCacheGrowth(t *testing.T) {
	c, _ := countingCache(t, 2*minSlots*testBlock, never)
	use := func(i int64, served int) {
		t.Helper()
		e, data, err := c.get(block(i), func() {})
		must(t, err)
		at, want := uintptr(unsafe.Pointer(&data[0]))%hugePage, int(c.made.Load()-1)*c.stride-hugePage/testBlock*squash.Slack
		if at != uintptr(want+hugePage)%hugePage {
			t.Errorf("block %d of %d slots lies at %d in its huge page", i, c.made.Load(), at)
		}
		c.put(e, served)
	}
	for i := range int64(100) {
		use(i, testBlock)
	}
	for i := range int32(minSlots) { // the first one takes the slot of the last
		if use(100+int64(i), 1); c.made.Load() != i+1 {
			t.Errorf("%d slots for %d blocks that are still wanted", c.made.Load(), i+1)
		}
	}
	if use(200, testBlock); c.made.Load() != minSlots+1 {
		t.Errorf("%d slots, want one more than %d", c.made.Load(), minSlots)
	}
}

// Errors reach the reader and are not kept.
func TestCacheError(t *testing.T) {
	bad := errors.New("bad")
	broken := true
	c, _ := countingCache(t, 0, func(i int64) error {
		if broken {
			return bad
		}
		return nil
	})
	c.load(c.reserve(block(1)))
	if _, _, err := c.get(block(1), func() {}); err != bad {
		t.Errorf("get = %v, want %v", err, bad)
	}
	broken = false
	e, data, err := c.get(block(1), func() {})
	if err != nil || data[0] != 1 {
		t.Fatalf("get after an error = %v", err)
	}
	c.put(e, 0)
	if c.has(block(2)) || !c.has(block(1)) {
		t.Error("has is wrong")
	}
}

// A decoder that panics is an error; one that is given more than a block fits
// nowhere.
func TestCacheMisuse(t *testing.T) {
	c, _ := countingCache(t, 0, func(int64) error { panic("broken decoder") })
	if _, _, err := c.get(block(1), func() {}); err == nil {
		t.Error("a panic is no error")
	}
	big := squash.Block{Off: 1, Size: 10, Len: 2 * testBlock}
	if _, _, err := c.get(big, func() {}); err == nil {
		t.Error("a block larger than a slot is no error")
	}
}

// When every slot is in use there are still blocks to be had.
func TestCacheAllPinned(t *testing.T) {
	c, _ := countingCache(t, 0, never)
	var pinned []*slot
	for i := range int64(3 * minSlots) {
		e, data, err := c.get(block(i), func() {})
		if err != nil || data[0] != byte(i) {
			t.Fatalf("get(%d) with %d pinned = %v", i, len(pinned), err)
		}
		pinned = append(pinned, e)
	}
	if c.reserve(block(1000)) != nil || c.has(block(1000)) { // nothing to decode into
		t.Error("reading ahead took memory that is not the cache's")
	}
	for _, e := range pinned {
		c.put(e, 0)
	}
	for i := range int64(3 * minSlots) {
		if want := i < minSlots; c.has(block(i)) != want {
			t.Errorf("has(%d) = %v, want %v", i, !want, want)
		}
	}
}

// One line a file, and few after many.
func TestCorruptLog(t *testing.T) {
	var lines []string
	l := corruptLog{out: func(s string) { lines = append(lines, s) }}
	l.add(70, 7, errors.New("broken"))
	l.add(70, 7, errors.New("broken again"))
	if len(lines) != 1 || lines[0] != "broken (file with inode number 7)" {
		t.Errorf("lines = %q", lines)
	}
	now := time.Now()
	admitted := 0
	for i := range uint64(10 * logFiles) {
		if l.admit(1000+i, now) {
			admitted++
		}
	}
	if admitted != logFiles { // one of them as this second's extra line
		t.Errorf("%d lines for as many files as that, want %d", admitted, logFiles)
	}
	if !l.admit(5000, now.Add(2*logEvery)) {
		t.Error("no line a second later")
	}
}

// Where there is no room for the cache that was asked for, a smaller one does.
func TestCacheLittleSpace(t *testing.T) {
	statm, err := os.ReadFile("/proc/self/statm")
	must(t, err)
	var pages uint64
	_, err = fmt.Sscan(string(statm), &pages)
	must(t, err)
	var old unix.Rlimit
	must(t, unix.Getrlimit(unix.RLIMIT_AS, &old))
	must(t, unix.Setrlimit(unix.RLIMIT_AS, &unix.Rlimit{Cur: pages*4096 + 512<<20, Max: old.Max}))
	c, err := newCache(1<<30, 1<<20, 1, func(b squash.Block, dst []byte) (int, error) { return b.Len, nil })
	must(t, unix.Setrlimit(unix.RLIMIT_AS, &old))
	must(t, err)
	if c.slots < minSlots || c.slots >= 512 {
		t.Errorf("a cache of %d slots in 512 MiB of address space", c.slots)
	}
	must(t, c.close())
}

// A block that is to be read ahead is decoded once, by its reader if he comes first, and
// not at all if its turn never comes.
func TestCacheReserve(t *testing.T) {
	c, decoded := countingCache(t, 0, never)
	use := func(i int64) {
		t.Helper()
		e, data, err := c.get(block(i), func() {})
		if err != nil || data[0] != byte(i) {
			t.Fatalf("get(%d) = %v", i, err)
		}
		c.put(e, 1)
	}
	e := c.reserve(block(1))
	if again := c.reserve(block(1)); e == nil || again != nil || !c.has(block(1)) {
		t.Fatal("a block is reserved twice, or not at all")
	}
	use(1) // the reader is first
	c.load(e)
	use(1)
	if n := decoded.Load(); n != 1 {
		t.Errorf("decoded %d times when the reader was first, want once", n)
	}
	c.load(c.reserve(block(2)))
	use(2)
	if n := decoded.Load(); n != 2 {
		t.Errorf("decoded %d times when the reader came later, want once", n-1)
	}
	c.drop(c.reserve(block(3)))
	if c.has(block(3)) || decoded.Load() != 2 {
		t.Error("a dropped block is there")
	}
	e = c.reserve(block(4))
	use(4)
	c.drop(e)
	if !c.has(block(4)) {
		t.Error("a block that its reader decoded is dropped")
	}
	for i := range int64(3 * minSlots) { // every slot is free again
		use(10 + i)
	}
}
