package squash

import (
	"fmt"
	"os"
	"path/filepath"
	"runtime"
	"strings"
	"testing"
)

// manyFiles returns a tree with n empty files in directories of per.
func manyFiles(n, per int) *Node {
	root := &Node{Type: Directory, Perm: 0o755}
	for i := 0; i < n; i += per {
		d := &Node{Name: fmt.Sprintf("dir-%07d", i), Type: Directory, Perm: 0o755}
		for j := i; j < min(n, i+per); j++ {
			d.Children = append(d.Children, &Node{Name: fmt.Sprintf("file-%07d-%s", j, strings.Repeat("x", j%50)), Type: Regular, Perm: 0o644, UID: uint32(j % 7)})
		}
		root.Children = append(root.Children, d)
	}
	return root
}

// A directory of 100 000 entries has an index by which each is found with few
// decoded blocks, by the kernel, too.
func TestWriteBigDirectory(t *testing.T) {
	const n = 100_000
	img := imageFile(t, WriterOptions{}, func(*Writer) *Node { return manyFiles(n, n) })
	f, err := os.Open(img)
	check(t, err)
	defer f.Close()
	st, err := f.Stat()
	check(t, err)
	r, err := Open(f, st.Size(), nil)
	check(t, err)
	dir, err := r.Walk("dir-0000000")
	check(t, err)
	if want := n * 40 / MetaSize; int(dir.index) < want {
		t.Errorf("%d entries of the index, want %d", dir.index, want)
	}
	for j := 0; j < n; j += 997 {
		name := fmt.Sprintf("file-%07d-%s", j, strings.Repeat("x", j%50))
		d, err := r.Lookup(&dir, name)
		check(t, err)
		if ino, err := r.Inode(d.Ref); err != nil || ino.UID != uint32(j%7) {
			t.Errorf("%s: %+v, %v", name, ino, err)
		}
		if _, err := r.Lookup(&dir, name+"y"); err == nil {
			t.Errorf("%sy is there", name)
		}
	}
	needRoot(t, "a loop mount")
	mnt := mountLoop(t, img)
	list, err := os.ReadDir(filepath.Join(mnt, "dir-0000000"))
	if err != nil || len(list) != n {
		t.Fatalf("the kernel lists %d entries, %v", len(list), err)
	}
	for j := 0; j < n; j += 99 {
		if _, err := os.Lstat(filepath.Join(mnt, "dir-0000000", list[j].Name())); err != nil {
			t.Error(err)
		}
	}
}

// A million empty files: about 60 bytes of memory each, besides the tree.
func TestMillionFiles(t *testing.T) {
	if testing.Short() {
		t.Skip("takes two seconds")
	}
	const n = 1_000_000
	root := manyFiles(n, 1000)
	var before, after runtime.MemStats
	runtime.GC()
	runtime.ReadMemStats(&before)
	img := imageFile(t, WriterOptions{}, func(*Writer) *Node { return root })
	runtime.ReadMemStats(&after)
	if used := after.TotalAlloc - before.TotalAlloc; used > 100<<20 {
		t.Errorf("%d MiB were allocated for %d files", used>>20, n)
	}
	f, err := os.Open(img)
	check(t, err)
	defer f.Close()
	st, err := f.Stat()
	check(t, err)
	r, err := Open(f, st.Size(), nil)
	check(t, err)
	if got := r.Super().Inodes; got != n+n/1000+1 {
		t.Errorf("%d inodes", got)
	}
	if _, err := r.Walk("dir-0999000/file-0999999-" + strings.Repeat("x", 49)); err != nil {
		t.Error(err)
	}
}

// A path of 3 000 directories.
func TestDeepTree(t *testing.T) {
	const depth = 3000
	root := &Node{Type: Directory, Perm: 0o755}
	for at, i := root, 0; i < depth; i++ {
		next := &Node{Name: "d", Type: Directory, Perm: 0o755}
		at.Children = []*Node{next}
		at = next
	}
	r := openImage(t, write(t, WriterOptions{}, func(*Writer) *Node { return root }))
	ino, err := r.Walk(strings.Repeat("d/", depth))
	if err != nil || ino.Type != Directory || ino.Links != 2 {
		t.Errorf("the last directory: %+v, %v", ino, err)
	}
}
