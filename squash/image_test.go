package squash

import (
	"archive/tar"
	"bytes"
	"crypto/sha256"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"testing"
	"testing/fstest"
	"time"
)

// Images of the same tree by every compressor and layout equal their source.
func TestImages(t *testing.T) {
	dir := sourceTree(t)
	want := listSource(t, dir)
	for _, args := range []string{
		"-comp gzip",
		"-comp gzip -b 4K -no-exports",
		"-comp gzip -b 1M -always-use-fragments -Xcompression-level 1",
		"-comp gzip -no-fragments -Xwindow-size 9 -Xstrategy fixed,huffman_only,run_length_encoded",
		"-comp gzip -noI -noId -noD -noF -noX",
		"-comp gzip -no-duplicates -no-sparse",
		"-comp xz -b 256K",
		"-comp xz -b 32K -Xdict-size 50% -Xbcj x86,arm",
		"-comp lzma -b 64K",
		"-comp lzo",
		"-comp lzo -b 4K -Xalgorithm lzo1x_1",
		"-comp lz4",
		"-comp lz4 -Xhc -b 1M -always-use-fragments",
		"-comp zstd -Xcompression-level 3",
		"-comp zstd -b 1M -no-fragments -Xcompression-level 1",
		"-comp zstd -b 4K -Xcompression-level 19",
	} {
		t.Run(args, func(t *testing.T) {
			img := makeImage(t, dir, strings.Fields(args)...)
			diff(t, listImage(t, openImage(t, img)), want)
		})
	}
}

// oddArchive returns a tar archive of what an ordinary user cannot make on
// disk, and what a listing of its image says.
func oddArchive(t testing.TB) ([]byte, map[string]entry) {
	t.Helper()
	var b bytes.Buffer
	w := tar.NewWriter(&b)
	list := map[string]entry{}
	now := time.Unix(1_700_000_000, 0)
	add := func(h tar.Header, mode fs.FileMode, contents string) {
		h.Size, h.ModTime, h.Format = int64(len(contents)), now, tar.FormatPAX
		h.Mode = int64(mode.Perm())
		check(t, w.WriteHeader(&h))
		_, err := w.Write([]byte(contents))
		check(t, err)
		e := entry{Mode: mode, UID: uint32(h.Uid), GID: uint32(h.Gid), MTime: uint32(now.Unix()), Size: h.Size, Links: 1,
			Rdev: uint32(h.Devminor&0xff | h.Devmajor<<8 | h.Devminor&^0xff<<12), Text: h.Linkname}
		if mode.IsRegular() {
			e.Sum = sha256.Sum256([]byte(contents))
		}
		if mode.Type() == fs.ModeSymlink {
			e.Size = int64(len(h.Linkname))
		}
		if mode.IsDir() {
			e.Links = 0
		}
		var xattrs []string
		for k, v := range h.PAXRecords {
			if name, ok := strings.CutPrefix(k, "SCHILY.xattr."); ok {
				xattrs = append(xattrs, fmt.Sprintf("%s=%x", name, sha256.Sum256([]byte(v))))
			}
		}
		slices.Sort(xattrs)
		e.Xattrs = strings.Join(xattrs, " ")
		list[strings.TrimSuffix(h.Name, "/")] = e
	}
	xattr := func(kv ...string) map[string]string {
		m := map[string]string{}
		for i := 0; i < len(kv); i += 2 {
			m["SCHILY.xattr."+kv[i]] = kv[i+1]
		}
		return m
	}
	long := string(pattern(64 << 10))
	add(tar.Header{Typeflag: tar.TypeDir, Name: "dev/", PAXRecords: xattr("user.on", "a directory")}, fs.ModeDir|0o755, "")
	add(tar.Header{Typeflag: tar.TypeChar, Name: "dev/null", Devmajor: 1, Devminor: 3}, fs.ModeDevice|fs.ModeCharDevice|0o666, "")
	add(tar.Header{Typeflag: tar.TypeChar, Name: "dev/far", Devmajor: 4095, Devminor: 0xfffff, Uid: 4_000_000_000, Gid: 65534,
		PAXRecords: xattr("user.on", "a device")}, fs.ModeDevice|fs.ModeCharDevice|0o600, "")
	add(tar.Header{Typeflag: tar.TypeBlock, Name: "dev/disk", Devmajor: 8, Devminor: 257}, fs.ModeDevice|0o660, "")
	add(tar.Header{Typeflag: tar.TypeFifo, Name: "dev/fifo", PAXRecords: xattr("trusted.on", "a fifo")}, fs.ModeNamedPipe|0o644, "")
	add(tar.Header{Typeflag: tar.TypeSymlink, Name: "dev/link", Linkname: "null", PAXRecords: xattr("security.on", "a link")},
		fs.ModeSymlink|0o777, "")
	add(tar.Header{Typeflag: tar.TypeDir, Name: "x/"}, fs.ModeDir|0o755, "")
	add(tar.Header{Typeflag: tar.TypeReg, Name: "x/long",
		PAXRecords: xattr("user.long", long, "user.short", "", "trusted.x", "y")}, 0o644, "z")
	for i := range 40 { // equal long values are stored once, out of line
		same := xattr(fmt.Sprint("user.", i), long, "user.all", "same value for everybody, of some length")
		add(tar.Header{Typeflag: tar.TypeReg, Name: fmt.Sprint("x/same", i), PAXRecords: same}, 0o644, "")
	}
	check(t, w.Close())
	return b.Bytes(), list
}

// Devices, owners, extended attributes.
func TestOddImages(t *testing.T) {
	archive, want := oddArchive(t)
	for _, args := range []string{"-comp gzip -exports", "-comp zstd -noX", "-comp gzip -noI", "-comp xz"} {
		t.Run(args, func(t *testing.T) {
			r := openImage(t, makeTarImage(t, archive, strings.Fields(args)...))
			if !r.HasXattrs() {
				t.Error("HasXattrs() = false")
			}
			got := listImage(t, r)
			delete(got, ".") // sqfstar makes it up
			diff(t, got, want)
		})
	}
}

// A directory of 20 000 entries can be read on from each of its cursors, and
// all its names can be found through its index.
func TestBigDirectory(t *testing.T) {
	src := t.TempDir()
	for i := range 20000 {
		check(t, os.WriteFile(filepath.Join(src, fmt.Sprintf("entry-%d-%s", i*7919%20000, strings.Repeat("w", i%150))), nil, 0o644))
	}
	r := openImage(t, makeImage(t, src, "-comp", "lz4"))
	dir, err := r.Inode(r.Root())
	check(t, err)
	var all []Dirent
	var cursors []Cursor
	check(t, r.ReadDir(&dir, 0, func(d Dirent, next Cursor) bool {
		all = append(all, d)
		cursors = append(cursors, next)
		return true
	}))
	if len(all) != 20000 || dir.index == 0 {
		t.Fatalf("%d entries, %d of the index", len(all), dir.index)
	}
	for i, at := range cursors {
		if at == 0 || at >= 1<<cursorBits {
			t.Fatalf("cursor %d is %#x", i, at)
		}
		var got []Dirent
		var next []Cursor
		check(t, r.ReadDir(&dir, at, func(d Dirent, c Cursor) bool {
			got = append(got, d)
			next = append(next, c)
			return len(got) < 3
		}))
		end := min(i+4, len(all))
		if !slices.Equal(got, all[i+1:end]) || !slices.Equal(next, cursors[i+1:end]) {
			t.Fatalf("ReadDir(%#x) = %v, %v; want %v, %v", at, got, next, all[i+1:end], cursors[i+1:end])
		}
		if d, err := r.Lookup(&dir, all[i].Name); d != all[i] || err != nil {
			t.Fatalf("Lookup(%q) = %v, %v; want %v", all[i].Name, d, err, all[i])
		}
	}
	for _, name := range []string{"", "a", "entry", "entry-1", "entry-19999-", "zzz"} {
		if _, err := r.Lookup(&dir, name); !errors.Is(err, fs.ErrNotExist) {
			t.Errorf("Lookup(%q): %v, want %v", name, err, fs.ErrNotExist)
		}
	}
}

func TestLookup(t *testing.T) {
	archive, _ := oddArchive(t)
	r := openImage(t, makeTarImage(t, archive))
	for _, tt := range []struct {
		path string
		typ  Type
		err  error
	}{
		{path: "", typ: Directory},
		{path: "/", typ: Directory},
		{path: "//dev/./null", typ: CharDevice},
		{path: "/dev/link", typ: Symlink},
		{path: "/dev/link/x", err: ErrNotDir},
		{path: "/dev/..", err: fs.ErrNotExist},
		{path: "/dev/" + strings.Repeat("e", 300), err: fs.ErrNotExist},
		{path: "/zzz", err: fs.ErrNotExist},
		{path: "/\x00", err: fs.ErrNotExist},
	} {
		ino, err := r.Walk(tt.path)
		if ino.Type != tt.typ || !errors.Is(err, tt.err) {
			t.Errorf("Walk(%q) = type %d, %v; want %d, %v", tt.path, ino.Type, err, tt.typ, tt.err)
		}
	}
}

// fs.FS, by the standard library's own examination, and its links.
func TestFS(t *testing.T) {
	var b bytes.Buffer
	w := tar.NewWriter(&b)
	for _, h := range []tar.Header{
		{Name: "a/b/file", Size: 5},
		{Name: "abs", Typeflag: tar.TypeSymlink, Linkname: "/a/b"},
		{Name: "a/up", Typeflag: tar.TypeSymlink, Linkname: "../abs/file"},
		{Name: "a/out", Typeflag: tar.TypeSymlink, Linkname: "../../../../a/b/file"},
	} {
		h.Mode = 0o644
		check(t, w.WriteHeader(&h))
		if h.Size > 0 {
			_, err := w.Write([]byte("hello"))
			check(t, err)
		}
	}
	check(t, w.Close())
	fsys := openImage(t, makeTarImage(t, b.Bytes())).FS()
	check(t, fstest.TestFS(fsys, "a/b/file"))
	for _, name := range []string{"a/b/file", "abs/file", "a/up", "a/out"} {
		if got, err := fs.ReadFile(fsys, name); string(got) != "hello" || err != nil {
			t.Errorf("ReadFile(%s) = %q, %v; want %q", name, got, err, "hello")
		}
	}
	if got, err := fs.ReadLink(fsys, "a/up"); got != "../abs/file" || err != nil {
		t.Errorf("ReadLink(a/up) = %q, %v", got, err)
	}
}

// Many goroutines share a reader and a cache that is too small.
func TestConcurrent(t *testing.T) {
	dir := sourceTree(t)
	img := makeImage(t, dir, "-comp", "zstd", "-Xcompression-level", "1")
	r, err := Open(bytes.NewReader(img), int64(len(img)), &Options{MetaCache: 1})
	check(t, err)
	want := listImage(t, r)
	var wg sync.WaitGroup
	for range 4 {
		wg.Go(func() { diff(t, listImage(t, r), want) })
	}
	wg.Wait()
}
