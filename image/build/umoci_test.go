package build

import (
	"archive/tar"
	"fmt"
	"io/fs"
	"math/rand/v2"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"coracle/image"
	"coracle/image/oci"
	"coracle/squash"

	"golang.org/x/sys/unix"
)

// capability is a file capability as the kernel has it: cap_net_raw, permitted and effective.
const capability = "\x01\x00\x00\x02\x00\x20\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00"

// attributes gives a member owner, mode, time and extended attributes.
func attributes(r *rand.Rand, m *member) {
	uid, gid, at := []int{0, 33, 70000}[r.IntN(3)], []int{0, 42, 4e9}[r.IntN(3)], time.Unix(1e9+int64(r.IntN(1e6)), 0)
	mode := []int64{0o644, 0o600, 0o755, 0o4755, 0o2711, 0o1777, 0}[r.IntN(7)]
	m.set = func(h *tar.Header) {
		h.Uid, h.Gid, h.ModTime, h.Mode = uid, gid, at, mode
		if h.Typeflag == tar.TypeChar || h.Typeflag == tar.TypeBlock {
			h.Devmajor, h.Devminor = 1+at.Unix()%300, at.Unix()%1000
		}
	}
	if m.typ == tar.TypeSymlink || m.typ == tar.TypeLink || r.IntN(3) > 0 {
		return
	}
	m.xattr = map[string]string{"security.capability": capability}
	if m.typ == 0 {
		m.xattr["user.note"], m.xattr["trusted.x"] = "a\x00b", "y"
	}
}

// randomLayers makes layers of few names, so that they meet: files of all types, links of
// both kinds, whiteouts and opaque directories.
func randomLayers(t *testing.T, r *rand.Rand) [][]byte {
	names := []string{"a", "b", "c", "a/b", "a/c", "b/a", "b/c", "c/a", "a/b/c", "b/a/c", "c/a/b", "l", "l/a", "l/a/b", "a/l"}
	links := []string{"a", "/b", "c", "../b", "a/b", "b/a", "."}
	var layers [][]byte
	for n := range 1 + r.IntN(3) {
		var members []member
		for i := range 1 + r.IntN(6) {
			m := member{name: names[r.IntN(len(names))]}
			dir, base := filepath.Split(m.name)
			switch r.IntN(13) {
			default:
				m.body = fmt.Sprint(n, ".", i)
			case 4, 5, 6:
				m.name += "/"
			case 7:
				m.typ, m.link = tar.TypeSymlink, links[r.IntN(len(links))]
			case 8:
				m.typ, m.link = tar.TypeLink, names[r.IntN(len(names))]
			case 9, 10:
				m.name = dir + ".wh." + base
			case 11:
				m.name += "/.wh..wh..opq"
			case 12:
				m.typ = []byte{tar.TypeChar, tar.TypeBlock, tar.TypeFifo}[r.IntN(3)]
			}
			if !strings.Contains(m.name, ".wh.") {
				attributes(r, &m)
			}
			members = append(members, m)
		}
		layers = append(layers, tarball(t, members...))
	}
	return layers
}

// A fact is what a tree says about a name, beside its type and contents.
type fact struct {
	inode        uint64
	perm         uint32 // with setuid, setgid and sticky bits
	uid, gid     uint32
	mtime        int64
	major, minor uint32
	link         string
	xattrs       []string
}

// listTree lists what is below root as text, without the files that we generate. Names of one file are named after the first.
// Directories' times are left out: those that no layer has a header for have the time at which umoci made them.
func listTree(t *testing.T, fsys fs.FS, skip []string, look func(string) fact) string {
	var lines []string
	first := map[uint64]string{}
	fs.WalkDir(fsys, ".", func(path string, d fs.DirEntry, err error) error {
		if err != nil {
			t.Fatal(err)
		}
		if slices.Contains(skip, path) {
			if d.IsDir() {
				return fs.SkipDir
			}
			return nil
		}
		f := look(path)
		text := f.link
		switch {
		case path == ".":
			return nil
		case d.IsDir():
			f.mtime = 0
		case d.Type().IsRegular():
			b, _ := fs.ReadFile(fsys, path)
			text = string(b)
		}
		name := path
		if !d.IsDir() {
			if first[f.inode] == "" {
				first[f.inode] = path
			}
			name = first[f.inode]
		}
		lines = append(lines, fmt.Sprintf("%s = %s %v %q %o %d:%d @%d dev %d,%d %q", path, name, d.Type(), text, f.perm, f.uid, f.gid, f.mtime, f.major, f.minor, f.xattrs))
		return nil
	})
	return strings.Join(lines, "\n")
}

// ours looks at a name in an image.
func ours(t *testing.T, img *image.Image) func(string) fact {
	return func(path string) fact {
		ino, err := img.Squash.Walk(path)
		if err != nil {
			t.Fatal(err)
		}
		f := fact{inode: uint64(ino.Number), perm: uint32(ino.Perm), uid: ino.UID, gid: ino.GID, mtime: int64(ino.MTime)}
		if ino.Type == squash.CharDevice || ino.Type == squash.BlockDevice {
			f.major, f.minor = unix.Major(uint64(ino.Rdev)), unix.Minor(uint64(ino.Rdev))
		}
		if ino.Type == squash.Symlink {
			f.link, _ = img.Squash.Readlink(&ino)
		}
		err = img.Squash.Xattrs(&ino, func(name string, value []byte) bool {
			f.xattrs = append(f.xattrs, name+"="+string(value))
			return true
		})
		if err != nil {
			t.Fatal(err)
		}
		slices.Sort(f.xattrs)
		return f
	}
}

// unpacked looks at a name below a directory.
func unpacked(t *testing.T, root string) func(string) fact {
	return func(path string) fact {
		path = filepath.Join(root, path)
		var st unix.Stat_t
		if err := unix.Lstat(path, &st); err != nil {
			t.Fatal(err)
		}
		f := fact{inode: st.Ino, perm: st.Mode & 0o7777, uid: st.Uid, gid: st.Gid, mtime: st.Mtim.Sec}
		switch st.Mode & unix.S_IFMT {
		case unix.S_IFCHR, unix.S_IFBLK:
			f.major, f.minor = unix.Major(st.Rdev), unix.Minor(st.Rdev)
		case unix.S_IFLNK:
			f.link, _ = os.Readlink(path)
		}
		names := make([]byte, 4096)
		n, err := unix.Llistxattr(path, names)
		if err != nil {
			t.Fatal(err)
		}
		for name := range strings.SplitSeq(strings.Trim(string(names[:n]), "\x00"), "\x00") {
			value := make([]byte, 4096)
			if n, err := unix.Lgetxattr(path, name, value); err == nil && name != "" {
				f.xattrs = append(f.xattrs, name+"="+string(value[:n]))
			}
		}
		slices.Sort(f.xattrs)
		return f
	}
}

// What umoci unpacks is what we put into the image: owners, modes, times, extended attributes, devices and links. Only root can unpack those.
func TestLikeUmoci(t *testing.T) {
	if _, err := exec.LookPath("umoci"); err != nil || os.Getuid() != 0 {
		t.Skip("needs umoci and root")
	}
	skip := []string{dirMeta}
	for _, f := range links() {
		skip = append(skip, f.path)
	}
	for _, e := range mountPoints() {
		skip = append(skip, e.Name)
	}
	r := rand.New(rand.NewPCG(5, 6))
	same, rounds := 0, 300
	if testing.Short() {
		rounds = 60
	}
	for i := range rounds {
		ref := layout(t, oci.RunConfig{}, randomLayers(t, r)...)
		path, _, err := convert(t, ref, nil)
		tagged(t, strings.TrimPrefix(ref, "oci:"))
		bundle := filepath.Join(t.TempDir(), "bundle")
		out, uerr := exec.Command("umoci", "unpack", "--image", strings.TrimPrefix(ref, "oci:")+":t", bundle).CombinedOutput()
		if (err != nil) != (uerr != nil) {
			t.Errorf("image %d: we say %v, umoci %v\n%s", i, err, uerr, out)
			continue
		}
		if err != nil {
			continue
		}
		same++
		img := read(t, path)
		rootfs := filepath.Join(bundle, "rootfs")
		got := listTree(t, img.Squash.FS(), skip, ours(t, img))
		want := listTree(t, os.DirFS(rootfs), skip, unpacked(t, rootfs))
		if got != want {
			t.Errorf("image %d:\n%s\numoci unpacks\n%s", i, got, want)
		}
	}
	t.Logf("%d images compared", same)
	if same < rounds/5 {
		t.Errorf("only %d images of %d can be unpacked", same, rounds)
	}
}

// tagged gives the image of a layout the tag "t".
func tagged(t *testing.T, dir string) {
	t.Helper()
	path := filepath.Join(dir, "index.json")
	b, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	s := strings.Replace(string(b), `"size":`, `"annotations":{"org.opencontainers.image.ref.name":"t"},"size":`, 1)
	if err := os.WriteFile(path, []byte(s), 0o644); err != nil {
		t.Fatal(err)
	}
}
