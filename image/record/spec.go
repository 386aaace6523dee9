package record

import (
	"bufio"
	"encoding/base64"
	"fmt"
	"io"
	"sort"
	"strconv"
	"strings"

	"coracle/squash"
)

// SpecName is where a [Spec] lies, in the top directory.
const SpecName = ".coracle.mtree"

// A Line is what a [Spec] says of one file. It counts as long as the file is the one that it was written for: of that type on disk
// and, for regular files, of that size and time.
type Line struct {
	Path string      // from the top, without a leading slash; "." is the top
	Disk squash.Type // on disk: Regular for devices
	Size int64       // Disk Regular
	Time int64       // the same: seconds since 1970
	Note Note
}

// A Spec is a list of files in the form of mtree(5), as NetBSD and FreeBSD keep the owners of trees that ordinary users
// build.
type Spec struct {
	Created string // of the image, where the top directory has no attributes; "" it has, or nobody knows
	Lines   []Line
}

const (
	specMagic   = "#mtree v2.0"
	specCreated = "# created "
	maxLine     = 32 << 20 // bytes of a line, most of it attributes
)

var typeNames = map[squash.Type]string{
	squash.Directory: "dir", squash.Regular: "file", squash.Symlink: "link", squash.CharDevice: "char",
	squash.BlockDevice: "block", squash.Fifo: "fifo", squash.Socket: "socket",
}

// WriteTo writes the lines, sorted by path.
func (s *Spec) WriteTo(w io.Writer) (int64, error) {
	sort.SliceStable(s.Lines, func(i, j int) bool { return s.Lines[i].Path < s.Lines[j].Path })
	b := bufio.NewWriter(w)
	total := 0
	put := func(format string, args ...any) {
		n, _ := fmt.Fprintf(b, format, args...) // Flush has the error
		total += n
	}
	put("%s\n", specMagic)
	if s.Created != "" {
		put("%s%s\n", specCreated, s.Created)
	}
	for _, l := range s.Lines {
		t := l.Disk
		if l.Note.Type != 0 {
			t = l.Note.Type
		}
		put("%s type=%s uid=%d gid=%d", encodePath(l.Path), typeNames[t], l.Note.UID, l.Note.GID)
		if l.Note.HasPerm {
			put(" mode=%#o", l.Note.Perm)
		}
		if deviceLetter(t) != "" {
			major, minor := device(l.Note.Rdev)
			put(" device=linux,%d,%d", major, minor)
		}
		if t == squash.Regular {
			put(" size=%d time=%d.0", l.Size, l.Time)
		}
		for _, x := range l.Note.Xattrs {
			put(" xattr.%s=%s", encodeWord(x.Name), base64.StdEncoding.EncodeToString(x.Value))
		}
		put("\n")
	}
	return int64(total), b.Flush()
}

// ReadSpec reads what WriteTo writes. Keywords that it does not know are passed over. The error wraps [ErrFormat], or is the reader's.
func ReadSpec(r io.Reader) (*Spec, error) {
	s := &Spec{}
	in := bufio.NewScanner(r)
	in.Buffer(nil, maxLine)
	for n := 1; in.Scan(); n++ {
		text := in.Text()
		if created, ok := strings.CutPrefix(text, specCreated); ok {
			s.Created = created
		}
		if text == "" || text[0] == '#' {
			continue
		}
		l, err := readLine(strings.Fields(text))
		if err != nil {
			return nil, fmt.Errorf("%s: line %d: %w", SpecName, n, err)
		}
		s.Lines = append(s.Lines, l)
	}
	if err := in.Err(); err != nil {
		return nil, fmt.Errorf("%s: %w: %w", SpecName, ErrFormat, err)
	}
	return s, nil
}

func readLine(words []string) (l Line, err error) {
	if len(words) == 0 {
		return l, ErrFormat
	}
	if l.Path, err = decodePath(words[0]); err != nil {
		return l, err
	}
	for _, word := range words[1:] {
		key, value, _ := strings.Cut(word, "=")
		if err := l.keyword(key, value); err != nil {
			return l, fmt.Errorf("%w: %.80q", err, word)
		}
	}
	if l.Disk == 0 {
		return l, fmt.Errorf("%w: no type", ErrFormat)
	}
	return l, nil
}

func (l *Line) keyword(key, value string) error {
	switch key {
	case "type":
		for t, name := range typeNames {
			if name == value {
				l.Disk = t
			}
		}
		if l.Disk == 0 {
			return ErrFormat
		}
		if deviceLetter(l.Disk) != "" {
			l.Note.Type, l.Disk = l.Disk, squash.Regular
		}
	case "uid", "gid":
		id, err := strconv.ParseUint(value, 10, 32)
		if err != nil {
			return ErrFormat
		}
		if key == "uid" {
			l.Note.UID = uint32(id)
		} else {
			l.Note.GID = uint32(id)
		}
	case "mode":
		return l.Note.decodeMode(value)
	case "device":
		f := strings.Split(value, ",")
		if len(f) != 3 {
			return ErrFormat
		}
		return l.Note.decodeDevice(f[1], f[2])
	case "size":
		return number(value, &l.Size)
	case "time":
		seconds, _, _ := strings.Cut(value, ".")
		return number(seconds, &l.Time)
	default:
		return l.xattr(key, value)
	}
	return nil
}

func (l *Line) xattr(key, value string) error {
	name, ok := strings.CutPrefix(key, "xattr.")
	if !ok {
		return nil
	}
	name, err := decodeWord(name)
	b, err2 := base64.StdEncoding.DecodeString(value)
	if err != nil || err2 != nil || name == "" {
		return ErrFormat
	}
	l.Note.Xattrs = append(l.Note.Xattrs, squash.Xattr{Name: name, Value: b})
	return nil
}

func number(s string, to *int64) error {
	n, err := strconv.ParseInt(s, 10, 64)
	if err != nil {
		return ErrFormat
	}
	*to = n
	return nil
}

func encodePath(p string) string {
	if p == "." {
		return "."
	}
	return "./" + encodeWord(p)
}

func decodePath(s string) (string, error) {
	if s == "." {
		return s, nil
	}
	rest, ok := strings.CutPrefix(s, "./")
	if !ok || rest == "" {
		return "", fmt.Errorf("%w: %.80q is no path", ErrFormat, s)
	}
	return decodeWord(rest)
}

// encodeWord writes what is no printable ASCII, and what mtree gives a meaning to, as \ and three octal digits, as vis(3) does.
func encodeWord(s string) string {
	var b strings.Builder
	for i := 0; i < len(s); i++ {
		if c := s[i]; c <= ' ' || c >= 0x7f || strings.IndexByte("\\#=*?[", c) >= 0 {
			fmt.Fprintf(&b, "\\%03o", c)
		} else {
			b.WriteByte(c)
		}
	}
	return b.String()
}

func decodeWord(s string) (string, error) {
	var b strings.Builder
	for {
		at := strings.IndexByte(s, '\\')
		if at < 0 {
			b.WriteString(s)
			return b.String(), nil
		}
		if len(s) < at+4 {
			return "", fmt.Errorf("%w: %.80q", ErrFormat, s)
		}
		c, err := strconv.ParseUint(s[at+1:at+4], 8, 8)
		if err != nil {
			return "", fmt.Errorf("%w: %.80q", ErrFormat, s)
		}
		b.WriteString(s[:at])
		b.WriteByte(byte(c))
		s = s[at+4:]
	}
}
