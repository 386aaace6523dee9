package layer

import (
	"bufio"
	"bytes"
	"fmt"
	"io"

	"coracle/squash/inflate"

	"github.com/klauspost/compress/zstd"
)

// maxWindow bounds the window that a zstd layer may ask for, in bytes. Level 22 with
// long-range matching, which nobody uses for layers, needs more.
const maxWindow = 64 << 20

// Decompress returns the tar archive in r, which may be gzip, zstd or not compressed.
// What it is shows in its first bytes: the media types of manifests are not always right.
// The error wraps [ErrFormat] for everything else. Reading does not stop before r's end.
func Decompress(r io.Reader) (io.ReadCloser, error) {
	src := &sourceReader{r: r}
	br := bufio.NewReaderSize(src, 64<<10)
	head, err := br.Peek(262)
	if err != nil && err != io.EOF {
		return nil, err
	}
	switch {
	case bytes.HasPrefix(head, []byte("\x1f\x8b")):
		z, err := inflate.NewGzipReader(br)
		if err != nil {
			return nil, src.blame(fmt.Errorf("%w: gzip: %w", ErrArchive, err))
		}
		return &unzip{r: z, rest: br, src: src, close: func() error { return nil }}, nil
	case bytes.HasPrefix(head, []byte("\x28\xb5\x2f\xfd")), isSkippable(head):
		z, err := zstd.NewReader(br, zstd.WithDecoderConcurrency(1), zstd.WithDecoderMaxWindow(maxWindow), zstd.WithDecoderLowmem(true))
		if err != nil {
			return nil, fmt.Errorf("%w: zstd: %w", ErrArchive, err)
		}
		return &unzip{r: z, rest: br, src: src, close: func() error { z.Close(); return nil }}, nil
	case len(head) >= 262 && string(head[257:262]) == "ustar", len(bytes.Trim(head, "\x00")) == 0:
		return io.NopCloser(br), nil
	case bytes.HasPrefix(head, []byte("BZh")):
		return nil, fmt.Errorf("%w: bzip2", ErrFormat)
	case bytes.HasPrefix(head, []byte("\xfd7zXZ\x00")):
		return nil, fmt.Errorf("%w: xz", ErrFormat)
	case len(head) >= 262: // a tar archive before POSIX has no magic; its reader checks it
		return io.NopCloser(br), nil
	}
	return nil, fmt.Errorf("%w: neither gzip, zstd nor tar", ErrFormat)
}

// isSkippable reports whether head begins a zstd skippable frame, as zstd:chunked has them.
//
// Source: RFC 8878, section 3.1.2.
func isSkippable(head []byte) bool {
	return len(head) >= 4 && head[0]&0xf0 == 0x50 && string(head[1:4]) == "\x2a\x4d\x18"
}

// A sourceReader remembers the source's own error, which is not the archive's fault.
type sourceReader struct {
	r   io.Reader
	err error
}

func (s *sourceReader) Read(p []byte) (int, error) {
	n, err := s.r.Read(p)
	if err != nil && err != io.EOF {
		s.err = err
	}
	return n, err
}

// blame returns the source's own error if there is one, or err.
func (s *sourceReader) blame(err error) error {
	if s.err != nil {
		return s.err
	}
	return err
}

// An unzip marks the errors of a decompressor, and reads its source to the end.
type unzip struct {
	r     io.Reader // the decompressor
	rest  io.Reader // what it reads from
	src   *sourceReader
	close func() error
}

func (u *unzip) Read(p []byte) (int, error) {
	n, err := u.r.Read(p)
	if err == nil {
		return n, nil
	}
	if err != io.EOF {
		return n, u.src.blame(fmt.Errorf("%w: %w", ErrArchive, err))
	}
	if _, err := io.Copy(io.Discard, u.rest); err != nil {
		return n, err
	}
	return n, io.EOF
}

func (u *unzip) Close() error { return u.close() }
