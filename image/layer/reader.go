package layer

import (
	"archive/tar"
	"errors"
	"fmt"
	"io"
	"math"
	"slices"
	"strings"

	"coracle/squash"
)

// Limits bound what the layers of one image may hold together. The zero value means
// the defaults. Share one value between the readers of an image.
type Limits struct {
	Size    int64 // bytes of contents and of archive; 0: 1 TiB
	Entries int64 // headers; 0: 16 million

	size, stream, entries int64 // counted so far
}

// DefaultSize is what Limits.Size is unless said otherwise.
const DefaultSize = 1 << 40

const defaultEntries = 16 << 20

// archiveSlack is what an archive may be longer than Limits.Size, for headers, in bytes per entry.
const archiveSlack = 4096

func (l *Limits) maxSize() int64 {
	if l.Size == 0 {
		return DefaultSize
	}
	return l.Size
}

func (l *Limits) entry(size int64) error {
	limit := l.Entries
	if limit == 0 {
		limit = defaultEntries
	}
	if l.entries++; l.entries > limit {
		return fmt.Errorf("%w: the limit is %d", ErrTooMany, limit)
	}
	if size > l.maxSize()-l.size {
		return fmt.Errorf("%w of %d bytes", ErrTooLarge, l.maxSize())
	}
	l.size += size
	return nil
}

// Count counts an entry with size bytes of contents that is not read. The error wraps
// [ErrTooLarge] or [ErrTooMany].
func (l *Limits) Count(size int64) error { return l.entry(size) }

func (l *Limits) read(n int) error {
	l.stream += int64(n)
	if l.stream > l.maxSize()+(l.entries+256)*archiveSlack {
		return fmt.Errorf("%w of %d bytes", ErrTooLarge, l.maxSize())
	}
	return nil
}

// A Reader reads one layer. Reading it returns the contents of the current entry.
type Reader struct {
	tr    *tar.Reader
	src   countReader
	layer int32
	seq   int32
}

// NewReader reads the uncompressed tar archive r, layer number n of the image. Layers
// that share limits must be read one after the other; nil means the defaults for this
// layer alone.
func NewReader(r io.Reader, n int, limits *Limits) *Reader {
	if limits == nil {
		limits = &Limits{}
	}
	lr := &Reader{layer: int32(n), src: countReader{r: r, limits: limits}}
	lr.tr = tar.NewReader(&lr.src)
	return lr
}

type countReader struct {
	r      io.Reader
	limits *Limits
}

func (c *countReader) Read(p []byte) (int, error) {
	n, err := c.r.Read(p)
	if lerr := c.limits.read(n); lerr != nil {
		return n, lerr
	}
	return n, err
}

// Read reads the contents of the current entry.
func (r *Reader) Read(p []byte) (int, error) {
	n, err := r.tr.Read(p)
	if err != nil && err != io.EOF {
		err = archiveError(err)
	}
	return n, err
}

// Next returns the next entry, or io.EOF. Global pax headers are skipped. Other errors
// are an *[EntryError] or wrap [ErrArchive].
func (r *Reader) Next() (*Entry, error) {
	for {
		h, err := r.tr.Next()
		if err == io.EOF {
			return nil, io.EOF
		}
		if err != nil && !errors.Is(err, tar.ErrInsecurePath) {
			return nil, fmt.Errorf("layer %d: %w", r.layer+1, archiveError(err))
		}
		if h.Typeflag == tar.TypeXGlobalHeader {
			continue
		}
		e := &Entry{Layer: r.layer, Seq: r.seq}
		if err := r.fill(e, h); err != nil {
			return nil, &EntryError{Layer: int(r.layer), Name: h.Name, Err: err}
		}
		r.seq++
		return e, nil
	}
}

// Drain reads what follows the archive's end, so that the source can check a digest.
func (r *Reader) Drain() error {
	if _, err := io.Copy(io.Discard, &r.src); err != nil {
		return fmt.Errorf("layer %d: %w", r.layer+1, err)
	}
	return nil
}

// archiveError marks what the tar reader itself complains about.
func archiveError(err error) error {
	if errors.Is(err, tar.ErrHeader) || errors.Is(err, tar.ErrFieldTooLong) || errors.Is(err, io.ErrUnexpectedEOF) {
		return fmt.Errorf("%w: %w", ErrArchive, err)
	}
	return err
}

func (r *Reader) fill(e *Entry, h *tar.Header) error {
	name, err := Clean(h.Name)
	if err != nil {
		return err
	}
	e.Name = strings.Clone(name) // not a part of all records of the header
	if err := e.setType(h); err != nil {
		return err
	}
	if h.Uid < 0 || h.Gid < 0 || int64(h.Uid) > math.MaxUint32 || int64(h.Gid) > math.MaxUint32 {
		return fmt.Errorf("%w: owner %d:%d", ErrValue, h.Uid, h.Gid)
	}
	e.UID, e.GID = uint32(h.Uid), uint32(h.Gid)
	if e.Perm = uint16(h.Mode & 0o7777); e.Type == squash.Symlink {
		e.Perm = 0o777 // as every file system of Linux has it, whatever the archive says
	}
	e.MTime = h.ModTime.Unix()
	if e.Kind == Inode {
		if e.Xattrs, err = xattrs(h.PAXRecords); err != nil {
			return err
		}
	}
	return r.src.limits.entry(e.Size)
}

func (e *Entry) setType(h *tar.Header) error {
	switch h.Typeflag {
	case tar.TypeReg, tar.TypeGNUSparse, tar.TypeCont, '\x00':
		e.Type, e.Size = squash.Regular, h.Size
		if e.Size < 0 {
			return fmt.Errorf("%w: size %d", ErrValue, e.Size)
		}
	case tar.TypeDir:
		e.Type = squash.Directory
	case tar.TypeSymlink:
		e.Type, e.Link = squash.Symlink, strings.Clone(h.Linkname)
		if n := len(e.Link); n == 0 || n >= maxPath || strings.IndexByte(e.Link, 0) >= 0 {
			return fmt.Errorf("%w: symbolic link of %d bytes", ErrValue, n)
		}
	case tar.TypeLink:
		target, err := Clean(h.Linkname)
		if err != nil || target == "" {
			return fmt.Errorf("%w to %q", ErrLink, shorten(h.Linkname))
		}
		e.Kind, e.Type, e.Link = HardLink, squash.Regular, strings.Clone(target)
	case tar.TypeChar, tar.TypeBlock:
		e.Type = squash.CharDevice
		if h.Typeflag == tar.TypeBlock {
			e.Type = squash.BlockDevice
		}
		if h.Devmajor < 0 || h.Devmajor > 0xfff || h.Devminor < 0 || h.Devminor > 0xfffff {
			return fmt.Errorf("%w: device %d:%d", ErrValue, h.Devmajor, h.Devminor)
		}
		e.Rdev = uint32(h.Devminor&0xff | h.Devmajor<<8 | h.Devminor&^0xff<<12)
	case tar.TypeFifo:
		e.Type = squash.Fifo
	default:
		return fmt.Errorf("%w %q", ErrType, h.Typeflag)
	}
	return nil
}

const paxXattr = "SCHILY.xattr."

// maxXattrValue is the longest value that Linux stores, in bytes (XATTR_SIZE_MAX).
const maxXattrValue = 1 << 16

// xattrs returns the extended attributes of a header that a squashfs image can hold, by
// name. POSIX ACLs (system.*) have no place in the format, and SELinux labels belong to
// the machine that the layer was made on; both are left out.
func xattrs(records map[string]string) ([]Xattr, error) {
	var list []Xattr
	for key, value := range records {
		name, ok := strings.CutPrefix(key, paxXattr)
		if !ok || !keepXattr(name) {
			continue
		}
		if len(name) > maxName || len(value) > maxXattrValue {
			return nil, fmt.Errorf("%w: attribute %q of %d bytes", ErrValue, shorten(name), len(value))
		}
		list = append(list, Xattr{Name: strings.Clone(name), Value: strings.Clone(value)})
	}
	slices.SortFunc(list, func(a, b Xattr) int { return strings.Compare(a.Name, b.Name) })
	return list, nil
}

func keepXattr(name string) bool {
	space, rest, _ := strings.Cut(name, ".")
	switch space {
	case "user", "trusted", "security":
		return rest != "" && name != "security.selinux"
	}
	return false
}
