package sif

import (
	"bytes"
	"io"
	"os"
	"path/filepath"
	"testing"
	"time"

	theirs "github.com/sylabs/sif/v2/pkg/sif"
)

// The reference library reads what we write, and its own writer lays out the same bytes.
func TestReferenceReadsWhatWeWrite(t *testing.T) {
	part := bytes.Repeat([]byte("hsqs"), 1000)
	path := filepath.Join(t.TempDir(), "x.sif")
	f, err := os.Create(path)
	if err != nil {
		t.Fatal(err)
	}
	w := NewWriter(f, &WriterOptions{Time: time.Time{}.Unix()})
	if err := w.Add(TypeDeffile, "", []byte("bootstrap: docker\n")); err != nil {
		t.Fatal(err)
	}
	if err := w.Add(TypeGenericJSON, "inspect-metadata.json", []byte(`{"a":"b"}`)); err != nil {
		t.Fatal(err)
	}
	if _, err := f.WriteAt(part, w.Partition()); err != nil {
		t.Fatal(err)
	}
	size, err := w.Finish("root.squashfs", "arm64", int64(len(part)))
	if err != nil {
		t.Fatal(err)
	}
	f.Close()
	got, _ := os.ReadFile(path)
	if int64(len(got)) != size {
		t.Errorf("the file has %d bytes, Finish says %d", len(got), size)
	}

	img, err := theirs.LoadContainerFromPath(path, theirs.OptLoadWithFlag(os.O_RDONLY))
	if err != nil {
		t.Fatal(err)
	}
	defer img.UnloadContainer()
	d, err := img.GetDescriptor(theirs.WithPartitionType(theirs.PartPrimSys))
	if err != nil {
		t.Fatal(err)
	}
	_, _, arch, err := d.PartitionMetadata()
	if err != nil || arch != "arm64" || img.PrimaryArch() != "arm64" {
		t.Errorf("architecture %q, %q, %v; want arm64", arch, img.PrimaryArch(), err)
	}
	if b, err := d.GetData(); err != nil || !bytes.Equal(b, part) {
		t.Errorf("the partition has %d bytes, %v; want %d", len(b), err, len(part))
	}
	if want := written(t, part); !bytes.Equal(noTimes(got), noTimes(want)) {
		t.Errorf("the bytes differ from the reference writer's")
	}
}

// noTimes blanks the times and users that the reference writer puts into descriptors.
func noTimes(b []byte) []byte {
	b = bytes.Clone(b)
	clear(b[64:80])
	for d := b[tableOffset : tableOffset+3*descriptorSize]; len(d) > 0; d = d[descriptorSize:] {
		clear(d[41:73])
	}
	return b
}

func TestWriterFull(t *testing.T) {
	w := NewWriter(discard{}, nil)
	for i := range tableCapacity {
		if err := w.Add(TypeGeneric, "x", nil); err != nil {
			t.Fatalf("object %d: %v", i+1, err)
		}
	}
	if err := w.Add(TypeGeneric, "x", nil); err != ErrFull {
		t.Errorf("object %d: %v, want ErrFull", tableCapacity+1, err)
	}
	if _, err := w.Finish("x", "amd64", 0); err != ErrFull {
		t.Errorf("Finish: %v, want ErrFull", err)
	}
}

type discard struct{}

func (discard) WriteAt(p []byte, _ int64) (int, error) { return len(p), nil }

var _ io.WriterAt = discard{}
