package bind_test

import (
	"errors"
	"fmt"
	"io/fs"
	"strings"
	"testing"

	"coracle/bind"
	"coracle/bind/bindtest"
)

var image = map[string]string{
	"/bin":              "-> usr/bin",
	"/usr/bin/sh":       "file:",
	"/etc/hosts":        "file:",
	"/etc/passwd":       "file:root:x:0:0::/root:/bin/sh\n",
	"/etc/resolv.conf":  "-> ../run/systemd/resolve/stub-resolv.conf",
	"/run":              "dir",
	"/var/run":          "-> /run",
	"/home":             "dir",
	"/opt":              "dir 700",
	"/tmp":              "dir 1777",
	"/dev":              "dir",
	"/loop":             "-> loop2",
	"/loop2":            "-> loop",
	"/out":              "-> ../../../../etc/hosts",
	"/self":             "-> /",
	"/cluster":          "-> /gpfs/cluster",
	"/proc":             "dir",
	"/.singularity.d/x": "file:",
}

var host = map[string]string{
	"/data/set/a":         "dir",
	"/data/file":          "file:x",
	"/data/link":          "-> /scratch/ada",
	"/scratch/ada/job":    "dir",
	"/home/ada/work":      "-> /scratch/ada",
	"/etc/resolv.conf":    "-> /run/resolv.conf",
	"/run/resolv.conf":    "file:",
	"/dev/null":           "dev",
	"/secret":             "EACCES",
	"/broken":             "EIO",
	"/proc/self":          "-> 42",
	"/proc/42":            "dir",
	"/a:b/c d":            "dir",
	"/job/work":           "dir",
	"/with/image/etc/foo": "file:",
}

func b(src, dst string) bind.Mount {
	return bind.Mount{Op: bind.Op{Type: bind.Bind, Source: src, Target: dst}}
}

func user(src, dst string) bind.Mount {
	m := b(src, dst)
	m.User, m.Why = true, "--bind"
	return m
}

func optional(m bind.Mount) bind.Mount { m.Optional = true; return m }

func unless(m bind.Mount) bind.Mount { m.Unless, m.Optional = true, true; return m }

func op(t bind.Type, src, dst string) bind.Mount {
	return bind.Mount{Op: bind.Op{Type: t, Source: src, Target: dst}}
}

// show prints a layout one thing a line, in short.
func show(l bind.Layout) string {
	var s strings.Builder
	kind := map[bind.Kind]string{bind.Directory: "dir", bind.File: "file"}
	for _, p := range l.Make {
		fmt.Fprintf(&s, "make %s %s %o\n", kind[p.Kind], p.Path, p.Perm)
	}
	for _, p := range l.Parents {
		fmt.Fprintf(&s, "parent %s %o\n", p.Path, p.Perm)
	}
	for _, p := range l.Points {
		fmt.Fprintf(&s, "point %s %s\n", kind[p.Kind], p.Path)
	}
	for _, o := range l.Ops {
		fmt.Fprintf(&s, "%s %s %s\n", o.Type, o.Source, o.Target)
	}
	for _, w := range l.Warnings {
		fmt.Fprintf(&s, "warning: %s\n", w)
	}
	return s.String()
}

func TestArrange(t *testing.T) {
	for _, tt := range []struct {
		name   string
		mounts []bind.Mount
		want   string
	}{
		{"onto a directory", []bind.Mount{user("/data", "/opt")}, "bind /data /opt\n"},
		{"file onto a file", []bind.Mount{user("/data/file", "/etc/hosts")}, "bind /data/file /etc/hosts\n"},
		{"device onto a file", []bind.Mount{user("/dev/null", "/etc/hosts")}, "bind /dev/null /etc/hosts\n"},
		{"through a symlink of the image", []bind.Mount{user("/data", "/var/run")}, "bind /data /run\n"},
		{"a symlink that climbs stays inside", []bind.Mount{user("/data/file", "/out")}, "bind /data/file /etc/hosts\n"},
		{"missing, below a directory", []bind.Mount{user("/data", "/opt/x/y")},
			"parent / 755\nparent /opt 700\npoint dir /opt/x\npoint dir /opt/x/y\nbind /data /opt/x/y\n"},
		{"missing file", []bind.Mount{user("/data/file", "/new/f")},
			"parent / 755\npoint dir /new\npoint file /new/f\nbind /data/file /new/f\n"},
		{"missing, behind a dangling symlink", []bind.Mount{b("/etc/resolv.conf", "/etc/resolv.conf")},
			"parent / 755\nparent /run 755\npoint dir /run/systemd\npoint dir /run/systemd/resolve\n" +
				"point file /run/systemd/resolve/stub-resolv.conf\n" +
				"bind /etc/resolv.conf /run/systemd/resolve/stub-resolv.conf\n"},
		{"missing, behind an absolute dangling symlink", []bind.Mount{user("/data", "/cluster/x")},
			"parent / 755\npoint dir /gpfs\npoint dir /gpfs/cluster\npoint dir /gpfs/cluster/x\nbind /data /gpfs/cluster/x\n"},
		{"dot dot behind a missing name", []bind.Mount{user("/data", "/no/../opt")}, "bind /data /opt\n"},
		{"two mounts share points", []bind.Mount{user("/data", "/n/a"), user("/data/file", "/n/b")},
			"parent / 755\npoint dir /n\npoint dir /n/a\npoint file /n/b\nbind /data /n/a\nbind /data/file /n/b\n"},
		{"a bind inside a bind", []bind.Mount{user("/data", "/opt"), user("/scratch", "/opt/set/a")},
			"bind /data /opt\nbind /scratch /opt/set/a\n"},
		{"inside first, put right", []bind.Mount{user("/scratch", "/opt/set/a"), user("/data", "/opt")},
			"bind /data /opt\nbind /scratch /opt/set/a\n"},
		{"three levels put right", []bind.Mount{user("/job", "/o/set/a"), user("/data/set", "/o/set"), user("/data", "/o")},
			"parent / 755\npoint dir /o\nbind /data /o\nbind /data/set /o/set\nbind /job /o/set/a\n"},
		{"a bind's symlink leads through the container", []bind.Mount{user("/data", "/opt"), user("/job", "/opt/link/x")},
			"parent / 755\npoint dir /scratch\npoint dir /scratch/ada\npoint dir /scratch/ada/x\n" +
				"bind /data /opt\nbind /job /scratch/ada/x\n"},
		{"source through symlinks is left as it is", []bind.Mount{user("/data/link/job", "/opt")}, "bind /data/link/job /opt\n"},
		{"inside a tmpfs", []bind.Mount{op(bind.Tmpfs, "", "/tmp"), user("/data", "/tmp/a/b"), user("/data/file", "/tmp/a/f")},
			"tmpfs  /tmp\nmkdir  /tmp/a\nmkdir  /tmp/a/b\nbind /data /tmp/a/b\nmkfile  /tmp/a/f\nbind /data/file /tmp/a/f\n"},
		{"tmpfs inside tmpfs", []bind.Mount{op(bind.Tmpfs, "", "/dev"), op(bind.Tmpfs, "", "/dev/shm")},
			"tmpfs  /dev\nmkdir  /dev/shm\ntmpfs  /dev/shm\n"},
		{"links in a tmpfs are followed", []bind.Mount{op(bind.Tmpfs, "", "/dev"), op(bind.Link, "/run", "/dev/r"), user("/data", "/dev/r/systemd")},
			"parent / 755\nparent /run 755\npoint dir /run/systemd\ntmpfs  /dev\nsymlink /run /dev/r\nbind /data /run/systemd\n"},
		{"a link that is there already", []bind.Mount{op(bind.Tmpfs, "", "/dev"), op(bind.Link, "a", "/dev/r"), op(bind.Link, "b", "/dev/r")},
			"tmpfs  /dev\nsymlink a /dev/r\n"},
		{"mkdir in a tmpfs", []bind.Mount{op(bind.Tmpfs, "", "/tmp"), op(bind.Mkdir, "", "/tmp/x"), op(bind.Mkdir, "", "/tmp/x")},
			"tmpfs  /tmp\nmkdir  /tmp/x\n"},
		{"generated file", []bind.Mount{op(bind.Data, "", "/etc/passwd")}, "file  /etc/passwd\n"},
		{"optional source missing", []bind.Mount{optional(b("/nope", "/opt"))}, ""},
		{"optional source forbidden", []bind.Mount{optional(b("/secret/x", "/opt"))}, ""},
		{"optional, wrong kind", []bind.Mount{optional(b("/data", "/etc/hosts"))}, ""},
		{"optional, point in a host directory", []bind.Mount{b("/data", "/opt"), optional(b("/job", "/opt/new"))}, "bind /data /opt\n"},
		{"optional, through a loop", []bind.Mount{optional(b("/data", "/loop/x"))}, ""},
		{"same target twice", []bind.Mount{user("/data", "/opt"), user("/job", "/opt/")},
			"bind /data /opt\nwarning: --bind /job on /opt is ignored: /data is already mounted there\n"},
		{"the same bind twice", []bind.Mount{user("/data", "/opt"), user("/data/", "/opt")}, "bind /data /opt\n"},
		{"a default that the user covers", []bind.Mount{b("/home/ada", "/home/ada"), user("/data", "/home/ada")},
			"parent / 755\nparent /home 755\npoint dir /home/ada\nbind /data /home/ada\n"},
		{"defaults below what the user mounts", []bind.Mount{op(bind.Tmpfs, "", "/dev"), b("/dev/null", "/dev/null"), user("/dev", "/dev")},
			"bind /dev /dev\n"},
		{"working directory already there", []bind.Mount{user("/data", "/data"), unless(b("/data/set", "/data/set"))},
			"parent / 755\npoint dir /data\nbind /data /data\n"},
		{"working directory, something else mounted there", []bind.Mount{user("/job", "/data"), unless(b("/data", "/data"))},
			"parent / 755\npoint dir /data\nbind /job /data\n"},
		{"working directory through a symlink", []bind.Mount{b("/home/ada", "/home/ada"), unless(b("/home/ada/work/job", "/home/ada/work/job"))},
			"parent / 755\nparent /home 755\npoint dir /home/ada\npoint dir /scratch\npoint dir /scratch/ada\npoint dir /scratch/ada/job\n" +
				"bind /home/ada /home/ada\nbind /home/ada/work/job /scratch/ada/job\n"},
		{"working directory above a bind", []bind.Mount{user("/job", "/data/set"), unless(b("/data", "/data"))},
			"parent / 755\npoint dir /data\nbind /data /data\nbind /job /data/set\n"},
		{"working directory would hide a bind", []bind.Mount{user("/job", "/data/new"), unless(b("/data", "/data"))},
			"parent / 755\npoint dir /data\npoint dir /data/new\nbind /job /data/new\n" +
				"warning: /data is not mounted in the container: it would hide /data/new, which it does not have\n"},
		{"a directory of our own on the host", []bind.Mount{
			{Op: bind.Op{Type: bind.Bind, Source: "/job/work/tmp", Target: "/tmp"}, Make: 0o1777},
			{Op: bind.Op{Type: bind.Bind, Source: "/job/work/scratch/x", Target: "/tmp/x"}, Make: 0o750},
			user("/data/file", "/tmp/f")},
			"make dir /job/work/tmp 1777\nmake dir /job/work/scratch 750\nmake dir /job/work/scratch/x 750\n" +
				"make dir /job/work/tmp/x 755\nmake file /job/work/tmp/f 644\n" +
				"bind /job/work/tmp /tmp\nbind /job/work/scratch/x /tmp/x\nbind /data/file /tmp/f\n"},
		{"inside another image", []bind.Mount{
			{Op: bind.Op{Type: bind.Image, Source: "/etc", Target: "/opt", Image: 1}}, user("/data/file", "/opt/foo")},
			"image /etc /opt\nbind /data/file /opt/foo\n"},
	} {
		t.Run(tt.name, func(t *testing.T) {
			l, err := bind.Arrange(bind.Trees{Image: bindtest.New(image), Host: bindtest.New(host),
				Data: []bind.Tree{bindtest.New(map[string]string{"/etc/foo": "file:"})}}, tt.mounts)
			if got := show(l); err != nil || got != tt.want {
				t.Errorf("Arrange: error %v, got\n%swant\n%s", err, got, tt.want)
			}
		})
	}
}

func TestArrangeErrors(t *testing.T) {
	for _, tt := range []struct {
		name   string
		mounts []bind.Mount
		is     error
		text   string
	}{
		{"source missing", []bind.Mount{user("/nope/x", "/opt")}, fs.ErrNotExist,
			`source "/nope/x" (--bind): no such file or directory`},
		{"source forbidden", []bind.Mount{user("/secret/x", "/opt")}, fs.ErrPermission,
			`source "/secret/x" (--bind): permission denied`},
		{"source broken", []bind.Mount{user("/broken", "/opt")}, nil,
			`source "/broken" (--bind): lstat /broken: input/output error`},
		{"source through a file", []bind.Mount{user("/data/file/x", "/opt")}, nil,
			`source "/data/file/x" (--bind): /data/file: not a directory`},
		{"directory onto a file", []bind.Mount{user("/data", "/etc/hosts")}, nil,
			`cannot mount directory "/data" (--bind) on "/etc/hosts": /etc/hosts is a file`},
		{"file onto a directory", []bind.Mount{user("/data/file", "/bin")}, nil,
			`cannot mount file "/data/file" (--bind) on "/bin": /usr/bin is a directory`},
		{"through a file", []bind.Mount{user("/data", "/etc/hosts/x/y")}, nil,
			`mount point "/etc/hosts/x/y" (--bind): /etc/hosts is not a directory`},
		{"loop", []bind.Mount{user("/data", "/loop")}, bind.ErrLoop,
			`mount point "/loop" (--bind): /loop: too many levels of symbolic links`},
		{"root", []bind.Mount{user("/data", "/")}, bind.ErrRoot,
			`mount on "/" (--bind): the root of the container cannot be covered`},
		{"root by a symlink", []bind.Mount{user("/data", "/self")}, bind.ErrRoot,
			`mount on "/self" (--bind): the root of the container cannot be covered`},
		{"missing in a bind", []bind.Mount{user("/data", "/opt"), user("/job", "/opt/set/new/x")}, fs.ErrNotExist,
			`mount point "/opt/set/new/x" (--bind) does not exist: /data/set is a directory of the host`},
		{"missing in the kernel's file system", []bind.Mount{op(bind.Devpts, "", "/opt"), user("/job", "/opt/x")}, fs.ErrNotExist,
			`mount point "/opt/x" (--bind) does not exist and cannot be made there`},
		{"missing in another image", []bind.Mount{{Op: bind.Op{Type: bind.Image, Source: "/zzz", Target: "/opt", Image: 1, Why: "--bind"}, File: "/d.sif"}},
			fs.ErrNotExist, `source "/zzz" in /d.sif (--bind): no such file or directory`},
	} {
		t.Run(tt.name, func(t *testing.T) {
			l, err := bind.Arrange(bind.Trees{Image: bindtest.New(image), Host: bindtest.New(host),
				Data: []bind.Tree{bindtest.New(nil)}}, tt.mounts)
			if err == nil || err.Error() != tt.text || tt.is != nil && !errors.Is(err, tt.is) {
				t.Errorf("Arrange = %s, %v; want %s", show(l), err, tt.text)
			}
		})
	}
}

func TestPointErrorNamesWhatToMake(t *testing.T) {
	_, err := bind.Arrange(bind.Trees{Image: bindtest.New(image), Host: bindtest.New(host)},
		[]bind.Mount{user("/data", "/opt"), user("/data/file", "/opt/set/new/x")})
	var p *bind.PointError
	if !errors.As(err, &p) || p.Host != "/data/set/new/x" || p.Kind != bind.File {
		t.Errorf("Arrange: %+v, want Host /data/set/new/x, Kind File", p)
	}
}

// Every path of image and host is looked at once at most, however many mounts need it.
func TestArrangeAsksOnce(t *testing.T) {
	im, ho := bindtest.New(image), bindtest.New(host)
	v := bind.NewView(bind.Trees{Image: im, Host: ho})
	_, err := v.Arrange([]bind.Mount{b("/home/ada", "/home/ada"), user("/data/set", "/opt/a"), user("/data/file", "/opt/b"),
		unless(b("/home/ada/work/job", "/home/ada/work/job"))})
	if err != nil {
		t.Fatal(err)
	}
	if p, k, err := v.Lookup("/home/ada/work/job"); p != "/scratch/ada/job" || k != bind.Directory || err != nil {
		t.Errorf("Lookup = %q, %v, %v; want /scratch/ada/job", p, k, err)
	}
	for _, tree := range []*bindtest.Tree{im, ho} {
		for p, n := range tree.Asked {
			if n > 1 {
				t.Errorf("Lstat(%q) asked %d times", p, n)
			}
		}
	}
}

func TestViewReadFile(t *testing.T) {
	v := bind.NewView(bind.Trees{Image: bindtest.New(image), Host: bindtest.New(host)})
	if got, err := v.ReadFile("/etc/passwd", 100); err != nil || !strings.HasPrefix(string(got), "root:") {
		t.Errorf("ReadFile(/etc/passwd) = %q, %v", got, err)
	}
	for _, p := range []string{"/etc", "/etc/shadow", "/loop"} {
		if got, err := v.ReadFile(p, 100); err == nil {
			t.Errorf("ReadFile(%s) = %q, want an error", p, got)
		}
	}
	if _, err := v.ReadFile("/etc/passwd", 3); err == nil {
		t.Error("ReadFile with a limit of 3 bytes: no error")
	}
}

// automount shows nothing in a directory until a name in it is looked up, as autofs does.
type automount struct{ *bindtest.Tree }

func (automount) ReadDir(string) ([]string, error) { return nil, nil }

func TestArrangeAutomount(t *testing.T) {
	net := automount{bindtest.New(map[string]string{"/net": "dir 555", "/net/srv/vol": "dir"})}
	l, err := bind.Arrange(bind.Trees{Image: bindtest.New(image), Host: net},
		[]bind.Mount{user("/net", "/opt"), user("/net/srv/vol", "/tmp"), unless(b("/net/srv", "/opt/srv"))})
	const want = "bind /net /opt\nbind /net/srv/vol /tmp\n"
	if got := show(l); err != nil || got != want {
		t.Errorf("Arrange: %v, got\n%swant\n%s", err, got, want)
	}
}
