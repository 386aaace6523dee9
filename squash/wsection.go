package squash

import (
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"math"
)

// A Section is a run of an image's contents that depends on nothing in front of
// it: its files share neither fragment blocks nor blocks of equal files with
// others. So it can be copied into another image that is written with the same
// options, and is there what it would have become of the files.
type Section struct {
	start, end  int64 // in the image
	first, last int   // its fragment blocks
}

// ErrSection says that what describes a section does not, or that its bytes
// are not those that were asked for.
var ErrSection = errors.New("no section of a squashfs image")

// Section begins a section, which ends where the next one begins.
func (w *Writer) Section() *Section {
	w.flushFragment()
	w.tails = nil // not cleared, which would keep its memory
	s := &Section{first: w.frags, last: -1}
	prev := w.section
	w.section = s
	w.pipe.mark(func(p *pipeline) {
		prev.close(p)
		s.start = p.pos
		if p.large != nil {
			p.large = make(dupIndex)
		}
	})
	return s
}

// close notes where a section ends. It may be nil.
func (s *Section) close(p *pipeline) {
	if s != nil && s.last < 0 {
		s.end, s.last = p.pos, len(p.fragments)
	}
}

// Place returns where the section is in the finished image, in bytes.
func (s *Section) Place() (start, size int64) { return s.start, s.end - s.start }

// Index returns what [Writer.CopySection] needs to know of a section of the
// finished image and of the contents in it, beside its bytes.
//
// All is in variable numbers: the section's length; the number of fragment
// blocks, and the position, from the section's start, and size of each; the
// number of files, and for each its size and, unless that is 0, the number of
// its blocks, with a position in front, the bytes in sparse ones and their
// sizes if there are any, then the fragment block, counted from 1, and the
// offset if it has one.
func (w *Writer) Index(s *Section, files []Data) []byte {
	b := binary.AppendUvarint(nil, uint64(s.end-s.start))
	list := w.pipe.fragments[s.first:s.last]
	b = binary.AppendUvarint(b, uint64(len(list)))
	for _, f := range list {
		b = binary.AppendUvarint(b, uint64(f.pos-s.start))
		b = binary.AppendUvarint(b, uint64(f.size))
	}
	b = binary.AppendUvarint(b, uint64(len(files)))
	for _, d := range files {
		x, err := w.extent(d)
		if err != nil {
			x = extent{}
		}
		b = binary.AppendUvarint(b, uint64(x.size))
		if x.size == 0 {
			continue
		}
		b = binary.AppendUvarint(b, uint64(len(x.blocks)))
		if len(x.blocks) > 0 {
			b = binary.AppendUvarint(b, uint64(x.start-s.start))
			b = binary.AppendUvarint(b, uint64(x.sparse))
			for _, n := range x.blocks {
				b = binary.AppendUvarint(b, uint64(n))
			}
		}
		if x.frag == noFragment {
			b = append(b, 0)
			continue
		}
		b = binary.AppendUvarint(b, uint64(x.frag)-uint64(s.first)+1)
		b = binary.AppendUvarint(b, uint64(x.tail))
	}
	return b
}

// SectionSizes returns the sizes of the files that an index is about.
func (w *Writer) SectionSizes(index []byte) ([]int64, error) {
	var sizes []int64
	d := sectionReader{b: index, blockSize: int64(w.o.BlockSize)}
	d.begin()
	err := d.read(func(x extent) error {
		sizes = append(sizes, x.size)
		return nil
	})
	return sizes, err
}

// CopySection begins a section whose bytes are those of r, all of them, and
// returns its contents. index is of an image with the same options. If r ends
// in an error, or where index says it does not, the section is taken back, the
// error wraps [ErrSection] or is r's, and the Writer goes on as if there had
// been no call.
func (w *Writer) CopySection(index []byte, r io.Reader) (*Section, []Data, error) {
	if w.err != nil {
		return nil, nil, w.err
	}
	if w.tree {
		return nil, nil, w.fail(errClosed)
	}
	s := w.Section()
	d := sectionReader{b: index, blockSize: int64(w.o.BlockSize)}
	d.begin()
	err := w.copyBytes(r, d.size)
	var files []Data
	if err == nil {
		files, err = w.addAll(s, &d)
	}
	if err != nil {
		w.pipe.mark(func(p *pipeline) { p.pos = s.start })
		return nil, nil, err
	}
	w.pipe.mark(func(p *pipeline) {
		for _, f := range d.frags {
			p.fragments = append(p.fragments, fragment{s.start + f.pos, f.size})
		}
	})
	w.frags += len(d.frags)
	if err := w.pipe.err(); err != nil {
		return nil, nil, w.fail(err)
	}
	return s, files, nil
}

// addAll adds the files of a section. After an error it has added none.
func (w *Writer) addAll(s *Section, d *sectionReader) ([]Data, error) {
	var files []Data
	packed, others := len(w.packed), len(w.files)
	err := d.read(func(x extent) error {
		if x.size == 0 {
			files = append(files, Data{})
			return nil
		}
		x.section = s
		if x.frag != noFragment {
			x.frag += uint32(s.first)
		}
		data, err := w.add(&x)
		files = append(files, data)
		return err
	})
	if err != nil {
		w.packed, w.files = w.packed[:packed], w.files[:others]
		return nil, err
	}
	return files, nil
}

// copyBytes writes size bytes, all that r has.
func (w *Writer) copyBytes(r io.Reader, size int64) error {
	for at := int64(0); at < size; {
		b := w.pipe.getChunk()
		n := min(size-at, chunkSize)
		if err := fillBlock(r, b[:n]); err != nil {
			w.pipe.chunks <- b
			if err == io.ErrUnexpectedEOF {
				err = fmt.Errorf("%w: %d bytes short", ErrSection, size-at)
			}
			return err
		}
		w.pipe.pass(b[:n])
		at += n
	}
	if err := atEOF(r, size); errors.Is(err, ErrFormat) {
		return fmt.Errorf("%w: more than %d bytes", ErrSection, size)
	} else if err != nil {
		return err
	}
	return nil
}

// A sectionReader reads what Index wrote, and believes nothing.
type sectionReader struct {
	b         []byte
	blockSize int64
	bad       bool

	size  int64
	frags []fragment
}

// begin reads how many bytes the section has.
func (d *sectionReader) begin() { d.size = int64(d.number(math.MaxInt64)) }

// read reads the rest, and calls fn for each file.
func (d *sectionReader) read(fn func(extent) error) error {
	for n := d.count(); n > 0 && !d.bad; n-- {
		f := fragment{int64(d.number(uint64(d.size))), uint32(d.number(math.MaxUint32))}
		if !d.blockFits(f.size) || int64(f.size&^dataStored) > d.size-f.pos {
			d.bad = true
		}
		d.frags = append(d.frags, f)
	}
	for n := d.count(); n > 0 && !d.bad; n-- {
		x := d.file()
		if d.bad {
			break
		}
		if err := fn(x); err != nil {
			return err
		}
	}
	if d.bad || len(d.b) > 0 {
		return fmt.Errorf("%w: corrupt index", ErrSection)
	}
	return nil
}

func (d *sectionReader) file() extent {
	x := extent{size: int64(d.number(math.MaxInt64)), frag: noFragment}
	if x.size == 0 {
		return x
	}
	left := x.size
	if n := d.count(); n > 0 {
		x.start, x.sparse = int64(d.number(uint64(d.size))), int64(d.number(uint64(x.size)))
		end := x.start
		for ; n > 0 && !d.bad; n-- {
			size := uint32(d.number(math.MaxUint32))
			d.bad = d.bad || !d.blockFits(size)
			x.blocks = append(x.blocks, size)
			end += int64(size &^ dataStored)
			left -= min(left, d.blockSize)
		}
		d.bad = d.bad || end > d.size
	}
	if frag := d.number(uint64(len(d.frags))); frag > 0 {
		x.frag, x.tail = uint32(frag-1), uint32(d.number(uint64(d.blockSize)))
		d.bad = d.bad || left == 0 || left > d.blockSize-int64(x.tail)
		left = 0
	}
	d.bad = d.bad || left > 0
	return x
}

// blockFits tells whether a block may have a size, as an inode has it.
func (d *sectionReader) blockFits(size uint32) bool {
	return size>>25 == 0 && int64(size&^dataStored) <= d.blockSize
}

// number reads a number up to limit.
func (d *sectionReader) number(limit uint64) uint64 {
	v, n := binary.Uvarint(d.b)
	if n <= 0 || v > limit {
		d.bad, d.b = true, nil
		return 0
	}
	d.b = d.b[n:]
	return v
}

// count reads the number of things that take a byte at least.
func (d *sectionReader) count() uint64 { return d.number(uint64(len(d.b))) }
