package sif

import (
	"bytes"
	"errors"
	"io"
	"testing"
)

// A buffer is a file in memory that fails from a given write on.
type buffer struct {
	b    []byte
	left int // writes
}

func (f *buffer) WriteAt(p []byte, off int64) (int, error) {
	if f.left == 0 {
		return 0, io.ErrClosedPipe
	}
	f.left--
	if need := int(off) + len(p); need > len(f.b) {
		f.b = append(f.b, make([]byte, need-len(f.b))...)
	}
	return copy(f.b[off:], p), nil
}

// small is a file with a definition and a partition.
func small(t *testing.T) []byte {
	t.Helper()
	f := &buffer{left: -1}
	w := NewWriter(f, &WriterOptions{Time: 1})
	if err := w.Add(TypeDeffile, "Definition", []byte("Bootstrap: scratch\n")); err != nil {
		t.Fatal(err)
	}
	if _, err := f.WriteAt(make([]byte, 5000), w.Partition()); err != nil {
		t.Fatal(err)
	}
	if _, err := w.Finish("root", "amd64", 5000); err != nil {
		t.Fatal(err)
	}
	return f.b
}

func TestAddOverlay(t *testing.T) {
	b := small(t)
	for n := range 50 {
		f, err := Read(bytes.NewReader(b), int64(len(b)))
		if err != nil {
			t.Fatal(err)
		}
		at, err := f.Place()
		if err != nil || at%4096 != 0 || at < int64(len(b)) || at > int64(len(b))+4096 {
			t.Fatalf("Place() = %d, %v in a file of %d bytes", at, err, len(b))
		}
		dst := &buffer{b: append(bytes.Clone(b), make([]byte, int(at)-len(b)+8192)...), left: -1}
		err = f.AddOverlay(dst, FSExt3, 8192, 7)
		if n == 46 {
			if !errors.Is(err, ErrFull) {
				t.Fatalf("the 47th: %v, want ErrFull", err)
			}
			return
		}
		if err != nil {
			t.Fatal(err)
		}
		b = dst.b
		g, err := Read(bytes.NewReader(b), int64(len(b)))
		if err != nil {
			t.Fatal(err)
		}
		d, p, err := g.Partition(uint32(n) + 3)
		if err != nil || d.Offset != at || d.Size != 8192 || d.Name != "overlay" || p != (Partition{FSExt3, PartOverlay, "amd64"}) {
			t.Fatalf("partition %d: %+v, %+v, %v", n+3, d, p, err)
		}
		if h := g.Header; h.DescriptorsFree != f.Header.DescriptorsFree-1 || h.Modified != 7 || h.DataSize != at+8192-h.DataOffset || h.Created != 1 {
			t.Fatalf("header %+v", h)
		}
	}
}

// Whichever write is the last, what was in the file is in it.
func TestAddOverlayKilled(t *testing.T) {
	b := small(t)
	for writes := range 3 {
		f, err := Read(bytes.NewReader(b), int64(len(b)))
		if err != nil {
			t.Fatal(err)
		}
		dst := &buffer{b: append(bytes.Clone(b), make([]byte, 16384)...), left: writes}
		if err := f.AddOverlay(dst, FSExt3, 8192, 7); (err == nil) != (writes == 2) {
			t.Errorf("%d writes: %v", writes, err)
		}
		g, err := Read(bytes.NewReader(dst.b), int64(len(dst.b)))
		if err != nil {
			t.Fatal(err)
		}
		d, _, err := g.Primary()
		if err != nil || d.Size != 5000 || len(g.Descriptors) != 2+min(writes, 1) {
			t.Errorf("%d writes: %v, %d objects", writes, err, len(g.Descriptors))
		}
	}
}
