package image

import (
	"bytes"
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"strings"

	"coracle/image/ext"
	"coracle/image/sif"
	"coracle/squash"
)

// headSize is how much of a file is read to tell what it is: enough for the
// superblock of an ext file system behind a launch line, in bytes.
const headSize = 2048

// maxLaunchLine bounds the #! line in front of a squashfs file system, in bytes.
// The kernel reads 256 of it; Singularity 2 wrote 31.
const maxLaunchLine = 512

const squashMagic = "hsqs"

// identify tells what the regular file is and opens what is in it.
func (m *Image) identify() error {
	if m.Length == 0 {
		return ErrEmpty
	}
	var buf [headSize]byte
	n, err := m.file.ReadAt(buf[:], 0)
	if err != nil && !errors.Is(err, io.EOF) {
		return fmt.Errorf("read: %w", err)
	}
	head := buf[:n]
	launch := launchLine(head)
	if m.choice.id != 0 && !sif.Is(head) {
		return fmt.Errorf("it has no partition %d: only SIF files have numbered partitions", m.choice.id)
	}
	switch {
	case sif.Is(head):
		return m.openSIF()
	case bytes.HasPrefix(head, []byte(squashMagic)):
		m.Format = Squashfs
	case launch > 0 && bytes.HasPrefix(head[launch:], []byte(squashMagic)):
		m.Format, m.Offset = Simg, int64(launch)
	case isExt(head):
		m.Size = m.Length
		return m.openExt()
	default:
		return &KindError{Looks: looksLike(head)}
	}
	m.Size = m.Length - m.Offset
	return m.openSquash()
}

func (m *Image) openSIF() error {
	f, err := sif.Read(m.file, m.Length)
	if err != nil {
		return err
	}
	d, p, err := m.choice.from(f)
	if err != nil {
		return err
	}
	m.Format, m.SIF = SIF, f
	m.Arch = p.Arch
	switch p.FS {
	case sif.FSSquash:
	case sif.FSEncryptedSquash:
		return ErrEncrypted
	case sif.FSExt3:
		m.Offset, m.Size = d.Offset, d.Size
		return m.openExt()
	default:
		return &PartitionError{FS: p.FS.String()}
	}
	m.Offset, m.Size = d.Offset, d.Size
	return m.openSquash()
}

// from returns the chosen partition.
func (c choice) from(f *sif.File) (*sif.Descriptor, sif.Partition, error) {
	if c.id != 0 {
		return f.Partition(c.id)
	}
	if c.overlay {
		return firstOverlay(f)
	}
	d, p, err := f.Primary()
	if errors.Is(err, sif.ErrNoPrimary) && c.data {
		for i := range f.Descriptors {
			if p, ok := f.Descriptors[i].Partition(); ok && p.Part == sif.PartData {
				return f.Partition(f.Descriptors[i].ID)
			}
		}
	}
	return d, p, err
}

func (m *Image) openSquash() error {
	r, err := squash.Open(io.NewSectionReader(m.file, m.Offset, m.Size), m.Size, nil)
	if err != nil {
		return err
	}
	m.Squash = r
	m.Tree = SquashTree(r)
	return nil
}

func (m *Image) openExt() error {
	r, err := ext.Open(io.NewSectionReader(m.file, m.Offset, m.Size), m.Size)
	if err != nil {
		return err
	}
	m.Ext = r
	m.Tree = extTree(r)
	if m.Format == "" {
		m.Format = Ext
	}
	return nil
}

// launchLine returns the length of the #! line that head begins with, its newline included, or 0.
func launchLine(head []byte) int {
	if !bytes.HasPrefix(head, []byte("#!")) {
		return 0
	}
	return bytes.IndexByte(head[:min(len(head), maxLaunchLine)], '\n') + 1
}

// isExt reports whether head begins an ext2, ext3 or ext4 file system: the magic of
// its superblock lies at byte 56 of 1024 and following.
//
// Source: Linux Documentation/filesystems/ext4, "The Super Block", s_magic.
func isExt(head []byte) bool {
	const at = 1024 + 56
	return len(head) >= at+2 && binary.LittleEndian.Uint16(head[at:]) == 0xef53
}

// looksLike names the type of a file that is no image, with its article, or answers "".
func looksLike(head []byte) string {
	for _, t := range []struct {
		at   int
		mark string
		name string
	}{
		{257, "ustar", "a tar archive"},
		{0, "\x1f\x8b", "a gzip archive"},
		{0, "BZh", "a bzip2 archive"},
		{0, "\xfd7zXZ\x00", "an xz archive"},
		{0, "\x28\xb5\x2f\xfd", "a zstd archive"},
		{0, "PK\x03\x04", "a zip archive"},
		{0, "\x7fELF", "a program"},
		{0, "sqsh", "a squashfs image of a version before 4"},
		{0, "LUKS\xba\xbe", "an encrypted disk"},
		{0, "version https://git-lfs", "a git-lfs pointer: the file itself was not fetched"},
		{0, "<!DOCTYPE html", "a web page"},
		{0, "<html", "a web page"},
		{0, "#!", "a script"},
	} {
		if len(head) >= t.at && bytes.HasPrefix(head[t.at:], []byte(t.mark)) {
			return t.name
		}
	}
	if isDefinition(head) {
		return "a definition file"
	}
	if len(bytes.Trim(head, "\x00")) == 0 {
		return "nothing but zero bytes"
	}
	return ""
}

// isDefinition reports whether head begins a definition file: "Bootstrap:" on its first
// line that is neither empty nor a comment.
func isDefinition(head []byte) bool {
	for line := range bytes.Lines(head) {
		s := strings.TrimSpace(string(line))
		if s == "" || strings.HasPrefix(s, "#") {
			continue
		}
		return strings.HasPrefix(strings.ToLower(s), "bootstrap:")
	}
	return false
}

// Detail describes the image for people: "squashfs zstd, 37 019 files".
func (m *Image) Detail() string {
	switch {
	case m.Ext != nil && m.Format == SIF:
		return "SIF ext3 or ext4"
	case m.Ext != nil:
		return "ext3 or ext4"
	case m.Squash == nil:
		return "directory"
	}
	s := m.Squash.Super()
	d := fmt.Sprintf("squashfs %v, %s files", s.Compressor, Thousands(int64(s.Inodes)))
	if m.Format != Squashfs {
		d = string(m.Format) + " " + d
	}
	return d
}

// Thousands writes n in groups of three digits, as in 37 019.
func Thousands(n int64) string {
	s := fmt.Sprint(n)
	for i := len(s) - 3; i > 0; i -= 3 {
		s = s[:i] + " " + s[i:]
	}
	return s
}
