package build

import (
	"archive/tar"
	"bytes"
	"errors"
	"io"
	"math/rand/v2"
	"os"
	"slices"
	"sync"
	"testing"

	"coracle/image/layer"
	"coracle/image/oci"
	"coracle/squash"
)

// A memory keeps layers for a test.
type memory struct {
	kept    map[string]Kept
	files   map[string]*os.File
	program string
}

var errForgotten = errors.New("nothing is known")

func (m *memory) Program() string { return m.program }

func (m *memory) Find(key string) (Kept, io.ReaderAt, io.Closer, error) {
	k, ok := m.kept[key]
	if !ok {
		return Kept{}, nil, nil, errForgotten
	}
	return k, m.files[key], io.NopCloser(nil), nil
}

// note keeps the layers of the image at path.
func (m *memory) note(t *testing.T, path string, list []Kept) {
	t.Helper()
	f, err := os.Open(path)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { f.Close() })
	for _, k := range list {
		m.kept[k.Key], m.files[k.Key] = k, f
	}
}

func newMemory() *memory {
	return &memory{map[string]Kept{}, map[string]*os.File{}, "test"}
}

// stuff returns n bytes of which half compresses.
func stuff(seed uint64, n int) string {
	r := rand.New(rand.NewPCG(seed, 0))
	b := make([]byte, 0, n+8)
	for len(b) < n {
		for bits, i := r.Uint64(), 0; i < 8; i++ {
			b = append(b, "0123456789abcdef"[bits>>(8*i)&15])
		}
	}
	return string(b[:n])
}

// someLayers are three layers, of which the older two are worth being kept.
func someLayers(t *testing.T, version string, more ...member) [][]byte {
	last := append([]member{{name: "app/version", body: version}, {name: ".wh.hidden"}}, more...)
	older.once.Do(func() { older.layers = olderLayers(t) })
	return append(slices.Clip(older.layers), tarball(t, last...))
}

// older are the older two, made once.
var older struct {
	once   sync.Once
	layers [][]byte
}

func olderLayers(t *testing.T) [][]byte {
	system := []member{{name: "d/"}, {name: "d/twice", body: stuff(1, 200_000)}, {name: "d/again", body: stuff(1, 200_000)},
		{name: "d/sparse", body: stuff(2, 10) + string(make([]byte, 400_000))}, {name: "hidden", body: stuff(3, 150_000)}}
	packages := []member{{name: "p/big", body: stuff(4, 700_000), xattr: map[string]string{"user.a": "b"}}, {name: "p/same", body: stuff(1, 200_000)}}
	for i := range 40 {
		system = append(system, member{name: "d/s" + string(rune('a'+i%26)) + string(rune('a'+i/26)), body: stuff(uint64(i), 1000+i*500)})
		packages = append(packages, member{name: "p/s" + string(rune('a'+i%26)) + string(rune('a'+i/26)), body: stuff(uint64(i), 2000+i*700)})
	}
	packages = append(packages, member{name: "p/link", typ: tar.TypeLink, link: "p/big"})
	return [][]byte{tarball(t, system...), tarball(t, packages...)}
}

// An image with layers that are known is the same as without that knowledge, and what is
// known is used.
func TestKept(t *testing.T) {
	for _, tt := range []struct {
		name   string
		more   []member // of the changed layer
		squash squash.WriterOptions
		spoil  func(m *memory)
		reused int
	}{
		{name: "changed", reused: 2},
		{name: "gzip", squash: squash.WriterOptions{Compression: squash.Compression{Compressor: squash.Gzip}}, reused: 2},
		{name: "no duplicates, small blocks, tails", squash: squash.WriterOptions{NoDuplicates: true, BlockSize: 4096, AlwaysFragments: true}, reused: 2},
		{name: "no fragments", squash: squash.WriterOptions{NoFragments: true, Workers: 2}, reused: 2},
		{name: "another name is hidden", more: []member{{name: "p/big", body: "small"}}, reused: 1},
		{name: "a whiteout hides more", more: []member{{name: ".wh.d"}}, reused: 1},
		{name: "another program", spoil: func(m *memory) { m.program = "other" }},
		{name: "changed bytes", spoil: func(m *memory) { m.each(func(k *Kept) { k.Offset++ }) }},
		{name: "a short file", spoil: func(m *memory) { m.each(func(k *Kept) { k.Offset += 1 << 20 }) }},
		{name: "another sum", spoil: func(m *memory) { m.each(func(k *Kept) { k.Sum[0]++ }) }},
		{name: "a corrupt index", spoil: func(m *memory) { m.each(func(k *Kept) { k.Index = k.Index[:len(k.Index)/2] }) }},
		{name: "a corrupt list", spoil: func(m *memory) { m.each(func(k *Kept) { k.List = k.List[:len(k.List)/2] }) }},
		{name: "another list", spoil: func(m *memory) { m.each(func(k *Kept) { k.List = nil }) }},
	} {
		t.Run(tt.name, func(t *testing.T) {
			m := newMemory()
			path, first, err := convert(t, layout(t, oci.RunConfig{}, someLayers(t, "1")...), &Options{Squash: tt.squash, Keeper: m})
			if err != nil || first.Reused != 0 || len(first.Kept) != 2 {
				t.Fatalf("%d layers reused, %d kept, want 0 and 2: %v", first.Reused, len(first.Kept), err)
			}
			m.note(t, path, first.Kept)
			if tt.spoil != nil {
				tt.spoil(m)
			}
			ref := layout(t, oci.RunConfig{}, someLayers(t, "2", tt.more...)...)
			fresh := whole(t, ref, &Options{Squash: tt.squash}, 0)
			again := whole(t, ref, &Options{Squash: tt.squash, Keeper: m}, tt.reused)
			if !bytes.Equal(fresh, again) {
				t.Errorf("the image differs from one made without knowledge")
			}
		})
	}
}

// whole converts and returns the file.
func whole(t *testing.T, ref string, o *Options, reused int) []byte {
	t.Helper()
	path, r, err := convert(t, ref, o)
	if err != nil {
		t.Fatal(err)
	}
	if r.Reused != reused {
		t.Errorf("%d layers reused, want %d", r.Reused, reused)
	}
	b, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	return b
}

// each changes all that is known.
func (m *memory) each(change func(*Kept)) {
	for key, k := range m.kept {
		change(&k)
		m.kept[key] = k
	}
}

// What is known of a copied layer serves for the next image, too.
func TestKeptTwice(t *testing.T) {
	m := newMemory()
	for i, version := range []string{"1", "2, which is longer", "3"} {
		ref := layout(t, oci.RunConfig{}, someLayers(t, version)...)
		path, r, err := convert(t, ref, &Options{Keeper: m})
		if want := min(2*i, 2); err != nil || r.Reused != want {
			t.Fatalf("image %d: %d layers reused, want %d: %v", i, r.Reused, want, err)
		}
		b, _ := os.ReadFile(path)
		if !bytes.Equal(b, whole(t, ref, nil, 0)) {
			t.Errorf("image %d differs", i)
		}
		clear(m.kept)
		m.note(t, path, r.Kept)
	}
}

// A file that a hard link alone keeps has its contents outside of its layer's section: the
// layer is not kept, but one that is known already is used.
func TestKeptHardLink(t *testing.T) {
	m := newMemory()
	link := []member{{name: "p/big", body: "small"}}
	ref := layout(t, oci.RunConfig{}, someLayers(t, "1", link...)...)
	_, r, err := convert(t, ref, &Options{Keeper: m})
	if err != nil || r.Reread != 1 || len(r.Kept) != 1 {
		t.Errorf("%d layers read twice, %d kept, want 1 and 1: %v", r.Reread, len(r.Kept), err)
	}
}

// --max-size counts what is not read.
func TestKeptMaxSize(t *testing.T) {
	m := newMemory()
	ref := layout(t, oci.RunConfig{}, someLayers(t, "1")...)
	path, r, err := convert(t, ref, &Options{Keeper: m})
	if err != nil {
		t.Fatal(err)
	}
	m.note(t, path, r.Kept)
	if _, r, err := convert(t, ref, &Options{Keeper: m, MaxSize: 1_000_000}); !errors.Is(err, layer.ErrTooLarge) {
		t.Errorf("an image of %d bytes with a limit of 1000000: %v, want ErrTooLarge; %d reused", r.Read, err, r.Reused)
	}
}
