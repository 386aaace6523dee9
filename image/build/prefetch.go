package build

import (
	"context"
	"io"
	"sync"
)

// readAhead is how many layers are fetched and decompressed, as far as memory allows,
// beside the one whose contents are stored.
const readAhead = 3

// How much of a layer is decompressed ahead of the tar reader, in chunks of so many bytes.
const (
	chunkSize = 256 << 10
	chunks    = 24
)

// A prefetch reads a stream on a goroutine of its own, a bounded number of bytes ahead.
type prefetch struct {
	full chan chunk
	free chan []byte
	stop context.CancelFunc
	done sync.WaitGroup

	cur  []byte // rest of the current chunk
	buf  []byte // the current chunk, to give back
	err  error
	read func(n int)
}

type chunk struct {
	b   []byte
	n   int
	err error
}

// newPrefetch opens and reads a stream. read is told, by the reader's goroutine, how many
// bytes come out of it.
func newPrefetch(ctx context.Context, open func(context.Context) (io.ReadCloser, error), read func(int)) *prefetch {
	ctx, cancel := context.WithCancel(ctx)
	p := &prefetch{full: make(chan chunk, chunks), free: make(chan []byte, chunks), stop: cancel, read: read}
	for range chunks {
		p.free <- nil
	}
	p.done.Go(func() { p.run(ctx, open) })
	return p
}

func (p *prefetch) run(ctx context.Context, open func(context.Context) (io.ReadCloser, error)) {
	defer close(p.full)
	src, err := open(ctx)
	if err != nil {
		p.full <- chunk{err: err}
		return
	}
	defer src.Close()
	for {
		var b []byte
		select {
		case b = <-p.free:
		case <-ctx.Done():
			return
		}
		if b == nil {
			b = make([]byte, chunkSize)
		}
		n, err := io.ReadFull(src, b)
		if err == io.ErrUnexpectedEOF {
			err = io.EOF
		}
		p.full <- chunk{b, n, err} // never blocks: there are as many places as buffers
		if err != nil {
			return
		}
	}
}

// Read returns what has been read ahead.
func (p *prefetch) Read(b []byte) (int, error) {
	for len(p.cur) == 0 {
		if p.err != nil {
			return 0, p.err
		}
		if p.buf != nil {
			p.free <- p.buf
			p.buf = nil
		}
		c, ok := <-p.full
		if !ok {
			p.err = context.Canceled
			return 0, p.err
		}
		p.buf, p.cur, p.err = c.b, c.b[:c.n], c.err
		p.read(c.n)
	}
	n := copy(b, p.cur)
	p.cur = p.cur[n:]
	return n, nil
}

// Close ends the reading and waits for it.
func (p *prefetch) Close() error {
	p.stop()
	p.done.Wait()
	return nil
}

// open returns the prefetcher of layer n, which it starts unless that has been done.
func (c *converter) open(ctx context.Context, n int) *prefetch {
	p := c.ahead[n]
	if p == nil {
		p = newPrefetch(ctx, func(ctx context.Context) (io.ReadCloser, error) { return c.img.Layer(ctx, n) }, c.count)
		c.ahead[n] = p
	}
	return p
}

// closeAll ends what is still being read, after an error, and closes what layers have been
// copied from.
func (c *converter) closeAll() {
	for _, k := range c.known {
		if k != nil {
			k.Close()
		}
	}
	for _, p := range c.ahead {
		p.Close()
	}
}

func (c *converter) count(n int) {
	c.read += int64(n)
	if c.o.Progress != nil {
		c.o.Progress(c.read)
	}
}
