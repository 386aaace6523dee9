// Package relay serves the tree of another FUSE file system as one that the kernel's overlayfs takes for its writable layer.
//
// Of a FUSE file system overlayfs wants renames that leave a whiteout (RENAME_WHITEOUT) before it writes to it, and it
// exchanges names (RENAME_EXCHANGE). fuse2fs, which serves ext file systems, can neither, and takes a file's contents away
// when its last name goes, whoever has it open. The relay lies between the two: it passes on what fuse2fs can do and
// makes the rest of several steps. The tree has to be mounted for it alone: what it has told the kernel stays valid for ever.
//
// One goroutine takes one request after the other, for fuse2fs takes them so as well: what is made of several steps is
// one for the kernel, and nothing needs a lock. What a step leaves half done when the process is killed, the next relay of
// the same tree finishes ([relay.recover]).
package relay

import (
	"errors"
	"fmt"
	"io"
	"runtime"
	"time"

	"coracle/fusewire"

	"golang.org/x/sys/unix"
)

// maxIO is the most that is read or written at once, in bytes.
const maxIO = 1 << 20

// forever is how long what the kernel has been told is valid, in seconds.
const forever = 1 << 40

// noReply is what a handler returns for a request that is not answered.
const noReply unix.Errno = 0xffff

// A relay is one mount being served.
type relay struct {
	fd      int // of /dev/fuse
	nodes   nodes
	handles map[uint64]*handle
	last    uint64 // handle
	in, out []byte
	log     func(string)

	dirty   bool      // something has changed since it was written to disk
	flushed time.Time // when everything was
	sync    int       // descriptor of a file of ours, or -1
}

// flushEvery is how long changes stay in the memory of fuse2fs alone at most: that is lost when everything is killed at once, as
// batch systems do when a job's time is over.
const flushEvery = 15 * time.Second

// A handle is an open file or directory.
type handle struct {
	node    *node
	fd      int      // -1: a directory
	flags   int      // it was opened with
	appends bool     // O_APPEND was among them
	direct  bool     // the kernel keeps no pages for it
	names   []string // of a directory: what was in it when it was read from the beginning
}

// A Relay is a tree that is about to be served.
type Relay struct{ r *relay }

// Open gets ready to serve the tree below the directory root, an open descriptor that stays the caller's. It finishes what
// another relay has left half done. [Relay.Serve] has to follow.
func Open(root int) (*Relay, error) {
	r := &relay{sync: -1, handles: map[uint64]*handle{}, in: make([]byte, maxIO+4096), out: make([]byte, maxIO+4096), log: func(string) {}}
	if err := r.nodes.begin(root); err != nil {
		return nil, err
	}
	if err := r.recover(); err != nil {
		r.end()
		return nil, fmt.Errorf("finish what was left half done: %w", err)
	}
	return &Relay{r}, nil
}

// Serve answers the kernel on fd, a descriptor of /dev/fuse that a file system has been mounted with. It blocks until the file
// system is unmounted everywhere, then returns nil, and leaves nothing open but the two descriptors. log gets a
// line about what should not be. It can be called once.
func (rl *Relay) Serve(fd int, log func(string)) error {
	r := rl.r
	r.fd, r.log = fd, log
	done := make(chan error, 1)
	go func() {
		// The masks of files come from the kernel. The thread ends with this goroutine, as it is locked.
		runtime.LockOSThread()
		err := unix.Unshare(unix.CLONE_FS)
		if err == nil {
			unix.Umask(0)
			err = r.run()
		}
		r.end()
		done <- err
	}()
	if err := <-done; err != nil {
		return fmt.Errorf("relay: %w", err)
	}
	return nil
}

// run serves until the file system is gone.
func (r *relay) run() error {
	r.flushed = time.Now()
	for {
		r.flushInTime()
		n, err := unix.Read(r.fd, r.in)
		switch {
		case err == unix.EINTR, err == unix.EAGAIN, err == unix.ENOENT: // ENOENT: the request was aborted
		case err == unix.ENODEV:
			return nil
		case err != nil:
			return fmt.Errorf("read request: %w", err)
		case n == 0:
			return fmt.Errorf("descriptor %d is not of /dev/fuse: %w", r.fd, io.ErrUnexpectedEOF)
		default:
			r.serve(r.in[:n])
			r.nodes.trim()
		}
	}
}

// flushInTime waits for a request, and has everything written to disk when that is due.
func (r *relay) flushInTime() {
	for r.dirty {
		if left := flushEvery - time.Since(r.flushed); left > 0 {
			set := []unix.PollFd{{Fd: int32(r.fd), Events: unix.POLLIN}}
			if n, err := unix.Poll(set, int(left.Milliseconds())+1); n > 0 || err != nil {
				return
			}
			continue
		}
		r.flush()
	}
}

// flush has everything written to disk: that is what fuse2fs does at fsync(2) of any file that is open for writing.
func (r *relay) flush() {
	if r.sync < 0 {
		var err error
		const flags = unix.O_WRONLY | unix.O_CREAT | unix.O_NOFOLLOW | unix.O_CLOEXEC
		if r.sync, err = unix.Openat(r.nodes.hidden.fd, syncName, flags, 0o600); err != nil {
			r.sync = -1
		}
	}
	if r.sync >= 0 {
		unix.Fsync(r.sync)
	}
	r.dirty, r.flushed = false, time.Now()
}

// end closes what is open and removes what was kept for open files.
func (r *relay) end() {
	for _, h := range r.handles {
		if h.fd >= 0 {
			unix.Close(h.fd)
		}
	}
	if r.sync >= 0 {
		unix.Close(r.sync)
	}
	r.sweep()
	r.nodes.end()
}

// serve answers one request. A panic, which would be a mistake of ours, is EIO for that request and nothing else.
func (r *relay) serve(req []byte) {
	h := fusewire.View[fusewire.InHeader](req)
	if h == nil || int(h.Len) != len(req) {
		return // not the kernel's
	}
	unique := h.Unique
	defer func() {
		if p := recover(); p != nil {
			r.log(fmt.Sprintf("request %d: panic: %v", h.Opcode, p))
			r.reply(unique, 0, unix.EIO)
		}
	}()
	r.dirty = r.dirty || changes(h.Opcode)
	n, err := r.dispatch(h, req[fusewire.InHeaderSize:])
	if errno := errnoOf(err); errno != noReply {
		r.reply(unique, n, errno)
	}
}

// reply sends the first n bytes behind the header in r.out, or the error alone.
func (r *relay) reply(unique uint64, n int, errno unix.Errno) {
	if errno != 0 {
		n = 0
	}
	b := r.out[:fusewire.OutHeaderSize+n]
	*fusewire.View[fusewire.OutHeader](b) = fusewire.OutHeader{Len: uint32(len(b)), Error: -int32(errno), Unique: unique}
	switch _, err := unix.Write(r.fd, b); err {
	case nil, unix.ENOENT, unix.ENODEV, unix.EPERM, unix.ECONNABORTED: // the request, or the file system, has gone away
	default:
		r.log(fmt.Sprintf("reply: %v", err))
	}
}

// errnoOf is the error as the kernel is told of it.
func errnoOf(err error) unix.Errno {
	if err == nil {
		return 0
	}
	var errno unix.Errno
	if !errors.As(err, &errno) || errno == unix.ENOTCONN || errno == unix.ECONNABORTED {
		return unix.EIO // fuse2fs is no more
	}
	return errno
}

// body returns the reply's body as a T, zeroed, and its size.
func body[T any](r *relay) (t *T, size int) {
	t = fusewire.View[T](r.out[fusewire.OutHeaderSize:])
	var zero T
	*t = zero
	return t, len(fusewire.BytesOf(t))
}

// split returns the structure that a request begins with, and what follows.
func split[T any](arg []byte) (*T, []byte, error) {
	t := fusewire.View[T](arg)
	if t == nil {
		return nil, nil, unix.EIO
	}
	return t, arg[len(fusewire.BytesOf(t)):], nil
}

// init agrees with the kernel on what both can do.
func (r *relay) init(arg []byte) (int, error) {
	in := fusewire.View[fusewire.InitIn](arg)
	if in == nil {
		return 0, unix.EIO
	}
	out, n := body[fusewire.InitOut](r)
	out.Major, out.Minor = fusewire.Major, fusewire.Minor
	if in.Major > fusewire.Major {
		return 8, nil // the kernel asks again with our major
	}
	if in.Major < fusewire.Major || in.Minor < fusewire.MinMinor {
		return 0, unix.EPROTO
	}
	out.Flags = in.Flags & (fusewire.FlagAsyncRead | fusewire.FlagBigWrites | fusewire.FlagDoReaddirplus |
		fusewire.FlagReaddirplusAuto | fusewire.FlagMaxPages | fusewire.FlagCacheSymlinks)
	if _, rest, err := split[fusewire.InitIn](arg); err == nil && in.Flags&fusewire.FlagInitExt != 0 {
		if ext := fusewire.View[fusewire.InitExt](rest); ext != nil {
			out.Flags |= fusewire.FlagInitExt
			out.Flags2 = ext.Flags2 & fusewire.Flag2DirectIOMmap
		}
	}
	out.MaxReadahead = in.MaxReadahead
	out.MaxBackground, out.CongestionThreshold = 16, 12
	out.MaxWrite, out.MaxPages = maxIO, maxIO/4096
	if out.Flags&fusewire.FlagMaxPages == 0 {
		out.MaxWrite = 32 * 4096
	}
	out.TimeGran = 1
	return n, nil
}
