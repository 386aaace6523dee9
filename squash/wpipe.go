package squash

import (
	"fmt"
	"io"
	"sync"
	"sync/atomic"
)

// A pipeline compresses blocks on several goroutines and writes them in the
// order they came in. Jobs go round: free → filled by the Writer → work →
// compressed by a worker → pending (in order) → written → free.
type pipeline struct {
	dst     io.WriterAt
	free    chan *job   // buffers nobody uses
	work    chan *job   // to compress
	pending chan *job   // in the image's order
	chunks  chan []byte // to copy with; nil: not made yet
	done    sync.WaitGroup
	once    sync.Once
	failed  atomic.Pointer[error] // the first error of any goroutine

	// The rest belongs to the committing goroutine until finish has returned.
	pos       int64 // where the next block goes
	fragments []fragment
	large     dupIndex
	key       tag // of the blocks of file so far
	hash      *hasher
}

// A fragment is the place of a fragment block.
type fragment struct {
	pos  int64
	size uint32 // as the fragment table has it
}

// A job is a block on its way.
type job struct {
	raw  []byte // one block long
	out  []byte // encodeBound of that
	n    int    // bytes used of raw
	size uint32 // what goes into the image: out[:size], or raw with dataStored, or nothing for a block of zeros
	tag  tag    // of what goes into the image

	mark  func(*pipeline) // no block: called in its turn
	chunk []byte          // no block: goes into the image as it is, and belongs to nothing

	file   *extent // a data block of this file; nil: a fragment block
	first  bool    // the first block of file
	end    int64   // on the last block of file: bytes in all its blocks; 0 on others
	result chan error
}

// An extent is where a file's contents are. All of it is known when the
// pipeline has finished.
type extent struct {
	size   int64
	start  int64    // of the first block, in the image
	sparse int64    // bytes in blocks of zeros
	blocks []uint32 // sizes on disk, as the inode has them
	frag   uint32   // fragment block with the tail end, or noFragment
	tail   uint32   // offset in it
	same   *extent  // has start, sparse and blocks instead of this one, or nil

	section *Section // start counts from its start; nil: from the image's
}

const (
	pipelineBudget = 96 << 20 // bytes of all jobs' buffers, as far as one a worker is possible

	// Bytes are copied in few large pieces: those cost the file system's page cache less.
	chunkSize = 1 << 20
	chunks    = 4
)

func newPipeline(dst io.WriterAt, start int64, o *WriterOptions, codec encoding) (*pipeline, error) {
	n := min(3*o.Workers+4, pipelineBudget/(2*o.BlockSize))
	n = max(n, o.Workers+2)
	hash, err := newHasher()
	if err != nil {
		return nil, err
	}
	p := &pipeline{
		dst:     dst,
		free:    make(chan *job, n),
		work:    make(chan *job, n),
		pending: make(chan *job, n),
		chunks:  make(chan []byte, chunks),
		pos:     start,
		hash:    hash,
	}
	if !o.NoDuplicates {
		p.large = make(dupIndex)
	}
	for range n {
		p.free <- &job{result: make(chan error, 1)}
	}
	for range chunks {
		p.chunks <- nil
	}
	for range o.Workers {
		p.done.Add(1)
		go p.compress(codec.new(o.BlockSize), o)
	}
	p.done.Add(1)
	go p.commit()
	return p, nil
}

// get waits for a free job. Its buffer has one block.
func (p *pipeline) get(blockSize int) *job {
	j := <-p.free
	if j.raw == nil {
		j.raw = make([]byte, blockSize)
		j.out = make([]byte, encodeBound(blockSize))
	}
	j.n, j.size, j.file, j.first, j.end = 0, 0, nil, false, 0
	return j
}

// put sends a job on its way.
func (p *pipeline) put(j *job) {
	p.pending <- j
	p.work <- j
}

// getChunk waits for a free chunk, of chunkSize bytes.
func (p *pipeline) getChunk() []byte {
	b := <-p.chunks
	if b == nil {
		b = make([]byte, chunkSize)
	}
	return b
}

// pass sends a part of a chunk on its way, which need not be compressed.
func (p *pipeline) pass(b []byte) {
	j := <-p.free
	j.chunk = b
	j.result <- nil
	p.pending <- j
}

// mark has fn called when all that came before has been written, by the goroutine that
// writes.
func (p *pipeline) mark(fn func(*pipeline)) {
	j := <-p.free
	j.mark = fn
	j.result <- nil
	p.pending <- j
}

// finish waits until all is written, and ends the goroutines.
func (p *pipeline) finish() {
	p.once.Do(func() {
		close(p.work)
		close(p.pending)
	})
	p.done.Wait()
}

func (p *pipeline) setErr(err error) {
	p.failed.CompareAndSwap(nil, &err)
}

// err returns the first error of any goroutine.
func (p *pipeline) err() error {
	if e := p.failed.Load(); e != nil {
		return *e
	}
	return nil
}

// compress is a worker.
func (p *pipeline) compress(enc encoder, o *WriterOptions) {
	defer p.done.Done()
	hash := p.hash.clone()
	for j := range p.work {
		err := j.compress(enc)
		if err == nil && j.file != nil && !o.NoDuplicates {
			j.tag = hash.sum(j.contents())
		}
		j.result <- err
	}
}

// compress decides what of the job goes into the image.
func (j *job) compress(enc encoder) error {
	raw := j.raw[:j.n]
	if j.file != nil && allZero(raw) {
		j.size = 0
		return nil
	}
	n, err := enc.encode(j.out, raw)
	if err != nil {
		return fmt.Errorf("compress: %w", err)
	}
	j.size = uint32(n)
	if n == 0 {
		j.size = uint32(len(raw)) | dataStored
	}
	return nil
}

// contents returns what goes into the image.
func (j *job) contents() []byte {
	if j.size&dataStored != 0 {
		return j.raw[:j.n]
	}
	return j.out[:j.size]
}

// commit writes compressed blocks in order.
func (p *pipeline) commit() {
	defer p.done.Done()
	for j := range p.pending {
		if err := <-j.result; err != nil {
			p.setErr(err)
		}
		if p.err() == nil {
			if err := p.write(j); err != nil {
				p.setErr(err)
			}
		}
		if j.chunk != nil {
			p.chunks <- j.chunk[:chunkSize]
		}
		j.mark, j.chunk = nil, nil
		p.free <- j
	}
}

func (p *pipeline) write(j *job) error {
	if j.mark != nil {
		j.mark(p)
		return nil
	}
	b := j.chunk
	if b == nil {
		b = j.contents()
	}
	if len(b) > 0 {
		if _, err := p.dst.WriteAt(b, p.pos); err != nil {
			return fmt.Errorf("write squashfs: %w", err)
		}
	}
	if j.chunk != nil {
		p.pos += int64(len(b))
		return nil
	}
	if j.file == nil {
		p.fragments = append(p.fragments, fragment{p.pos, j.size})
		p.pos += int64(len(b))
		return nil
	}
	x := j.file
	if j.first {
		x.start = p.pos
		p.key = tag{}
	}
	x.blocks = append(x.blocks, j.size)
	if len(b) == 0 {
		x.sparse += int64(j.n)
	}
	p.pos += int64(len(b))
	if p.large != nil {
		p.key = p.hash.join(p.key, j.tag, j.size)
		if j.end > 0 {
			p.endFile(x, dupKey{j.end, p.key})
		}
	}
	return nil
}

// endFile gives up the blocks of x, the last that were written, if an earlier
// file has the same ones.
func (p *pipeline) endFile(x *extent, key dupKey) {
	first := p.large.add(key, x)
	if first == nil {
		return
	}
	p.pos = x.start
	x.same, x.blocks = first, nil
}

// allZero tells whether b has no bits set.
func allZero(b []byte) bool {
	var zeros [512]byte
	for len(b) > len(zeros) {
		if string(b[:len(zeros)]) != string(zeros[:]) {
			return false
		}
		b = b[len(zeros):]
	}
	return string(b) == string(zeros[:len(b)])
}
