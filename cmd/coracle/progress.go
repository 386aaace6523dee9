//go:build !lean

package main

import (
	"fmt"
	"io"
	"os"
	"strings"
	"sync"
	"time"

	"coracle/image/oci"

	"golang.org/x/sys/unix"
)

// A progress shows how far things are: a bar for each blob and a line for the writing on
// a terminal, a plain line now and then elsewhere, nothing for who wants quiet.
type progress struct {
	c   *cli
	out io.Writer
	tty bool

	mu    sync.Mutex
	blobs []*blobState
	read  int64
	lines int // of the display, on a terminal
	begin time.Time

	quit chan struct{}
	done sync.WaitGroup
	once sync.Once
}

type blobState struct {
	d     oci.Descriptor
	done  int64
	begin time.Time // of its first bytes
}

// How often a terminal is redrawn, and a log gets a line.
const (
	redraw   = time.Second / 5
	logEvery = 5 * time.Second
)

func newProgress(c *cli) *progress {
	p := &progress{c: c, out: c.err, begin: time.Now(), quit: make(chan struct{})}
	if c.global.quiet || c.global.silent {
		return p
	}
	if f, ok := c.err.(*os.File); ok {
		_, err := unix.IoctlGetTermios(int(f.Fd()), unix.TCGETS)
		p.tty = err == nil && c.getenv("TERM") != "dumb"
	}
	every := logEvery
	if p.tty {
		every = redraw
	}
	p.done.Go(func() { p.run(every) })
	return p
}

func (p *progress) run(every time.Duration) {
	t := time.NewTicker(every)
	defer t.Stop()
	for {
		select {
		case <-t.C:
			p.mu.Lock()
			p.draw()
			p.mu.Unlock()
		case <-p.quit:
			return
		}
	}
}

// stop takes the display away. It may be called again.
func (p *progress) stop() {
	p.once.Do(func() {
		close(p.quit)
		p.done.Wait()
		p.mu.Lock()
		defer p.mu.Unlock()
		p.erase()
	})
}

// note prints a line that stays.
func (p *progress) note(msg string) {
	if p.c.global.quiet || p.c.global.silent {
		return
	}
	p.mu.Lock()
	defer p.mu.Unlock()
	p.erase()
	p.c.line("note", msg)
}

// start tells of the layers that will come.
func (p *progress) start(img *oci.Image) {
	p.mu.Lock()
	defer p.mu.Unlock()
	for _, d := range img.Manifest.Layers {
		p.state(d)
	}
}

// state returns the state of a blob, which it begins if need be.
func (p *progress) state(d oci.Descriptor) *blobState {
	for _, b := range p.blobs {
		if b.d.Digest == d.Digest {
			return b
		}
	}
	b := &blobState{d: d}
	p.blobs = append(p.blobs, b)
	return b
}

func (p *progress) blob(d oci.Descriptor, n int) {
	p.mu.Lock()
	defer p.mu.Unlock()
	s := p.state(d)
	if s.begin.IsZero() {
		s.begin = time.Now()
	}
	s.done += int64(n)
}

func (p *progress) converted(read int64) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.read = read
}

// draw shows the state: what is being fetched, and how much has been unpacked.
func (p *progress) draw() {
	if !p.tty {
		if done, size := p.fetched(); done > 0 || p.read > 0 {
			took := time.Since(p.begin)
			p.c.line("note", fmt.Sprintf("fetched %d of %d MiB, converted %d MiB, %d s%s", done>>20, size>>20, p.read>>20, int(took.Seconds()), left(done, size, took, ", ")))
		}
		return
	}
	var b strings.Builder
	n := 0
	for _, s := range p.blobs {
		if s.done > 0 && s.done < s.d.Size && n < 8 {
			fmt.Fprintf(&b, "  %.15s  %s  %s of %s%s\n", s.d.Digest, bar(s.done, s.d.Size), mib(s.done), mib(s.d.Size), left(s.done, s.d.Size, time.Since(s.begin), "  "))
			n++
		}
	}
	if p.read > 0 {
		rate := float64(p.read) / (1 << 20) / time.Since(p.begin).Seconds()
		fmt.Fprintf(&b, "  converting           %s  %.0f MiB/s\n", mib(p.read), rate)
		n++
	}
	p.erase()
	io.WriteString(p.out, b.String())
	p.lines = n
}

// fetched sums what has come and what there is of blobs that do not come from the cache.
func (p *progress) fetched() (done, size int64) {
	for _, s := range p.blobs {
		if s.done > 0 {
			done, size = done+s.done, size+max(s.d.Size, s.done)
		}
	}
	return done, size
}

// erase takes the lines of the display away.
func (p *progress) erase() {
	if p.lines > 0 {
		fmt.Fprintf(p.out, "\x1b[%dA\x1b[J", p.lines)
		p.lines = 0
	}
}

func bar(done, size int64) string {
	const width = 22 // a line with all that follows fits into 80 columns
	n := int(min(width, width*done/max(1, size)))
	return "[" + strings.Repeat("=", n) + strings.Repeat(" ", width-n) + "]"
}

// left tells how long the rest will take, behind sep, at the rate so far; "" before that can be trusted, and when nothing is left.
func left(done, size int64, took time.Duration, sep string) string {
	if took < 3*time.Second || done <= 0 || done >= size {
		return ""
	}
	rest := took.Seconds() / float64(done) * float64(size-done)
	switch {
	case rest >= 100*60:
		return fmt.Sprintf("%s%.0f h left", sep, rest/3600)
	case rest >= 100:
		return fmt.Sprintf("%s%.0f min left", sep, rest/60)
	}
	return fmt.Sprintf("%s%.0f s left", sep, rest)
}
