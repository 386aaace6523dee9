package relay

import (
	"bytes"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"coracle/fusewire"

	"golang.org/x/sys/unix"
)

// begin makes a tree and a relay that serves nobody but the test.
func begin(t *testing.T, files ...string) (*relay, string) {
	t.Helper()
	dir := t.TempDir()
	for _, f := range append([]string{"upper/", "work/"}, files...) {
		path := filepath.Join(dir, f)
		var err error
		if strings.HasSuffix(f, "/") {
			err = os.MkdirAll(path, 0o755)
		} else if err = os.MkdirAll(filepath.Dir(path), 0o755); err == nil {
			err = os.WriteFile(path, []byte(f), 0o644)
		}
		if err != nil {
			t.Fatal(err)
		}
	}
	root, err := unix.Open(dir, unix.O_PATH|unix.O_DIRECTORY|unix.O_CLOEXEC, 0)
	if err != nil {
		t.Fatal(err)
	}
	r := &relay{fd: -1, sync: -1, handles: map[uint64]*handle{}, out: make([]byte, 2*maxXattr), log: func(s string) { t.Error(s) }}
	if err := r.nodes.begin(root); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		r.end()
		unix.Close(root)
		if _, err := os.Lstat(filepath.Join(dir, workName, hiddenName)); !os.IsNotExist(err) {
			t.Errorf("the hidden directory at the end: %v", err)
		}
	})
	return r, dir
}

// at returns the name at a path, which the kernel knows from then on.
func at(t *testing.T, r *relay, path string) link {
	t.Helper()
	l, err := r.walk(path)
	if err != nil {
		t.Fatal(err)
	}
	if n, _, err := r.nodes.look(l); err == nil {
		n.lookups++
	}
	return l
}

// want checks which files there are, with what they have come to hold; "-" is a whiteout.
func want(t *testing.T, dir string, files map[string]string) {
	t.Helper()
	for name, content := range files {
		var st unix.Stat_t
		err := unix.Lstat(filepath.Join(dir, name), &st)
		b, _ := os.ReadFile(filepath.Join(dir, name))
		switch {
		case content == "" && err != unix.ENOENT:
			t.Errorf("%s: %v, want none", name, err)
		case content == "-" && (err != nil || st.Mode&unix.S_IFMT != unix.S_IFCHR || st.Rdev != 0):
			t.Errorf("%s: %v, mode %o, want a whiteout", name, err, st.Mode)
		case content != "" && content != "-" && string(b) != content:
			t.Errorf("%s: %q (%v), want %q", name, b, err, content)
		}
	}
}

func TestRename(t *testing.T) {
	r, dir := begin(t, "upper/a", "upper/b", "upper/d/in", "upper/e/")
	do := func(what string, err, wanted error) {
		t.Helper()
		if err != wanted {
			t.Errorf("%s: %v, want %v", what, err, wanted)
		}
	}
	do("a to c", r.move(at(t, r, "upper/a"), at(t, r, "upper/c")), nil)
	want(t, dir, map[string]string{"upper/a": "", "upper/c": "upper/a"})
	do("leaving", r.moveLeaving(at(t, r, "upper/c"), at(t, r, "upper/b")), nil)
	want(t, dir, map[string]string{"upper/c": "-", "upper/b": "upper/a"})
	do("exchange", r.exchange(at(t, r, "upper/c"), at(t, r, "upper/d")), nil)
	want(t, dir, map[string]string{"upper/d": "-", "upper/c/in": "upper/d/in"})
	do("directory over directory", r.move(at(t, r, "upper/c"), at(t, r, "upper/e")), nil)
	want(t, dir, map[string]string{"upper/c": "", "upper/e/in": "upper/d/in"})
	do("a missing name", r.move(at(t, r, "upper/x"), at(t, r, "upper/y")), unix.ENOENT)
	do("exchange with nothing", r.exchange(at(t, r, "upper/e"), at(t, r, "upper/y")), unix.ENOENT)
	want(t, dir, map[string]string{"upper/e/in": "upper/d/in"})
	// Two names of one file stay.
	if err := os.Link(filepath.Join(dir, "upper/b"), filepath.Join(dir, "upper/b2")); err != nil {
		t.Fatal(err)
	}
	b, b2 := at(t, r, "upper/b"), at(t, r, "upper/b2")
	nb, nb2 := r.nodes.byName[b], r.nodes.byName[b2]
	do("of one file", r.move(b, b2), nil)
	want(t, dir, map[string]string{"upper/b": "upper/a", "upper/b2": "upper/a"})
	if nb.link != b2 || nb2.link != b || r.nodes.byName[b] != nb2 || r.nodes.byName[b2] != nb {
		t.Error("of one file: the kernel has moved the one over the other, and the nodes are as before")
	}
	want(t, dir, map[string]string{"work/.coracle/intent": "", "work/.coracle/swap": ""})
}

// What a relay that was killed has left is finished, or taken back.
func TestRecover(t *testing.T) {
	for _, tt := range []struct {
		name   string
		files  []string
		intent string
		want   map[string]string
	}{
		{"nothing", []string{"upper/a"}, "", map[string]string{"upper/a": "upper/a"}},
		{"before a whiteout's rename", []string{"upper/a"}, "whiteout//upper/a", map[string]string{"upper/a": "upper/a"}},
		{"after it", []string{"upper/b"}, "whiteout//upper/a", map[string]string{"upper/a": "-", "upper/b": "upper/b"}},
		{"before an exchange", []string{"upper/a", "work/b"}, "exchange//upper/a//work/b", map[string]string{"upper/a": "upper/a", "work/b": "work/b"}},
		{"one away", []string{"work/.coracle/swap", "work/b"}, "exchange//upper/a//work/b", map[string]string{"upper/a": "work/.coracle/swap", "work/b": "work/b"}},
		{"one moved", []string{"work/.coracle/swap", "upper/a"}, "exchange//upper/a//work/b", map[string]string{"upper/a": "upper/a", "work/b": "work/.coracle/swap"}},
		{"not ours", nil, "whiteout//upper/no/../../../etc", map[string]string{"upper/no": ""}},
		{"nonsense", nil, "x//", nil},
		{"open files", []string{"work/.coracle/open-7"}, "", map[string]string{"work/.coracle/open-7": ""}},
	} {
		t.Run(tt.name, func(t *testing.T) {
			r, dir := begin(t, tt.files...)
			if tt.intent != "" {
				if err := os.Symlink(tt.intent, filepath.Join(dir, "work/.coracle/intent")); err != nil {
					t.Fatal(err)
				}
			}
			if err := r.recover(); err != nil {
				t.Fatal(err)
			}
			want(t, dir, tt.want)
			want(t, dir, map[string]string{"work/.coracle/intent": "", "work/.coracle/swap": ""})
		})
	}
}

// A file that is open when it loses its name lives until it is closed, and has no name meanwhile.
func TestOpenUnlinked(t *testing.T) {
	r, dir := begin(t, "upper/a", "upper/b")
	for i, remove := range []func(l link) error{
		func(l link) error {
			_, err := r.unlink(l.dir, append([]byte(l.name), 0), false)
			return err
		},
		func(l link) error { return r.move(at(t, r, "upper/b"), l) },
	} {
		l := at(t, r, "upper/a")
		n := r.nodes.byName[l]
		if _, err := r.open(n, fusewire.BytesOf(&fusewire.OpenIn{Flags: unix.O_RDWR})); err != nil {
			t.Skipf("this file system has no direct reading: %v", err)
		}
		fh := r.last
		if err := remove(l); err != nil {
			t.Fatal(err)
		}
		st, err := r.stat(n)
		if err != nil || r.attr(n, &st).Nlink != 0 || st.Size == 0 {
			t.Errorf("%d: stat: %v, %d names, %d bytes", i, err, r.attr(n, &st).Nlink, st.Size)
		}
		if err := r.truncate(n, 3); err != nil {
			t.Errorf("%d: truncate: %v", i, err)
		}
		if _, err := r.release(fusewire.BytesOf(&fusewire.ReleaseIn{Fh: fh})); err != nil {
			t.Error(err)
		}
		if left, err := os.ReadDir(filepath.Join(dir, "work/.coracle")); err != nil || len(left) > 0 {
			t.Errorf("%d: left %v, %v", i, left, err)
		}
		if i == 0 {
			want(t, dir, map[string]string{"upper/a": ""})
			if err := os.WriteFile(filepath.Join(dir, "upper/a"), []byte("again"), 0o644); err != nil {
				t.Fatal(err)
			}
		}
	}
	want(t, dir, map[string]string{"upper/a": "upper/b", "upper/b": ""})
}

// linkTo has a node linked to the name l and returns the reply.
func linkTo(t *testing.T, r *relay, n *node, l link) fusewire.EntryOut {
	t.Helper()
	arg := append(slices.Clone(fusewire.BytesOf(&fusewire.LinkIn{Node: n.id})), l.name+"\x00"...)
	if _, err := r.link(l.dir, arg); err != nil {
		t.Fatal(err)
	}
	return *fusewire.View[fusewire.EntryOut](r.out[fusewire.OutHeaderSize:])
}

// The other name of a file is answered for with the same file, once: overlayfs would warn of another one.
func TestLink(t *testing.T) {
	r, dir := begin(t, "upper/a")
	a, b := at(t, r, "upper/a"), at(t, r, "upper/b")
	n := r.nodes.byName[a]
	if e := linkTo(t, r, n, b); e.Node != n.id || e.EntryValid != 0 || e.AttrValid != 0 || e.Attr.Nlink != 2 {
		t.Errorf("link: %+v, want node %d, valid for no time, with 2 links", e, n.id)
	}
	if e, _, err := r.nodes.look(b); err != nil || e == n {
		t.Errorf("look: %v, %v; want a node of its own", e, err)
	}
	want(t, dir, map[string]string{"upper/a": "upper/a", "upper/b": "upper/a"})
}

// A file that is made without a name has none until it is linked; without that it is gone when it is closed.
func TestTmpfile(t *testing.T) {
	r, dir := begin(t, "upper/d/")
	h := &fusewire.InHeader{UID: uint32(os.Getuid()), GID: uint32(os.Getgid())}
	for _, named := range []bool{true, false} {
		arg := append(slices.Clone(fusewire.BytesOf(&fusewire.CreateIn{Flags: unix.O_RDWR, Mode: unix.S_IFREG | 0o640})), "/\x00"...)
		if _, err := r.tmpfile(h, arg); err == unix.EINVAL {
			t.Skip("this file system has no direct writing")
		} else if err != nil {
			t.Fatal(err)
		}
		e, fh := *fusewire.View[fusewire.EntryOut](r.out[fusewire.OutHeaderSize:]), r.last
		n := r.nodes.byID[e.Node]
		if e.Attr.Nlink != 0 || e.Attr.Mode != unix.S_IFREG|0o640 {
			t.Errorf("made: mode %o, %d links, want %o, 0", e.Attr.Mode, e.Attr.Nlink, unix.S_IFREG|0o640)
		}
		if err := r.truncate(n, 3); err != nil {
			t.Error(err)
		}
		l := at(t, r, "upper/d/f")
		if named {
			if e := linkTo(t, r, n, l); e.Node != n.id || e.EntryValid != forever || e.Attr.Nlink != 1 || r.nodes.byName[l] != n {
				t.Errorf("link: %+v, want node %d, valid for ever, with 1 link", e, n.id)
			}
			want(t, dir, map[string]string{"upper/d/f": "\x00\x00\x00"})
			if _, err := r.unlink(l.dir, []byte("f\x00"), false); err != nil { // and without one again
				t.Error(err)
			}
		}
		if st, err := r.stat(n); err != nil || st.Size != 3 || r.attr(n, &st).Nlink != 0 {
			t.Errorf("open: %d bytes, %v", st.Size, err)
		}
		if _, err := r.release(fusewire.BytesOf(&fusewire.ReleaseIn{Fh: fh})); err != nil {
			t.Error(err)
		}
		if left, err := os.ReadDir(filepath.Join(dir, "work/.coracle")); err != nil || len(left) > 0 || len(r.nodes.extra) > 0 {
			t.Errorf("left %v, %v, %v", left, err, r.nodes.extra)
		}
	}
}

// What has changed is written to disk, and what that takes is removed at the end (begin looks).
func TestFlush(t *testing.T) {
	r, dir := begin(t, "upper/a")
	r.flushInTime() // nothing has changed
	want(t, dir, map[string]string{"work/.coracle/sync": ""})
	for range 2 {
		r.dirty = true
		r.flushInTime() // it was never written
		if r.dirty || r.flushed.IsZero() || r.sync < 0 {
			t.Errorf("dirty %v, flushed %v, descriptor %d", r.dirty, r.flushed, r.sync)
		}
		r.flushed = r.flushed.Add(-flushEvery)
	}
}

func TestTake(t *testing.T) {
	r, _ := begin(t)
	work, _, err := r.nodes.look(link{r.nodes.root, workName})
	if err != nil {
		t.Fatal(err)
	}
	for _, tt := range []struct {
		dir  *node
		arg  string
		name string
		err  error
	}{
		{work, "a\x00rest", "a", nil},
		{work, "a", "", unix.EINVAL},
		{work, "\x00", "", unix.EINVAL},
		{work, ".\x00", "", unix.EINVAL},
		{work, "..\x00", "", unix.EINVAL},
		{work, "a/b\x00", "", unix.EINVAL},
		{work, hiddenName + "\x00", "", unix.EACCES},
		{r.nodes.root, hiddenName + "\x00", hiddenName, nil}, // it is not there
	} {
		l, rest, err := r.take(tt.dir, []byte(tt.arg))
		if err != tt.err || err == nil && (l.name != tt.name || string(rest) != tt.arg[len(tt.name)+1:]) {
			t.Errorf("take(%q) = %q, %q, %v; want %q, %v", tt.arg, l.name, rest, err, tt.name, tt.err)
		}
	}
	h := &handle{node: work, fd: -1}
	r.opened(h)
	in := fusewire.ReadIn{Fh: r.last, Size: 4096}
	n, err := r.readdir(fusewire.OpReaddir, fusewire.BytesOf(&in))
	if err != nil || bytes.Contains(r.out[fusewire.OutHeaderSize:][:n], []byte(hiddenName)) || !slices.Equal(h.names, []string{".", ".."}) {
		t.Errorf("readdir: %v, names %q", err, h.names)
	}
}

func TestDeviceNumbers(t *testing.T) {
	for _, dev := range []uint64{0, unix.Mkdev(1, 3), unix.Mkdev(0xfff, 0xfffff), unix.Mkdev(8, 0x123)} {
		if got := decodeDev(encodeDev(dev)); got != dev {
			t.Errorf("decodeDev(encodeDev(%#x)) = %#x", dev, got)
		}
	}
}

// FuzzDispatch: requests that no kernel would send change nothing outside of the tree, and break nothing.
func FuzzDispatch(f *testing.F) {
	for op := range uint32(52) {
		f.Add(op, uint64(1), []byte("upper\x00x\x00"))
		f.Add(op, uint64(2), append(make([]byte, 40), "a\x00b\x00"...))
	}
	f.Fuzz(func(t *testing.T, op uint32, id uint64, arg []byte) {
		dir := t.TempDir()
		root, err := unix.Open(dir, unix.O_PATH|unix.O_DIRECTORY|unix.O_CLOEXEC, 0)
		if err != nil {
			t.Fatal(err)
		}
		defer unix.Close(root)
		r := &relay{fd: -1, sync: -1, handles: map[uint64]*handle{}, out: make([]byte, maxIO+4096), log: func(string) {}}
		if err := r.nodes.begin(root); err != nil {
			t.Fatal(err)
		}
		defer r.end()
		aligned := make([]byte, len(arg)+64)[:len(arg)]
		copy(aligned, arg)
		h := fusewire.InHeader{Opcode: op, Node: 1}
		r.dispatch(&h, []byte("work\x00"))
		h.Node = id
		n, err := r.dispatch(&h, aligned)
		if err == nil && (n < 0 || n > maxIO) {
			t.Errorf("operation %d: %d bytes, %v", op, n, err)
		}
	})
}
