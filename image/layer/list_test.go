package layer

import (
	"errors"
	"fmt"
	"reflect"
	"runtime"
	"slices"
	"testing"

	"coracle/squash"
)

// sameList checks that a list gives back the entries that it was given.
func sameList(t *testing.T, entries []*Entry) {
	t.Helper()
	var l List
	for _, e := range entries {
		l.Append(e)
	}
	parsed, err := ParseList(l.Bytes())
	if err != nil {
		t.Fatalf("ParseList: %v", err)
	}
	for _, l := range []*List{&l, parsed} {
		var got []*Entry
		for e := range l.All(7) {
			c := *e
			got = append(got, &c)
		}
		if len(got) != len(entries) || l.Len() != len(entries) {
			t.Fatalf("%d entries, Len() = %d, want %d", len(got), l.Len(), len(entries))
		}
		for i, e := range entries {
			want := *e
			want.Layer, want.Seq = 7, int32(i)
			if !reflect.DeepEqual(got[i], &want) {
				t.Errorf("entry %d: %+v, want %+v", i, got[i], &want)
			}
		}
	}
}

// someEntries has every kind of entry.
func someEntries() []*Entry {
	return []*Entry{
		{Type: squash.Directory, Perm: 0o755, MTime: -5},
		{Name: "dev/a", Type: squash.CharDevice, Perm: 0o4755, Rdev: 1<<32 - 1, UID: 1<<32 - 1},
		{Name: "dev/ab", Type: squash.BlockDevice, Perm: 0o4755, GID: 70000, MTime: 1 << 40},
		{Name: "dev/ab", Type: squash.Fifo, MTime: 1 << 40},
		{Name: "d", Type: squash.Symlink, Link: "../x", MTime: 1 << 40},
		{Name: "e", Type: squash.Regular, Kind: HardLink, Link: "d"},
		{Name: "big", Type: squash.Regular, Size: 1 << 60, Xattrs: []Xattr{{"user.a", ""}, {"user.b", "\x00\xff"}}},
		{Name: "e/.wh.f", Type: squash.Regular},
	}
}

func TestList(t *testing.T) {
	sameList(t, nil)
	sameList(t, someEntries())
	var many []*Entry // more than a chunk
	for i := range 50_000 {
		many = append(many, &Entry{Name: fmt.Sprintf("d%d/f%d", i/100, i), Type: squash.Regular, Size: int64(i), UID: uint32(i / 3000)})
	}
	sameList(t, many)
}

func TestParseListCorrupt(t *testing.T) {
	var l List
	for _, e := range someEntries() {
		l.Append(e)
	}
	b := l.Bytes()
	whole := 0
	for n := range b { // the ends of records are ends of lists
		if _, err := ParseList(b[:n]); err == nil {
			whole++
		} else if !errors.Is(err, ErrList) {
			t.Errorf("the first %d bytes: %v, want ErrList", n, err)
		}
	}
	if whole != len(someEntries()) {
		t.Errorf("%d of %d beginnings are lists, want %d", whole, len(b), len(someEntries()))
	}
	for _, e := range []Entry{
		{Name: "../a", Type: squash.Regular}, {Name: "/a", Type: squash.Regular}, {Name: "a", Type: 0},
		{Name: "a", Type: squash.Symlink}, {Name: "a", Type: squash.Regular, Kind: HardLink, Link: ".."},
	} {
		var l List
		l.Append(&e)
		if _, err := ParseList(l.Bytes()); !errors.Is(err, ErrList) {
			t.Errorf("%+v: %v, want ErrList", e, err)
		}
	}
}

func FuzzList(f *testing.F) {
	var l List
	for _, e := range someEntries() {
		l.Append(e)
	}
	f.Add(l.Bytes())
	f.Fuzz(func(t *testing.T, b []byte) {
		l, err := ParseList(b)
		if err != nil {
			return
		}
		n := 0
		for e := range l.All(0) {
			if clean, err := Clean(e.Name); err != nil || clean != e.Name {
				t.Errorf("name %q", e.Name)
			}
			n++
		}
		if n != l.Len() {
			t.Errorf("%d entries, Len() = %d", n, l.Len())
		}
	})
}

// Memory is bounded by the number of entries, and small for each.
func TestMemory(t *testing.T) {
	const n = 100_000
	var before, listed, merged runtime.MemStats
	runtime.GC()
	runtime.ReadMemStats(&before)
	l := &List{}
	for i := range n {
		l.Append(&Entry{Name: fmt.Sprintf("files/dir-%04d/file-%07d.txt", i/1000, i), Type: squash.Regular, Perm: 0o644, MTime: 1e9})
	}
	runtime.GC()
	runtime.ReadMemStats(&listed)
	m := NewMerger()
	if err := m.Apply(l.All(0)); err != nil {
		t.Fatal(err)
	}
	names := m.Tree().Names(0, nil)
	runtime.GC()
	runtime.ReadMemStats(&merged)
	list, tree := int64(listed.HeapAlloc-before.HeapAlloc)/n, int64(merged.HeapAlloc-listed.HeapAlloc)/n
	if list > 16 || tree > 96 {
		t.Errorf("an entry takes %d bytes in a list (at most 16), and %d in a tree (at most 96)", list, tree)
	}
	runtime.KeepAlive(l)
	if len(names) != 1 || !m.Tree().Occupied("files/dir-0099/file-0099999.txt") {
		t.Errorf("the tree has %v", names)
	}
	if !slices.ContainsFunc(names, func(n squash.Name) bool { return n.Text == "files" }) {
		t.Errorf("the tree has %v", names)
	}
}
