package sif

import (
	"bytes"
	"errors"
	"io"
	"math"
	"os"
	"path/filepath"
	"testing"

	theirs "github.com/sylabs/sif/v2/pkg/sif"
)

// written returns a SIF file as the reference library writes it: a definition file, JSON
// labels and a primary squashfs partition for arm64, which holds part.
func written(t testing.TB, part []byte) []byte {
	t.Helper()
	input := func(typ theirs.DataType, data []byte, opts ...theirs.DescriptorInputOpt) theirs.DescriptorInput {
		d, err := theirs.NewDescriptorInput(typ, bytes.NewReader(data), opts...)
		if err != nil {
			t.Fatal(err)
		}
		return d
	}
	path := filepath.Join(t.TempDir(), "x.sif")
	f, err := theirs.CreateContainerAtPath(path,
		theirs.OptCreateDeterministic(),
		theirs.OptCreateWithLaunchScript("#!/usr/bin/env run-singularity\n"),
		theirs.OptCreateWithDescriptors(
			input(theirs.DataDeffile, []byte("bootstrap: docker\n")),
			input(theirs.DataGenericJSON, []byte(`{"a":"b"}`), theirs.OptObjectName("inspect-metadata.json")),
			input(theirs.DataPartition, part,
				theirs.OptObjectName("root.squashfs"),
				theirs.OptPartitionMetadata(theirs.FsSquash, theirs.PartPrimSys, "arm64")),
		))
	if err != nil {
		t.Fatal(err)
	}
	if err := f.UnloadContainer(); err != nil {
		t.Fatal(err)
	}
	b, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	return b
}

func TestReadsWhatTheReferenceWrites(t *testing.T) {
	part := bytes.Repeat([]byte("hsqs"), 1000)
	b := written(t, part)
	f, err := Read(bytes.NewReader(b), int64(len(b)))
	if err != nil {
		t.Fatal(err)
	}
	if h := f.Header; h.Launch != "#!/usr/bin/env run-singularity\n" || h.Arch != "arm64" || h.DescriptorsTotal != 48 {
		t.Errorf("Header = %+v", h)
	}
	if n := len(f.Descriptors); n != 3 {
		t.Fatalf("%d descriptors in use, want 3", n)
	}
	d, p, err := f.Primary()
	if err != nil {
		t.Fatal(err)
	}
	if want := (Partition{FS: FSSquash, Part: PartPrimary, Arch: "arm64"}); p != want {
		t.Errorf("Primary: partition %+v, want %+v", p, want)
	}
	if d.Offset%4096 != 0 || d.Size != int64(len(part)) || d.Name != "root.squashfs" || d.ID != 3 || d.Group != 1 {
		t.Errorf("Primary = %+v", d)
	}
	s, err := f.Section(d)
	if err != nil {
		t.Fatal(err)
	}
	if got, err := io.ReadAll(s); err != nil || !bytes.Equal(got, part) {
		t.Errorf("Section holds %d bytes, %v; want the partition's %d", len(got), err, len(part))
	}
	meta := f.Find(TypeGenericJSON, "inspect-metadata.json")
	if meta == nil {
		t.Fatal("Find: no inspect-metadata.json")
	}
	if got, err := f.Bytes(meta, 100); err != nil || string(got) != `{"a":"b"}` {
		t.Errorf("Bytes = %q, %v", got, err)
	}
	if _, err := f.Bytes(meta, 3); !errors.Is(err, ErrFormat) {
		t.Errorf("Bytes over its limit: %v, want ErrFormat", err)
	}
}

func TestTruncatedAnywhere(t *testing.T) {
	b := written(t, make([]byte, 5000))
	for n := range len(b) {
		f, err := Read(bytes.NewReader(b[:n]), int64(n))
		if err == nil {
			_, _, err = f.Primary()
		}
		if !errors.Is(err, ErrTruncated) {
			t.Fatalf("first %d of %d bytes: %v, want ErrTruncated", n, len(b), err)
		}
	}
}

func TestDamaged(t *testing.T) {
	good := written(t, make([]byte, 5000))
	table := 4096
	third := table + 2*descriptorSize // the partition
	put := func(at int, v uint64) func([]byte) {
		return func(b []byte) {
			for i := range 8 {
				b[at+i] = byte(v >> (8 * i))
			}
		}
	}
	for _, tt := range []struct {
		name   string
		damage func([]byte)
		want   error
	}{
		{"magic", put(32, 0), ErrFormat},
		{"version", func(b []byte) { b[43] = '9' }, ErrFormat},
		{"too many descriptors", put(88, 1<<40), ErrFormat},
		{"negative descriptors", put(88, math.MaxUint64), ErrFormat},
		{"table before the header's end", put(96, 7), ErrFormat},
		{"table beyond the file", put(96, 1<<50), ErrTruncated},
		{"negative table", put(96, 1<<63), ErrFormat},
		{"partition beyond the file", put(third+17, 1<<40), ErrTruncated},
		{"partition larger than the file", put(third+25, math.MaxInt64), ErrTruncated},
		{"partition at a negative offset", put(third+17, 1<<63), ErrFormat},
		{"partition of negative size", put(third+25, 1<<63), ErrFormat},
		{"partition not in use", func(b []byte) { b[third+4] = 0 }, ErrNoPrimary},
		{"partition not primary", func(b []byte) { b[third+201+4] = 3 }, ErrNoPrimary},
	} {
		b := bytes.Clone(good)
		tt.damage(b)
		f, err := Read(bytes.NewReader(b), int64(len(b)))
		if err == nil {
			_, _, err = f.Primary()
		}
		if !errors.Is(err, tt.want) {
			t.Errorf("%s: %v, want %v", tt.name, err, tt.want)
		}
	}
}

func TestNames(t *testing.T) {
	for _, tt := range []struct{ got, want string }{
		{TypeDeffile.String(), "Def.FILE"},
		{TypeOCIBlob.String(), "OCI.Blob"},
		{DataType(7).String(), "type 0x7"},
		{FSEncryptedSquash.String(), "Encrypted squashfs"},
		{FSType(0).String(), "type 0"},
		{PartPrimary.String(), "*System"},
		{PartType(9).String(), "type 9"},
		{archName([]byte("02\x00")), "amd64"},
		{archName([]byte("99\x00")), ""},
		{archName([]byte("x2\x00")), ""},
	} {
		if tt.got != tt.want {
			t.Errorf("got %q, want %q", tt.got, tt.want)
		}
	}
}

func FuzzRead(f *testing.F) {
	b := written(f, make([]byte, 64))
	f.Add(b[:4096+3*descriptorSize+100])
	f.Add(b)
	f.Fuzz(func(t *testing.T, b []byte) {
		s, err := Read(bytes.NewReader(b), int64(len(b)))
		if err != nil {
			return
		}
		if d, _, err := s.Primary(); err == nil && (d.Offset < 0 || d.Offset+d.Size > int64(len(b))) {
			t.Errorf("Primary lies at %d+%d of %d bytes", d.Offset, d.Size, len(b))
		}
		for i := range s.Descriptors {
			if got, err := s.Bytes(&s.Descriptors[i], 1<<20); err == nil && len(got) > len(b) {
				t.Errorf("object %d has %d of %d bytes", i, len(got), len(b))
			}
		}
	})
}

func BenchmarkRead(b *testing.B) {
	data := written(b, make([]byte, 64))
	path := filepath.Join(b.TempDir(), "x.sif")
	if err := os.WriteFile(path, data, 0o600); err != nil {
		b.Fatal(err)
	}
	r, err := os.Open(path)
	if err != nil {
		b.Fatal(err)
	}
	defer r.Close()
	for b.Loop() {
		if _, err := Read(r, int64(len(data))); err != nil {
			b.Fatal(err)
		}
	}
}

func BenchmarkReference(b *testing.B) {
	path := filepath.Join(b.TempDir(), "x.sif")
	if err := os.WriteFile(path, written(b, make([]byte, 64)), 0o600); err != nil {
		b.Fatal(err)
	}
	for b.Loop() {
		f, err := theirs.LoadContainerFromPath(path, theirs.OptLoadWithFlag(os.O_RDONLY))
		if err != nil {
			b.Fatal(err)
		}
		f.UnloadContainer()
	}
}

// A signature links to one object, or to a group.
func TestSigned(t *testing.T) {
	for _, tt := range []struct {
		link uint32
		want bool
	}{{3, true}, {2, false}, {groupMask | 1, true}, {groupMask | 2, false}, {0, false}} {
		layer := Descriptor{Type: TypePartition, ID: 3, Group: 1}
		f := &File{Descriptors: []Descriptor{layer, {Type: TypeSignature, ID: 4, Link: tt.link}}}
		if got := f.Signed(layer); got != tt.want {
			t.Errorf("Signed with a signature that links to %#x = %v, want %v", tt.link, got, tt.want)
		}
	}
}
