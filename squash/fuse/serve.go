// Package fuse serves a squashfs image on an already mounted /dev/fuse
// descriptor. It never calls mount(2).
//
// The server has no state that the image does not have: node ids are places in
// the inode table, nothing is opened and nothing is forgotten, and the kernel
// is told to keep whatever it has been told for ever. What is remembered is a
// hint: blocks, who reads in sequence, who wants attributes. docs/fuse.md has
// the whole story.
package fuse

import (
	"errors"
	"fmt"
	"io"
	"math"
	"runtime"
	"sync"
	"sync/atomic"

	"golang.org/x/sys/unix"

	"coracle/squash"
)

// Options says how an image is served. The zero value works.
type Options struct {
	// UID and GID translate the owners that the image records to the ids
	// that are reported, in the user namespace of the mount. They are called
	// for every inode reported, from several goroutines. Ids outside the
	// namespace's id map must become ids inside, or overlayfs fails to copy
	// files up (EOVERFLOW). nil: the image's ids as they are.
	UID, GID func(uint32) uint32

	// Log receives one line, without a newline, for a file that cannot be
	// read: once a file, and at most one a second after the first hundred.
	// It is called from several goroutines. nil: nothing is logged.
	Log func(line string)

	// CacheBytes is the size of the cache of decoded blocks, outside the Go
	// heap; at least 16 blocks are kept. 0: 32 MiB.
	CacheBytes int64

	// Workers is the greatest number of requests under way at a time.
	// 0: twice GOMAXPROCS, at least 8.
	Workers int

	// ReadAhead is the most blocks that are decoded ahead of a sequential reader; it may be 16 while the image's
	// file system makes its readers wait.
	// 0: 8, or as many as there are processors beyond two if that is more, at most 16;
	// none with one processor. Negative: none.
	ReadAhead int

	// Programs are absolute paths in the image of what will be executed
	// soon: their first blocks are decoded before somebody asks.
	Programs []string
}

const defaultCacheBytes = 32 << 20

func (o *Options) withDefaults() Options {
	var r Options
	if o != nil {
		r = *o
	}
	same := func(id uint32) uint32 { return id }
	if r.UID == nil {
		r.UID = same
	}
	if r.GID == nil {
		r.GID = same
	}
	if r.Log == nil {
		r.Log = func(string) {}
	}
	if r.CacheBytes <= 0 {
		r.CacheBytes = defaultCacheBytes
	}
	procs := runtime.GOMAXPROCS(0)
	if r.Workers <= 0 {
		r.Workers = max(8, 2*procs)
	}
	if r.ReadAhead == 0 {
		r.ReadAhead = aheadFor(procs)
	}
	r.ReadAhead = max(r.ReadAhead, 0)
	return r
}

// server is one mount being served.
type server struct {
	conn
	img   *squash.Reader
	opt   Options
	cache *cache
	files sequences
	log   corruptLog
	ahead chan *slot // to the read-ahead goroutines

	slowAhead int          // the most blocks that are decoded ahead while the image answers slowly
	decoders  int32        // how many of those goroutines there may be while it answers at once
	decoding  atomic.Int32 // how many there are, or one or two more for a moment

	spare     bool // there are processors beyond those of one reader and one worker
	blockSize int
	blockLog  uint   // log2(blockSize)
	xattrs    bool   // the image has extended attributes
	export    bool   // the image has a table of inodes by number
	zeros     []byte // what sparse blocks hold

	noOpen, noOpendir atomic.Bool // the kernel takes ENOSYS for an answer

	lone    lone
	names   names
	orders  orders
	token   chan struct{} // holds the leadership while nobody has it
	idle    atomic.Int32  // workers waiting for the token
	workers sync.WaitGroup
	started atomic.Int32

	done chan struct{} // closed when the mount is gone, or on error
	once sync.Once
	err  error // why done was closed
}

// Serve answers the kernel on fd, a descriptor of /dev/fuse that a file system
// of type fuse has been mounted with, from img. It blocks until the file
// system is unmounted everywhere, then returns nil; any other end is an error.
// It does not close fd, and leaves no goroutine and no memory behind.
//
// A file that cannot be read gives EIO to its reader and a line to o.Log;
// nothing that the image contains ends the server.
//
// Source: Linux Documentation/filesystems/fuse/fuse.rst and
// include/uapi/linux/fuse.h.
func Serve(fd int, img *squash.Reader, o *Options) error {
	s, err := New(img, o)
	if err != nil {
		return err
	}
	return s.Serve(fd)
}

// A Server is an image that is about to be served.
type Server struct {
	s     *server
	first *worker // has begun
}

// New gets ready to serve img, and begins to decode what o.Programs need. [Server.Serve] has to follow.
func New(img *squash.Reader, o *Options) (*Server, error) {
	s, err := newServer(img, o)
	if err != nil {
		return nil, fmt.Errorf("fuse server: %w", err)
	}
	srv := &Server{s: s}
	srv.Warm(s.opt.Programs)
	return srv, nil
}

// Warm begins to decode what programs need, as [Options.Programs] says. It may be called before [Server.Serve].
func (srv *Server) Warm(programs []string) {
	if len(programs) > 0 {
		srv.s.workers.Go(func() { srv.s.warmUp(programs) })
	}
}

// Drop ends a server for which Serve is not called.
func (srv *Server) Drop() error {
	srv.s.stop(nil)
	srv.s.workers.Wait()
	return srv.s.cache.close()
}

// Begin answers what the kernel asks first, before anything else, where it has asked already: [Server.Serve] goes on. So whoever has
// mounted the file system need not wait until another goroutine has got a thread.
func (srv *Server) Begin(fd int) {
	srv.s.conn = conn{fd}
	if srv.s.pending() {
		srv.first = srv.s.newWorker()
		srv.first.next() // what fails shows again
	}
}

// Serve is [Serve]. It can be called once.
func (srv *Server) Serve(fd int) error {
	s := srv.s
	s.conn = conn{fd}
	err := s.block()
	if err == nil {
		s.token <- struct{}{}
		if srv.first != nil {
			s.started.Add(1)
			s.workers.Go(srv.first.run)
		} else {
			s.startWorker()
		}
		<-s.done
		err = s.err
	}
	s.stop(nil)
	s.workers.Wait()
	if err := errors.Join(err, s.cache.close()); err != nil {
		return fmt.Errorf("fuse server: %w", err)
	}
	return nil
}

func newServer(img *squash.Reader, o *Options) (*server, error) {
	s := &server{
		img:       img,
		opt:       o.withDefaults(),
		blockSize: int(img.Super().BlockSize),
		blockLog:  uint(img.Super().BlockLog),
		xattrs:    img.HasXattrs(),
		export:    img.Super().ExportTable != math.MaxUint64,
		token:     make(chan struct{}, 1),
		done:      make(chan struct{}),
	}
	procs := runtime.GOMAXPROCS(0)
	c, err := newCache(s.opt.CacheBytes, s.blockSize, procs, img.Decode)
	if err != nil {
		return nil, err
	}
	s.cache = c
	c.answer = s.answer
	s.opt.ReadAhead = min(s.opt.ReadAhead, c.slots/4) // several readers have room
	if s.opt.ReadAhead > 0 {
		s.slowAhead = max(s.opt.ReadAhead, min(maxDepth, c.slots/4))
	}
	s.spare = procs > 2
	s.zeros = make([]byte, s.blockSize)
	s.log.out = s.opt.Log
	s.names.enough.Store(fewLists)
	s.ahead = make(chan *slot, 2*s.slowAhead)
	s.decoders = int32(decodersFor(procs, s.opt.ReadAhead))
	return s, nil
}

// stop ends the server; the first call says why.
func (s *server) stop(err error) {
	s.once.Do(func() {
		s.err = err
		close(s.done)
	})
}

// A worker is one goroutine with its buffers. At any moment one worker, the
// leader, reads requests and answers what it can from memory. Before it
// decodes a block it hands the leadership on, so that requests are read one
// after the other by a goroutine that seldom sleeps elsewhere, and slow ones
// are worked on side by side.
type worker struct {
	s      *server
	leader bool
	in     []byte // a request
	out    []byte // a reply: header and body; grows for directories
	hdr    []byte // the header of a reply in several pieces

	ino  squash.Inode // what the request is about
	dir  squash.Inode // the directory that is listed
	list listing

	plan  readPlan
	ahead *following // what file adds to
	looks int        // entries that it has looked at

	parts  [maxParts]unix.Iovec // the first nparts are a reply
	pinned [maxParts]pinnedPart // the first npins are to be put back
	nparts int
	npins  int
	waited bool // for a decoder, its own or another's, since this was cleared

	kept   uint64 // the number of a wait in which this worker keeps the leadership
	handed bool   // it has handed it on before it waited
	asked  uint64 // the requests that had been read then

	// Methods as values, made once: making them allocates.
	handOn   func()
	addEntry func(squash.Dirent, squash.Cursor) bool
	addFile  func(squash.Dirent, squash.Cursor) bool
}

// maxBackground is how many requests of the kernel's own (its read-ahead) may
// be under way; more wait inside the kernel.
const maxBackground = 64

// requestSize is what one request may take: the kernel wants room for
// max_write, 4096 here, and at least 8 KiB. Bigger ones, of setxattr only, it
// refuses itself.
const requestSize = 16 << 10

func (s *server) startWorker() {
	if int(s.started.Add(1)) > s.opt.Workers {
		s.started.Add(-1)
		return
	}
	s.workers.Go(func() { s.newWorker().run() })
}

func (s *server) newWorker() *worker {
	w := &worker{
		s:   s,
		in:  make([]byte, requestSize),
		out: make([]byte, 4096),
		hdr: make([]byte, outHeaderSize),
	}
	w.handOn, w.addEntry, w.addFile = w.yield, w.entry, w.file
	return w
}

func (w *worker) run() {
	s := w.s
	for {
		s.idle.Add(1)
		select {
		case <-s.token:
		case <-s.done:
			return
		}
		s.idle.Add(-1)
		w.leader = true
		for w.leader {
			if !w.next() {
				return
			}
		}
	}
}

// next reads and serves one request; false means that the mount is gone.
func (w *worker) next() bool {
	n, errno := w.s.read(w.in)
	switch errno {
	case 0:
		if n == 0 {
			w.s.stop(fmt.Errorf("descriptor %d is not of /dev/fuse: %w", w.s.fd, io.ErrUnexpectedEOF))
		} else {
			w.s.lone.asked.Add(1)
			w.serve(w.in[:n])
		}
		select {
		case <-w.s.done: // no agreement with the kernel
			return !w.leader
		default:
		}
	case unix.EINTR, unix.EAGAIN, unix.ENOENT: // ENOENT: the request was aborted
	case unix.ENODEV:
		w.s.stop(nil)
		return false
	default:
		w.s.stop(fmt.Errorf("read request: %w", errno))
		return false
	}
	return true
}
