package record

import (
	"bytes"
	"errors"
	"reflect"
	"strings"
	"testing"

	"coracle/squash"
)

var notes = []Note{
	{UID: 1},
	{GID: 33},
	{UID: 1000, GID: 70000},
	{UID: 1<<32 - 2, GID: 127}, // varints of five bytes and of one
	{Type: squash.CharDevice, Rdev: 0x103, Perm: 0o666, HasPerm: true},
	{Type: squash.BlockDevice, Rdev: 0xfff_fffff, UID: 5},
	{Perm: 0, HasPerm: true},
	{Perm: 0o7777, HasPerm: true, Xattrs: []squash.Xattr{{Name: "security.capability", Value: []byte{0, 1, 2, 0xff}}, {Name: OwnerAttr, Value: []byte{}}}},
}

func TestNote(t *testing.T) {
	own := squash.Xattr{Name: "user.note", Value: []byte("x")}
	for _, want := range notes {
		got, rest, err := Split(append(want.Encode(), own, squash.Xattr{Name: OwnPrefix + "writer", Value: []byte("h 1")}))
		if err != nil || !reflect.DeepEqual(got, want) || !reflect.DeepEqual(rest, []squash.Xattr{own}) {
			t.Errorf("Split(%+v.Encode()) = %+v, %v, %v", want, got, rest, err)
		}
	}
	if n := (Note{}); !n.Zero() || len(n.Encode()) != 0 {
		t.Errorf("a note without anything: %v", n.Encode())
	}
}

// The bytes are those that umoci writes.
func TestOwner(t *testing.T) {
	for _, tt := range []struct {
		in       string
		uid, gid uint32
		err      error
	}{
		{in: "\x08\xe8\x07\x10\x64", uid: 1000, gid: 100},
		{in: "\x10\x64\x08\xe8\x07", uid: 1000, gid: 100}, // in the other order
		{in: "", uid: 0, gid: 0},
		{in: "\x08\x00\x10\x00"},
		{in: "\x08\xff\xff\xff\xff\x0f\x10\x05", gid: 5},                         // no change of the user
		{in: "\x08\x01\x18\x07", uid: 1},                                         // a field of a later version
		{in: "\x08", err: ErrFormat},                                             // cut short
		{in: "\x08\xff\xff\xff\xff\xff\x01", err: ErrFormat},                     // more than 32 bits
		{in: "\x08\xff\xff\xff\xff\xff\xff\xff\xff\xff\xff\x01", err: ErrFormat}, // more than 64
		{in: "\x0a\x01x", err: ErrFormat},                                        // a string
	} {
		uid, gid, err := decodeOwner([]byte(tt.in))
		if uid != tt.uid || gid != tt.gid || !errors.Is(err, tt.err) {
			t.Errorf("decodeOwner(%q) = %d, %d, %v; want %d, %d, %v", tt.in, uid, gid, err, tt.uid, tt.gid, tt.err)
		}
	}
	if got := string(encodeOwner(1000, 100)); got != "\x08\xe8\x07\x10\x64" {
		t.Errorf("encodeOwner(1000, 100) = %q", got)
	}
}

func TestSplitErrors(t *testing.T) {
	for _, x := range []squash.Xattr{
		{Name: OwnerAttr, Value: []byte{8}}, {Name: nodeAttr, Value: []byte("c 1")}, {Name: nodeAttr, Value: []byte("x 1 2")},
		{Name: nodeAttr, Value: []byte("c 4096 1")}, {Name: modeAttr, Value: []byte("10000")}, {Name: modeAttr, Value: []byte("9")},
	} {
		if _, _, err := Split([]squash.Xattr{x}); !errors.Is(err, ErrFormat) || !strings.Contains(err.Error(), x.Name) {
			t.Errorf("Split(%s = %q): %v", x.Name, x.Value, err)
		}
	}
}

func TestDiskPerm(t *testing.T) {
	for _, tt := range []struct {
		t        squash.Type
		in, want uint16
	}{
		{squash.Regular, 0o4755, 0o755}, {squash.Regular, 0, 0o400}, {squash.Regular, 0o644, 0o644}, {squash.Regular, 0o1644, 0o644},
		{squash.Directory, 0o1777, 0o1777}, {squash.Directory, 0o2755, 0o755}, {squash.Directory, 0o555, 0o755}, {squash.Fifo, 0o600, 0o600},
	} {
		if got := DiskPerm(tt.t, tt.in); got != tt.want {
			t.Errorf("DiskPerm(%v, %o) = %o, want %o", tt.t, tt.in, got, tt.want)
		}
	}
}

func TestSpec(t *testing.T) {
	s := &Spec{Created: "1700000000"}
	for i, n := range notes {
		l := Line{Path: string(rune('a'+i)) + "/with space\n\\#\xff=", Disk: squash.Regular, Size: int64(i), Time: 12, Note: n}
		if n.Type != 0 {
			l.Size, l.Time = 0, 0
		}
		s.Lines = append(s.Lines, l)
	}
	s.Lines = append(s.Lines, Line{Path: "z", Disk: squash.Symlink, Note: Note{UID: 3}}, Line{Path: ".", Disk: squash.Directory, Note: Note{GID: 4}})
	var b bytes.Buffer
	if n, err := s.WriteTo(&b); err != nil || n != int64(b.Len()) {
		t.Fatal(n, err)
	}
	got, err := ReadSpec(strings.NewReader(b.String()))
	if err != nil || !reflect.DeepEqual(got, s) {
		t.Errorf("ReadSpec of\n%s= %+v, %v\nwant %+v", b.String(), got, err, s)
	}
	if line, _, _ := strings.Cut(b.String()[len(specMagic)+1+len("# created 1700000000\n"):], "\n"); line != ". type=dir uid=0 gid=4" {
		t.Errorf("the first line is %q", line)
	}
}

func TestSpecErrors(t *testing.T) {
	for _, text := range []string{
		"a type=file", "./a", "./a type=door", "./a type=file uid=-1", "./a type=file uid=4294967296", "./a type=file mode=99",
		"./a type=char device=linux,1", "./a type=char device=linux,1,9999999", "./a type=file size=x", "./a type=file xattr.user.a=%",
		"./a\\1 type=file", "./a\\999 type=file", "./ type=file", "./a type=file xattr.=aa",
	} {
		if s, err := ReadSpec(strings.NewReader(text)); !errors.Is(err, ErrFormat) {
			t.Errorf("ReadSpec(%q) = %+v, %v", text, s, err)
		}
	}
}

// What can be read is written and read again as the same.
func FuzzSpec(f *testing.F) {
	f.Add("#mtree v2.0\n# created 5\n. type=dir uid=1 gid=2 mode=0755\n./a\\040b type=char uid=0 gid=0 device=linux,1,3 xattr.user.a=AAA=\n")
	f.Add("./l type=link uid=1000 gid=1000\n./f type=file uid=1 gid=1 size=4 time=12.5 flags=none\n")
	f.Fuzz(func(t *testing.T, text string) {
		s, err := ReadSpec(strings.NewReader(text))
		if err != nil {
			return
		}
		for _, l := range s.Lines {
			if l.Note.Type != 0 && (l.Size != 0 || l.Time != 0) || l.Disk != squash.Regular && (l.Size != 0 || l.Time != 0) || deviceLetter(l.Note.Type) == "" && l.Note.Rdev != 0 {
				return // says what need not be said
			}
		}
		var b bytes.Buffer
		s.WriteTo(&b)
		again, err := ReadSpec(&b)
		if err != nil {
			t.Fatalf("%q: %v", text, err)
		}
		var c bytes.Buffer
		again.WriteTo(&c)
		var d bytes.Buffer
		s.WriteTo(&d)
		if c.String() != d.String() {
			t.Errorf("%q becomes\n%s, then\n%s", text, d.String(), c.String())
		}
	})
}

func FuzzSplit(f *testing.F) {
	f.Add([]byte("\x08\xe8\x07\x10\x64"), "c 1 3", "4755")
	f.Fuzz(func(t *testing.T, owner []byte, node, mode string) {
		n, _, err := Split([]squash.Xattr{{Name: OwnerAttr, Value: owner}, {Name: nodeAttr, Value: []byte(node)}, {Name: modeAttr, Value: []byte(mode)}})
		if err != nil {
			return
		}
		if again, _, err := Split(n.Encode()); err != nil || !reflect.DeepEqual(again, n) {
			t.Errorf("%+v becomes %+v, %v", n, again, err)
		}
	})
}
