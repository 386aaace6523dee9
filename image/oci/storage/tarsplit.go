package storage

import (
	"bufio"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"

	"coracle/image/layer"
)

// maxPart bounds a line of an archive's record, in bytes. A segment is headers and padding between two files' contents.
const maxPart = 64 << 20

// A part is one line of an archive's record.
//
// Source: tar-split's storage format, as its documentation of the package tar/storage has it.
type part struct {
	Type    int    `json:"type"`
	Name    string `json:"name"`
	RawName []byte `json:"name_raw"` // instead of Name, where that is no UTF-8
	Size    int64  `json:"size"`
	Payload []byte `json:"payload"` // segment: bytes of the archive; file: a checksum
}

// The types of parts.
const (
	filePart    = 1
	segmentPart = 2
)

// Layer returns the uncompressed archive of layer n, the oldest being 0. What it reads is not verified. The error wraps
// [ErrNoRecord], [ErrCorrupt], [ErrSubIDs] or is the file system's.
func (m *Image) Layer(ctx context.Context, n int) (io.ReadCloser, error) {
	l := m.chain[n]
	path := filepath.Join(l.store.root, l.store.driver+"-layers", l.ID+".tar-split.gz")
	f, err := os.Open(path)
	if errors.Is(err, fs.ErrNotExist) {
		return nil, fmt.Errorf("layer %.12s: %w", l.ID, ErrNoRecord)
	}
	if err != nil {
		return nil, err
	}
	z, err := layer.Decompress(f)
	if err != nil {
		f.Close()
		return nil, fmt.Errorf("%w: %s: %w", ErrCorrupt, path, err)
	}
	lines := bufio.NewScanner(z)
	lines.Buffer(make([]byte, 0, 64<<10), maxPart)
	return &assembler{ctx: ctx, lines: lines, record: f, z: z, open: func(name string) (*os.File, error) {
		return m.set.open.file(ctx, l.diffDir(), name)
	}}, nil
}

// An assembler puts an archive together again.
type assembler struct {
	ctx    context.Context
	lines  *bufio.Scanner
	record io.Closer
	z      io.Closer
	open   func(name string) (*os.File, error)

	part []byte // the rest of a segment
	file *os.File
	name string
	left int64 // of file
}

// Read returns the next bytes of the archive.
func (a *assembler) Read(p []byte) (int, error) {
	for {
		switch {
		case a.file != nil:
			return a.readFile(p)
		case len(a.part) > 0:
			n := copy(p, a.part)
			a.part = a.part[n:]
			return n, nil
		}
		if err := a.next(); err != nil {
			return 0, err
		}
	}
}

func (a *assembler) readFile(p []byte) (int, error) {
	n, err := a.file.Read(p[:min(int64(len(p)), a.left)])
	a.left -= int64(n)
	if a.left == 0 {
		a.file.Close()
		a.file = nil
		return n, nil
	}
	if err == io.EOF {
		err = fmt.Errorf("%w: %q is short of %d bytes", ErrCorrupt, a.name, a.left)
	}
	return n, err
}

// next goes on to the next part that has bytes.
func (a *assembler) next() error {
	if err := a.ctx.Err(); err != nil {
		return err
	}
	if !a.lines.Scan() {
		if err := a.lines.Err(); err != nil {
			return fmt.Errorf("%w: record of a layer's archive: %w", ErrCorrupt, err)
		}
		return io.EOF
	}
	var p part
	if err := json.Unmarshal(a.lines.Bytes(), &p); err != nil {
		return fmt.Errorf("%w: record of a layer's archive: %w", ErrCorrupt, err)
	}
	switch p.Type {
	case segmentPart:
		a.part = p.Payload
		return nil
	case filePart:
		if len(p.RawName) > 0 {
			p.Name = string(p.RawName)
		}
		return a.begin(&p)
	}
	return fmt.Errorf("%w: record of a layer's archive: part of type %d", ErrCorrupt, p.Type)
}

// begin opens the file of a part.
func (a *assembler) begin(p *part) error {
	if p.Size < 0 {
		return fmt.Errorf("%w: %q of %d bytes", ErrCorrupt, p.Name, p.Size)
	}
	if p.Size == 0 {
		return nil
	}
	f, err := a.open(p.Name)
	if err != nil {
		return err
	}
	a.file, a.name, a.left = f, p.Name, p.Size
	return nil
}

// Close lets go of the layer.
func (a *assembler) Close() error {
	if a.file != nil {
		a.file.Close()
	}
	return errors.Join(a.z.Close(), a.record.Close())
}
