package squash

import (
	"encoding/binary"
	"fmt"
	"io"
	"io/fs"
)

// A Block says where a run of file contents lies and how to decode it. It is
// comparable: equal blocks have equal contents. The zero value is no block.
type Block struct {
	Off      int64 // in the image
	Size     int   // bytes in the image
	Len      int   // bytes decoded; of a compressed Fragment, at most
	Stored   bool  // not compressed
	Sparse   bool  // zeros, and nothing in the image
	Fragment bool  // holds the tail ends of several files
}

// Blocks returns the number of a regular file's blocks, its tail end in a
// fragment not among them.
func (r *Reader) Blocks(ino *Inode) int {
	if ino.Type != Regular {
		return 0
	}
	n := ino.Size >> r.super.BlockLog
	if ino.fragment == noFragment && ino.Size&int64(r.super.BlockSize-1) != 0 {
		n++
	}
	return int(n)
}

// Block returns where block i of a regular file lies, 0 <= i < [Reader.Blocks].
// Block i begins at byte i*BlockSize of the file. The error wraps
// [ErrNotRegular], [ErrCorrupt] or what the source returned.
//
// Source: format.adoc, "Data and Fragment Blocks" and "File Inodes".
func (r *Reader) Block(ino *Inode, i int) (Block, error) {
	b, err := r.block(ino, i)
	if err != nil {
		return Block{}, fmt.Errorf("block %d of inode %#x: %w", i, uint64(ino.Ref), err)
	}
	return b, nil
}

func (r *Reader) block(ino *Inode, i int) (Block, error) {
	if ino.Type != Regular {
		return Block{}, ErrNotRegular
	}
	if i < 0 || i >= r.Blocks(ino) {
		return Block{}, fmt.Errorf("%w: there are %d", fs.ErrInvalid, r.Blocks(ino))
	}
	c, off, err := r.seekList(ino, i)
	if err != nil {
		return Block{}, err
	}
	var buf [4]byte
	raw, err := c.take(4, buf[:])
	if err != nil {
		return Block{}, err
	}
	b := Block{Off: off, Len: int(r.super.BlockSize)}
	if left := ino.Size - int64(i)<<r.super.BlockLog; left < int64(b.Len) {
		b.Len = int(left)
	}
	size := binary.LittleEndian.Uint32(raw)
	if size == 0 {
		return Block{Len: b.Len, Sparse: true}, nil
	}
	return b, b.locate(r, size)
}

// locate fills in the size on disk and checks it.
func (b *Block) locate(r *Reader, size uint32) error {
	b.Size, b.Stored = int(size&dataSizeMask), size&dataStored != 0
	switch {
	case size&^(dataSizeMask|dataStored) != 0 || b.Size == 0 || b.Size > int(r.super.BlockSize):
		return corrupt("%#x bytes on disk", size)
	case b.Off < SuperSize || b.Off > r.end-int64(b.Size):
		return corrupt("%d bytes at %d, image ends at %d", b.Size, b.Off, r.end)
	case b.Stored && b.Fragment:
		b.Len = b.Size
	case b.Stored && b.Len != b.Size:
		return corrupt("%d bytes stored, want %d", b.Size, b.Len)
	}
	return nil
}

// Tail returns the fragment block that holds the last bytes of a regular file,
// size modulo BlockSize of them, and their offset in the decoded block. A file
// that has none answers the zero Block. The error is like Block's.
//
// Source: format.adoc, "Fragment Table".
func (r *Reader) Tail(ino *Inode) (b Block, off int, err error) {
	if ino.Type != Regular {
		return Block{}, 0, ErrNotRegular
	}
	n := int64(ino.Size & int64(r.super.BlockSize-1))
	if ino.fragment == noFragment || n == 0 {
		return Block{}, 0, nil
	}
	b, err = r.fragment(ino.fragment)
	if err == nil && int64(ino.tail)+n > int64(b.Len) {
		err = corrupt("%d bytes at %d of %d", n, ino.tail, b.Len)
	}
	if err != nil {
		return Block{}, 0, fmt.Errorf("tail end of inode %#x: %w", uint64(ino.Ref), err)
	}
	return b, int(ino.tail), nil
}

func (r *Reader) fragment(i uint32) (Block, error) {
	var buf [fragmentSize]byte
	raw, err := r.fragments.entry(r, i, buf[:])
	if err != nil {
		return Block{}, err
	}
	b := Block{
		Off:      int64(binary.LittleEndian.Uint64(raw)),
		Len:      int(r.super.BlockSize),
		Fragment: true,
	}
	return b, b.locate(r, binary.LittleEndian.Uint32(raw[8:]))
}

// Slack is how many bytes more than a block's length a destination of
// [Reader.Decode] should have: with room to write too much, decoders skip
// checks (zstd is a third faster).
const Slack = 320

// Decode reads and decompresses a block into dst, which holds at least b.Len
// bytes, better b.Len+[Slack]. It returns the decoded length: b.Len, or up to
// b.Len for a fragment. The bytes of dst behind it may change. The error wraps
// [ErrCorrupt] or what the source returned.
func (r *Reader) Decode(b Block, dst []byte) (int, error) {
	n, err := r.decode(b, dst)
	if err != nil {
		return 0, fmt.Errorf("%d bytes at %d: %w", b.Size, b.Off, err)
	}
	return n, nil
}

func (r *Reader) decode(b Block, dst []byte) (int, error) {
	if len(dst) < b.Len {
		return 0, io.ErrShortBuffer
	}
	if b.Sparse {
		clear(dst[:b.Len])
		return b.Len, nil
	}
	if b.Stored {
		return b.Len, r.readAt(dst[:b.Len], b.Off)
	}
	buf := r.buffer()
	defer r.bufs.give(buf)
	if b.Size > len(buf) {
		return 0, corrupt("larger than a block")
	}
	raw := buf[:b.Size]
	if err := r.readAt(raw, b.Off); err != nil {
		return 0, err
	}
	n, err := r.codec.decode(dst[:min(len(dst), b.Len+Slack)], raw)
	switch {
	case err != nil:
		return 0, err
	case n > b.Len || n < b.Len && !b.Fragment:
		return 0, corrupt("decoded to %d bytes, want %d", n, b.Len)
	}
	return n, nil
}

// buffer returns room for one data block.
func (r *Reader) buffer() []byte {
	if b, ok := r.bufs.take(); ok {
		return b
	}
	return make([]byte, int(r.super.BlockSize)+Slack)
}

// ReadAt reads contents of a regular file as an io.ReaderAt does. It caches
// nothing: each call decodes the blocks it touches.
func (r *Reader) ReadAt(ino *Inode, p []byte, off int64) (int, error) {
	if ino.Type != Regular {
		return 0, ErrNotRegular
	}
	if off < 0 {
		return 0, fmt.Errorf("offset %d: %w", off, fs.ErrInvalid)
	}
	done := 0
	for done < len(p) && off < ino.Size {
		n, err := r.readBlock(ino, p[done:], off)
		done += n
		off += int64(n)
		if err != nil {
			return done, err
		}
	}
	if done < len(p) {
		return done, io.EOF
	}
	return done, nil
}

// readBlock reads from off to the end of its block or of p.
func (r *Reader) readBlock(ino *Inode, p []byte, off int64) (int, error) {
	i := int(off >> r.super.BlockLog)
	skip := int(off - int64(i)<<r.super.BlockLog)
	n := int(min(ino.Size-off, int64(r.super.BlockSize)-int64(skip), int64(len(p))))
	var b Block
	var err error
	if i < r.Blocks(ino) {
		b, err = r.Block(ino, i)
	} else {
		var at int
		b, at, err = r.Tail(ino)
		skip += at
	}
	if err != nil {
		return 0, err
	}
	if skip == 0 && b.Len <= len(p) && !b.Fragment {
		return r.Decode(b, p[:b.Len])
	}
	buf := r.buffer()
	defer r.bufs.give(buf)
	got, err := r.Decode(b, buf)
	if err != nil {
		return 0, err
	}
	if got < skip+n {
		return 0, corrupt("inode %#x: fragment of %d bytes, want %d", uint64(ino.Ref), got, skip+n)
	}
	return copy(p[:n], buf[skip:]), nil
}
