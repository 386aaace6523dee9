package extract

import (
	"context"
	"errors"
	"sync"
	"sync/atomic"

	"coracle/squash"

	"golang.org/x/sys/unix"
)

// segment is how many blocks of a file are one piece of work: a large file is filled by all processors.
const segment = 64

// A file is a regular file that is being filled.
type file struct {
	fd   int
	name string // from the image's root
	ino  squash.Inode
	left atomic.Int64 // jobs that are not done
}

// A job is the blocks from to to-1 of a file, and its tail end where that is set.
type job struct {
	f        *file
	from, to int
	tail     bool
}

// regular makes a file and leaves its contents to the workers.
func (x *extractor) regular(fd int, name, path string, ino *squash.Inode) error {
	out, err := unix.Openat(fd, name, unix.O_WRONLY|unix.O_CREAT|unix.O_EXCL|unix.O_NOFOLLOW|unix.O_CLOEXEC, 0o600)
	if err != nil {
		return err
	}
	f := &file{fd: out, name: path, ino: *ino}
	blocks := x.r.Blocks(ino)
	jobs := max(1, (blocks+segment-1)/segment)
	f.left.Store(int64(jobs))
	for i := range jobs {
		j := job{f, i * segment, min(blocks, (i+1)*segment), i == jobs-1}
		select {
		case x.jobs <- j:
		case <-x.ctx.Done():
			x.done(f, int64(jobs-i), context.Cause(x.ctx))
			return context.Cause(x.ctx)
		}
	}
	return nil
}

// done counts n jobs of a file as done. The last one completes it.
func (x *extractor) done(f *file, n int64, err error) {
	if f.left.Add(-n) == 0 {
		if err == nil && context.Cause(x.ctx) == nil {
			if err = unix.Ftruncate(f.fd, f.ino.Size); err == nil { // it may end with a hole
				err = x.dress(f.fd, &f.ino)
			}
		}
		err = errors.Join(err, unix.Close(f.fd))
	}
	if err != nil {
		x.fail(named(f.name, err))
	}
}

func (x *extractor) work() {
	buf := make([]byte, int(x.r.Super().BlockSize)+squash.Slack)
	for j := range x.jobs {
		err := context.Cause(x.ctx) // jobs are taken to the end, so that every file is closed
		if err == nil {
			err = x.fill(&j, buf)
		}
		x.done(j.f, 1, err)
	}
}

// fill writes the blocks of a job. Holes stay holes.
func (x *extractor) fill(j *job, buf []byte) error {
	size := int64(x.r.Super().BlockSize)
	for i := j.from; i < j.to; i++ {
		b, err := x.r.Block(&j.f.ino, i)
		if err != nil {
			return err
		}
		if b.Sparse {
			continue
		}
		n, err := x.r.Decode(b, buf)
		if err == nil {
			err = x.write(j.f.fd, buf[:n], int64(i)*size)
		}
		if err != nil {
			return err
		}
	}
	if !j.tail {
		return nil
	}
	b, at, err := x.r.Tail(&j.f.ino)
	if err != nil || b == (squash.Block{}) {
		return err
	}
	data, err := x.fragments.get(b)
	n := int(j.f.ino.Size & (size - 1))
	if err == nil && at+n > len(data) {
		err = squash.ErrCorrupt
	}
	if err != nil {
		return err
	}
	return x.write(j.f.fd, data[at:at+n], j.f.ino.Size-int64(n))
}

func (x *extractor) write(fd int, data []byte, at int64) error {
	total := int64(len(data))
	for len(data) > 0 {
		n, err := unix.Pwrite(fd, data, at)
		if errors.Is(err, unix.EINTR) {
			continue
		}
		if err != nil {
			return err
		}
		data, at = data[n:], at+int64(n)
	}
	if x.o.Progress != nil {
		x.o.Progress(total)
	}
	return nil
}

// fragments keeps the fragment blocks that were decoded last: the files of a directory mostly share one.
type fragments struct {
	r    *squash.Reader
	mu   sync.Mutex
	kept [8]*fragment
	next int
}

type fragment struct {
	block squash.Block
	once  sync.Once
	data  []byte
	err   error
}

// get returns the contents of a fragment block, which must not be changed.
func (c *fragments) get(b squash.Block) ([]byte, error) {
	f := c.find(b)
	f.once.Do(func() {
		f.data = make([]byte, b.Len+squash.Slack)
		var n int
		n, f.err = c.r.Decode(b, f.data)
		f.data = f.data[:n]
	})
	return f.data, f.err
}

func (c *fragments) find(b squash.Block) *fragment {
	c.mu.Lock()
	defer c.mu.Unlock()
	for _, f := range c.kept {
		if f != nil && f.block == b {
			return f
		}
	}
	f := &fragment{block: b}
	c.kept[c.next] = f
	c.next = (c.next + 1) % len(c.kept)
	return f
}
