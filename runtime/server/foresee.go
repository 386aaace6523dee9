package server

import (
	"slices"

	"coracle/squash"
	"coracle/squash/fuse"

	"golang.org/x/sys/unix"
)

// A standby that plans a launch (standby.go) uses one processor for it. Meanwhile another one opens the image and decodes what the command
// needs first, as far as that can be foreseen: decoding takes as long as planning, and whoever executes the program waits for it
// otherwise. What is foreseen decides nothing: it is used if the plan comes to the very same image, and dropped if not.

// A foresight is an image that has been foreseen.
type foresight struct {
	image Image
	done  chan struct{} // closed when the rest is there
	*served
	options *fuse.Options // as the plan has them
}

// Foresee tells that a launch from im, which reader reads, is being planned, and may execute im.Programs. Only a standby's config heeds it.
func (c *Config) Foresee(im Image, reader *squash.Reader) {
	if c.memory == nil || c.foreseen != nil {
		return
	}
	f := &foresight{image: im, done: make(chan struct{})}
	c.foreseen = f
	go func() {
		defer close(f.done)
		f.begin(reader, cacheBytes(c.memory(), 1))
	}()
}

// begin has the programs decoded. What fails is tried again when it is known to be needed.
func (f *foresight) begin(reader *squash.Reader, cache int64) {
	s := &served{image: f.image, reader: reader, cache: cache, dev: -1, tree: -1, below: -1}
	if s.openFuse() != nil {
		return
	}
	var err error
	s.server, err = fuse.New(reader, &fuse.Options{
		CacheBytes: cache,
		UID:        func(id uint32) uint32 { return f.options.UID(id) },
		GID:        func(id uint32) uint32 { return f.options.GID(id) },
		Log:        func(line string) { f.options.Log(line) },
		Programs:   f.image.Programs,
	})
	if err != nil {
		unix.Close(s.dev)
		return
	}
	f.served = s
}

// take returns the image if it is the only one of c, to be mounted by the server; else nil, and what has been foreseen is dropped.
func (f *foresight) take(c *Config, log *logger) *served {
	if f == nil {
		return nil
	}
	<-f.done
	s := f.served
	if s == nil {
		return nil
	}
	if len(c.Images) != 1 || c.Dir != "" || !f.image.is(&c.Images[0]) {
		s.server.Drop()
		unix.Close(s.dev)
		return nil
	}
	s.image = c.Images[0]
	f.options = options(c, s, log)
	if !slices.ContainsFunc(s.image.Programs, func(p string) bool { return slices.Contains(f.image.Programs, p) }) {
		s.server.Warm(s.image.Programs)
	}
	return s
}

// is tells whether another image is the same file in the same state, to be served in the same way.
func (im *Image) is(o *Image) bool {
	return im.Path == o.Path && im.Offset == o.Offset && im.Size == o.Size && im.Device == o.Device && im.Inode == o.Inode &&
		im.Length == o.Length && im.ModTime == o.ModTime && !o.Ext && !o.Writable && !o.Sent
}
