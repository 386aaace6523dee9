package fuse

import (
	"testing"

	"golang.org/x/sys/unix"

	"coracle/squash"
)

// Listings come with the attributes of files until nobody has looked at a file for a while, and again as soon as somebody does;
// those of directories always come along.
func TestNamesOnly(t *testing.T) {
	w := testWorker(t, smallImage(t), devNull(t))
	dir := nodeNamed(t, w, "dir")

	// list lists a directory in pieces and counts the entries without attributes, files and directories.
	list := func(node uint64) (files, dirs int) {
		t.Helper()
		for off := uint64(0); ; {
			req := request(opReaddirplus, node, readArg(off, 4096))
			n, errno := w.dispatch(view[inHeader](req), req[inHeaderSize:])
			if errno != 0 {
				t.Fatal(errno)
			}
			if n == 0 {
				return files, dirs
			}
			for b := w.out[outHeaderSize : outHeaderSize+n]; len(b) > 0; {
				out, e := view[entryOut](b), view[dirent](b[entryOutSize:])
				name := string(b[entryOutSize+direntSize : entryOutSize+direntSize+e.NameLen])
				if bare := out.Node == 0; bare && e.Type == 4 && name[0] != '.' {
					dirs++
				} else if bare && e.Type != 4 {
					files++
					if e.Ino == 0 || out.Attr.Ino != 0 {
						t.Errorf("%s: inode %d, and %d among no attributes", name, e.Ino, out.Attr.Ino)
					}
				}
				off = e.Off
				b = b[(entryOutSize+direntSize+e.NameLen+7)&^7:]
			}
		}
	}
	expect := func(when string, node uint64, want int) {
		t.Helper()
		if files, dirs := list(node); files != want || dirs != 0 {
			t.Errorf("%s: %d files and %d directories without attributes, want %d and 0", when, files, dirs, want)
		}
	}
	again := func(times int) {
		t.Helper()
		for range times {
			expect("before", rootNode, 0)
		}
	}
	const inRoot, inDir = 2, 100 // files
	look := func(name string) {
		t.Helper()
		nodeNamed(t, w, name)
	}

	w.s.names.lists.Store(0)
	again(fewLists)
	expect("a trial", rootNode, inRoot)
	expect("the next one, of a big directory too", dir, inDir)
	look("dir") // which walks do for each
	expect("a directory was looked up", dir, inDir)
	look("file")
	again(4 * fewLists)
	expect("the next trial", rootNode, inRoot)
	for range 16 * fewLists {
		list(rootNode)
	}
	look("link") // the trial was worth it: no later than before
	again(4 * fewLists)
	expect("a trial as soon as before", rootNode, inRoot)

	// A big directory is no trial.
	w.s.names.lists.Store(w.s.names.enough.Load())
	w.dir.Size = smallList + 1
	if w.s.names.begin(rootNode, &w.dir) {
		t.Error("a big directory makes a trial")
	}
	for range 10 { // it goes on growing as far as manyLists
		w.s.names.lists.Store(w.s.names.enough.Load() + 1)
		w.s.names.wanted(rootNode)
	}
	if n := w.s.names.enough.Load(); n != manyLists {
		t.Errorf("trials after %d listings at last, want %d", n, manyLists)
	}
}

// Who looks files up in some directories that were listed without attributes has the kernel forget the others' listings.
func TestNamesForgotten(t *testing.T) {
	var n names
	small := squash.Inode{Size: 10}
	const dirs = 100
	for node := range uint64(dirs) {
		if !n.begin(node, &small) {
			t.Fatalf("listing %d comes with attributes", node)
		}
	}
	if n.wanted(dirs) != nil {
		t.Error("a file in a directory that was not listed makes listings useless")
	}
	for node := range uint64(fewFound) {
		want := 0
		if node == fewFound-1 {
			want = dirs - fewFound
		}
		if useless := n.wanted(node); len(useless) != want {
			t.Errorf("after files in %d directories %d listings are useless, want %d", node+1, len(useless), want)
		}
		if n.wanted(node) != nil {
			t.Errorf("the second file in directory %d makes listings useless", node)
		}
	}
	if n.wanted(dirs-1) != nil {
		t.Error("listings are useless twice")
	}

	var pipe [2]int
	must(t, unix.Pipe2(pipe[:], unix.O_CLOEXEC))
	defer unix.Close(pipe[0])
	defer unix.Close(pipe[1])
	conn{pipe[1]}.forget(map[uint64]struct{}{7: {}})
	buf := make([]byte, 100)
	got, err := unix.Read(pipe[0], buf)
	must(t, err)
	want := make([]byte, 40) // length, code, unique; node, offset, length
	want[0], want[4], want[16] = 40, 2, 7
	if string(buf[:got]) != string(want) {
		t.Errorf("the kernel is told %v, want %v", buf[:got], want)
	}
}
