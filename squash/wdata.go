package squash

import (
	"fmt"
	"io"
)

// Data stands for the contents of one file in the image of one [Writer]. The
// zero value is no contents: an empty file.
type Data struct{ place uint32 }

// A place counts from 1, in Writer.packed or, with this bit, in Writer.files.
const inBlocks = 1 << 31

// A packedFile is a file that is all tail end. Most files are, so that they
// have a short form of an extent.
type packedFile struct {
	size, frag, off uint32
}

// Size returns the length of contents in bytes.
// It can be asked while blocks are still on their way, which the rest of an
// extent cannot.
func (w *Writer) Size(d Data) int64 {
	i := int(d.place&^inBlocks) - 1
	switch {
	case d.place&inBlocks == 0 && i >= 0 && i < len(w.packed):
		return int64(w.packed[i].size)
	case d.place&inBlocks != 0 && i >= 0 && i < len(w.files):
		return w.files[i].size
	}
	return 0
}

// extent returns where contents are. The error wraps [ErrFormat]: they are not
// of this Writer.
func (w *Writer) extent(d Data) (extent, error) {
	i := int(d.place&^inBlocks) - 1
	switch {
	case d.place == 0:
		return extent{frag: noFragment}, nil
	case d.place&inBlocks == 0 && i < len(w.packed):
		f := w.packed[i]
		return extent{size: int64(f.size), frag: f.frag, tail: f.off}, nil
	case d.place&inBlocks != 0 && i >= 0 && i < len(w.files):
		x := *w.files[i]
		if x.same != nil {
			x.start, x.sparse, x.blocks = x.same.start, x.same.sparse, x.same.blocks
		}
		if x.section != nil {
			x.start += x.section.start
		}
		return x, nil
	}
	return extent{}, unfit("contents of another image")
}

// add keeps an extent.
func (w *Writer) add(x *extent) (Data, error) {
	if len(w.packed) >= inBlocks-1 || len(w.files) >= inBlocks-1 {
		return Data{}, unfit("more than %d files", inBlocks)
	}
	if x.size < int64(w.o.BlockSize) && x.frag != noFragment {
		w.packed = append(w.packed, packedFile{uint32(x.size), x.frag, x.tail})
		return Data{uint32(len(w.packed))}, nil
	}
	w.files = append(w.files, x)
	return Data{uint32(len(w.files)) | inBlocks}, nil
}

// A tailIndex finds tail ends by contents: the place of each.
type tailIndex map[tag]tailPlace

type tailPlace struct{ frag, off uint32 }

// File writes the contents of one file: all of r, which must have size bytes.
// A Data that no node refers to does no harm but for the space it takes.
// The error wraps io.ErrUnexpectedEOF if r is shorter, [ErrFormat] if it is
// longer, or what r or an earlier write to the image returned.
func (w *Writer) File(r io.Reader, size int64) (Data, error) {
	if w.err != nil {
		return Data{}, w.err
	}
	if w.tree {
		return Data{}, w.fail(errClosed)
	}
	d, err := w.file(r, size)
	if err == nil {
		err = atEOF(r, size)
	}
	if err == nil {
		err = w.pipe.err()
	}
	if err != nil {
		return Data{}, w.fail(err)
	}
	return d, nil
}

func (w *Writer) file(r io.Reader, size int64) (Data, error) {
	bs := int64(w.o.BlockSize)
	switch {
	case size < 0:
		return Data{}, unfit("a file of %d bytes", size)
	case size == 0:
		return Data{}, nil
	case (size+bs-1)/bs > maxBlocks:
		return Data{}, unfit("a file of %d bytes in blocks of %d", size, bs)
	}
	x := &extent{size: size, frag: noFragment}
	if n := size / bs; n > 0 {
		x.blocks = make([]uint32, 0, min(n+1, 1<<14))
	}
	packed := int64(0) // bytes that go into a fragment block
	if !w.o.NoFragments && (size < bs || w.o.AlwaysFragments) {
		packed = size % bs
	}
	if err := w.blocks(x, r, size-packed); err != nil {
		return Data{}, err
	}
	if packed > 0 {
		if err := w.tail(x, r, int(packed)); err != nil {
			return Data{}, err
		}
	}
	return w.add(x)
}

// maxBlocks bounds the block list of a file to what a slice of sizes may take:
// 16 TiB in blocks of 128 KiB.
const maxBlocks = 1 << 27

// blocks writes size bytes in blocks of their own.
func (w *Writer) blocks(x *extent, r io.Reader, size int64) error {
	bs := int64(w.o.BlockSize)
	for at := int64(0); at < size; {
		n := min(bs, size-at)
		j := w.pipe.get(w.o.BlockSize)
		if err := fillBlock(r, j.raw[:n]); err != nil {
			w.pipe.free <- j
			return err
		}
		j.n, j.file = int(n), x
		j.first = at == 0
		if at+n == size {
			j.end = size
		}
		w.pipe.put(j)
		at += n
		if err := w.pipe.err(); err != nil {
			return err
		}
	}
	return nil
}

// tail packs n bytes, less than a block, with those of other files.
func (w *Writer) tail(x *extent, r io.Reader, n int) error {
	if w.frag != nil && w.frag.n+n > w.o.BlockSize {
		w.flushFragment()
	}
	if w.frag == nil {
		w.frag = w.pipe.get(w.o.BlockSize)
		w.frags++
	}
	f := w.frag
	b := f.raw[f.n : f.n+n]
	if err := fillBlock(r, b); err != nil {
		return err
	}
	place := tailPlace{uint32(w.frags - 1), uint32(f.n)}
	if w.addTail(b, &place) {
		f.n += n
	}
	x.frag, x.tail = place.frag, place.off
	return nil
}

// addTail returns true if no tail end like b has been packed yet; place is its
// place then, and is set to that of the earlier one otherwise.
func (w *Writer) addTail(b []byte, place *tailPlace) bool {
	if w.o.NoDuplicates {
		return true
	}
	if w.tails == nil {
		w.tails = make(tailIndex)
	}
	key := w.hash.sum(b) // equal tags mean equal lengths, too
	if first, ok := w.tails[key]; ok {
		*place = first
		return false
	}
	w.tails[key] = *place
	return true
}

// flushFragment sends the fragment block on its way.
func (w *Writer) flushFragment() {
	if w.frag != nil {
		w.pipe.put(w.frag)
		w.frag = nil
	}
}

// fillBlock fills b.
func fillBlock(r io.Reader, b []byte) error {
	_, err := io.ReadFull(r, b)
	if err == io.EOF {
		err = io.ErrUnexpectedEOF
	}
	return err
}

// atEOF checks that nothing follows the size bytes that were read.
func atEOF(r io.Reader, size int64) error {
	var b [1]byte
	for range 100 {
		n, err := r.Read(b[:])
		switch {
		case n > 0:
			return unfit("a file longer than its %d bytes", size)
		case err == io.EOF:
			return nil
		case err != nil:
			return fmt.Errorf("at the end of a file: %w", err)
		}
	}
	return io.ErrNoProgress
}
