package oci

import (
	"archive/tar"
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path"
	"strings"

	"coracle/image/layer"
	"coracle/image/output"
)

// maxFiles bounds the files in an outer archive.
const maxFiles = 1 << 20

// An archiveFS gives access to the files of an uncompressed tar archive by name, where
// they lie: nothing is unpacked.
type archiveFS struct {
	file  *os.File
	files map[string]extent
}

// An extent is where a file of an archive is.
type extent struct {
	offset, size int64
	link         string // a symbolic or hard link: its target, cleaned; docker save writes them
}

// openArchive opens the archive at name, "-" for standard input. One that cannot be read
// at any place, because it is compressed or comes through a pipe, is first copied to a
// nameless file in tmp.
func openArchive(ctx context.Context, name, tmp string) (*archiveFS, error) {
	f := os.Stdin
	if name != "-" {
		var err error
		if f, err = os.Open(name); err != nil {
			return nil, err
		}
	}
	return newArchive(ctx, f, tmp)
}

// newArchive takes over f.
func newArchive(ctx context.Context, f *os.File, tmp string) (*archiveFS, error) {
	fi, err := f.Stat()
	if err == nil && fi.IsDir() {
		err = fmt.Errorf("%w: %q is a directory", ErrArchive, f.Name())
	}
	if err != nil {
		f.Close()
		return nil, err
	}
	if !fi.Mode().IsRegular() || compressed(f) {
		src := f
		if err = roomFor(tmp, fi.Size()); err == nil {
			f, err = spool(ctx, src, tmp)
		}
		src.Close()
		if err != nil {
			return nil, err
		}
	}
	a := &archiveFS{file: f, files: make(map[string]extent)}
	if err := a.index(); err != nil {
		f.Close()
		return nil, err
	}
	return a, nil
}

// compressed reports whether a file does not begin as a tar archive does.
func compressed(f *os.File) bool {
	var head [262]byte
	_, err := f.ReadAt(head[:], 0)
	return err == nil && string(head[257:262]) != "ustar"
}

// A SpoolError says that the directory for temporary files cannot take an archive that has to be copied there.
type SpoolError struct {
	Dir string
	Err error // *[output.SpaceError], or what the system said
}

func (e *SpoolError) Error() string {
	return fmt.Sprintf("the archive has to be copied to %s first, but it does not fit: %v", e.Dir, e.Err)
}

// Unwrap returns Err.
func (e *SpoolError) Unwrap() error { return e.Err }

// roomFor says no to copying an archive of that many bytes, or more, to tmp. The error is a *[SpoolError].
func roomFor(tmp string, least int64) error {
	if err := output.NeedSpace(tmp, least); err != nil {
		return &SpoolError{tmp, err}
	}
	return nil
}

// spool copies an archive, decompressed, to a nameless file in the directory tmp. The error wraps [ErrArchive], or is a
// *[SpoolError] when there is no room.
func spool(ctx context.Context, src io.Reader, tmp string) (*os.File, error) {
	z, err := layer.Decompress(contextReader{ctx, src})
	if err != nil {
		return nil, fmt.Errorf("%w: %w", ErrArchive, err)
	}
	defer z.Close()
	f, err := output.Nameless(tmp)
	if err != nil {
		return nil, err
	}
	w := &spoolWriter{f: f}
	_, err = io.Copy(w, z)
	switch {
	case w.err != nil:
		err = &SpoolError{tmp, w.err}
	case ctx.Err() != nil:
		err = context.Cause(ctx)
	case err != nil:
		err = fmt.Errorf("%w: %w", ErrArchive, err)
	default:
		_, err = f.Seek(0, io.SeekStart)
	}
	if err != nil {
		f.Close()
		return nil, err
	}
	return f, nil
}

// A spoolWriter tells errors of writing from those of reading.
type spoolWriter struct {
	f   *os.File
	err error
}

func (w *spoolWriter) Write(p []byte) (int, error) {
	n, err := w.f.Write(p)
	if err != nil {
		var pe *fs.PathError
		if errors.As(err, &pe) {
			err = pe.Err // the file has no name
		}
		w.err = err
	}
	return n, err
}

type contextReader struct {
	ctx context.Context
	r   io.Reader
}

func (c contextReader) Read(p []byte) (int, error) {
	if err := c.ctx.Err(); err != nil {
		return 0, err
	}
	return c.r.Read(p)
}

// index notes where the files of the archive are.
func (a *archiveFS) index() error {
	tr := tar.NewReader(a.file)
	for {
		h, err := tr.Next()
		if err == io.EOF {
			return nil
		}
		if err != nil && !errors.Is(err, tar.ErrInsecurePath) {
			return fmt.Errorf("%w: %w", ErrArchive, err)
		}
		name, err := layer.Clean(h.Name)
		if err != nil {
			return fmt.Errorf("%w: %w", ErrArchive, err)
		}
		if len(a.files) >= maxFiles {
			return fmt.Errorf("%w: more than %d files", ErrArchive, maxFiles)
		}
		if err := a.note(strings.Clone(name), h); err != nil {
			return err
		}
	}
}

func (a *archiveFS) note(name string, h *tar.Header) error {
	switch h.Typeflag {
	case tar.TypeReg:
		for key := range h.PAXRecords {
			if strings.HasPrefix(key, "GNU.sparse.") {
				return fmt.Errorf("%w: %q is stored as a sparse file", ErrArchive, name)
			}
		}
		// The tar reader keeps no buffer: the file's position is where the contents are.
		offset, err := a.file.Seek(0, io.SeekCurrent)
		if err != nil {
			return err
		}
		a.files[name] = extent{offset: offset, size: h.Size}
	case tar.TypeSymlink:
		a.files[name] = extent{link: path.Join(path.Dir("/"+name), h.Linkname)[1:]}
	case tar.TypeLink:
		a.files[name] = extent{link: path.Join("/", h.Linkname)[1:]}
	case tar.TypeGNUSparse:
		return fmt.Errorf("%w: %q is stored as a sparse file", ErrArchive, name)
	}
	return nil
}

// stat returns where a file is, links followed.
func (a *archiveFS) stat(name string) (extent, error) {
	for range 8 {
		e, ok := a.files[strings.TrimPrefix(path.Clean("/"+name), "/")]
		if !ok {
			break
		}
		if e.link == "" {
			return e, nil
		}
		name = e.link
	}
	return extent{}, &fs.PathError{Op: "open", Path: a.file.Name() + ":" + name, Err: fs.ErrNotExist}
}

func (a *archiveFS) open(name string) (io.ReadCloser, error) {
	e, err := a.stat(name)
	if err != nil {
		return nil, err
	}
	return io.NopCloser(io.NewSectionReader(a.file, e.offset, e.size)), nil
}

func (a *archiveFS) close() error { return a.file.Close() }
