package bind_test

import (
	"path"
	"strings"
	"testing"

	"coracle/bind"
	"coracle/bind/bindtest"
)

// FuzzArrange plans mounts in hostile images. A line of the input is an entry of the image
// ("/a/b -> ../c", "/a/f file", "/a/d dir") or a mount ("bind /data /target", "tmpfs /target").
func FuzzArrange(f *testing.F) {
	f.Add("/a -> /b/../a/c\n/b dir\nbind /data /a/x\nbind /data/file /b/y")
	f.Add("/etc -> ..\n/x -> /etc/x/./y\ntmpfs /etc/tmp\nbind /data/set /tmp/q/../z\nuser /job /tmp")
	f.Add("/l -> l/l/l/l\n/m -> //../m2\n/m2 file\nuser /data/file /m\nuser /data /m/n\nunless /data/set /l/x")
	f.Add("/p/q -> ../../../../../r//s/\nuser /data /p/q/set/t\nuser /job /p\nunless /data/link/job /data/link/job\nlink .. /p/z")
	f.Fuzz(func(t *testing.T, in string) {
		if len(in) > 2000 {
			return
		}
		im := map[string]string{}
		var mounts []bind.Mount
		for _, line := range strings.Split(in, "\n") {
			w := strings.SplitN(line, " ", 3)
			switch p := path.Clean("/" + w[0]); {
			case len(w) == 3 && w[1] == "->":
				im[p] = "-> " + w[2]
			case len(w) == 2 && w[1] == "file":
				im[p] = "file:"
			case len(w) == 2 && w[1] == "dir":
				im[p] = "dir"
			case len(w) == 3 && w[0] == "bind":
				mounts = append(mounts, optional(b(w[1], w[2])))
			case len(w) == 3 && w[0] == "user":
				m := user(w[1], w[2])
				m.Optional = true // go on
				mounts = append(mounts, m)
			case len(w) == 3 && w[0] == "unless":
				mounts = append(mounts, unless(b(w[1], w[2])))
			case len(w) == 3 && w[0] == "link":
				mounts = append(mounts, optional(op(bind.Link, w[1], w[2])))
			case len(w) == 2 && w[0] == "tmpfs":
				mounts = append(mounts, optional(op(bind.Tmpfs, "", w[1])))
			}
		}
		delete(im, "/")
		for p := range im { // a file or link with something below it is no tree
			for d := path.Dir(p); d != "/"; d = path.Dir(d) {
				if v, ok := im[d]; ok && v != "dir" {
					return
				}
			}
		}
		tree := bindtest.New(im)
		l, err := bind.Arrange(bind.Trees{Image: tree, Host: bindtest.New(host)}, mounts)
		if err != nil {
			t.Fatalf("Arrange of optional mounts: %v", err)
		}
		checkLayout(t, tree, l)
	})
}

// checkLayout carries out a layout on a model that knows no symlinks, as the executor does.
func checkLayout(t *testing.T, image bind.Tree, l bind.Layout) {
	dirs := map[string]bool{} // made, or parents in the image
	for _, p := range l.Parents {
		if e, err := image.Lstat(p.Path); err != nil || e.Kind != bind.Directory || e.Perm != p.Perm {
			t.Errorf("parent %+v: the image has %+v, %v", p, e, err)
		}
		dirs[p.Path] = true
	}
	last := ""
	for _, p := range l.Points {
		if p.Path <= last || !dirs[path.Dir(p.Path)] {
			t.Errorf("point %s behind %s, its parent known: %v", p.Path, last, dirs[path.Dir(p.Path)])
		}
		if _, err := image.Lstat(p.Path); err == nil {
			t.Errorf("point %s: the image has it", p.Path)
		}
		last = p.Path
		dirs[p.Path] = p.Kind == bind.Directory
	}
	tmpfs := map[string]bool{}
	for _, o := range l.Ops {
		if path.Clean(o.Target) != o.Target || o.Target == "/" {
			t.Errorf("%s on %q", o.Type, o.Target)
		}
		switch o.Type {
		case bind.Mkdir, bind.Mkfile, bind.Link:
			if !tmpfs[path.Dir(o.Target)] {
				t.Errorf("%s %s: not in a tmpfs", o.Type, o.Target)
			}
			tmpfs[o.Target] = o.Type == bind.Mkdir
		default:
			for p := range tmpfs { // hidden
				if p == o.Target || strings.HasPrefix(p, o.Target+"/") {
					delete(tmpfs, p)
				}
			}
			tmpfs[o.Target] = o.Type == bind.Tmpfs
		}
	}
}
