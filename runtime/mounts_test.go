package runtime

import (
	"errors"
	"fmt"
	"io/fs"
	"reflect"
	"strings"
	"testing"

	"coracle/bind"
	"coracle/bind/bindtest"
)

// debian is what a Debian image looks like to the planner.
func debian(more ...string) *bindtest.Tree {
	t := map[string]string{
		"/bin":                        "-> usr/bin",
		"/lib":                        "-> usr/lib",
		"/usr/bin/bash":               "file:",
		"/dev":                        "dir",
		"/etc/group":                  "file:root:x:0:\nusers:x:100:\n",
		"/etc/hosts":                  "file:",
		"/etc/localtime":              "-> /usr/share/zoneinfo/Etc/UTC",
		"/etc/passwd":                 "file:root:x:0:0:root:/root:/bin/bash\n",
		"/etc/resolv.conf":            "-> ../run/systemd/resolve/stub-resolv.conf",
		"/home":                       "dir",
		"/proc":                       "dir",
		"/root":                       "dir 700",
		"/run":                        "dir",
		"/sys":                        "dir",
		"/tmp":                        "dir 1777",
		"/var/tmp":                    "dir 1777",
		"/var/run":                    "-> /run",
		"/usr/share/zoneinfo/Etc/UTC": "file:",
	}
	return with(t, more)
}

// cluster is what a login node looks like to the planner.
func cluster(more ...string) *bindtest.Tree {
	t := map[string]string{
		"/data":                             "-> /gpfs/data",
		"/dev/null":                         "dev",
		"/dev/zero":                         "dev",
		"/dev/full":                         "dev",
		"/dev/random":                       "dev",
		"/dev/urandom":                      "dev",
		"/dev/tty":                          "dev",
		"/dev/fuse":                         "dev",
		"/dev/pts/3":                        "dev",
		"/etc/hosts":                        "file:",
		"/etc/localtime":                    "-> ../usr/share/zoneinfo/Europe/Berlin",
		"/etc/resolv.conf":                  "file:",
		"/gpfs/data/set":                    "dir",
		"/home/ada/job":                     "dir",
		"/home/ada/scratch":                 "-> /scratch/ada",
		"/proc":                             "dir",
		"/scratch/ada/run":                  "dir",
		"/sys":                              "dir",
		"/tmp/x":                            "dir",
		"/usr/share/zoneinfo/Europe/Berlin": "file:",
		"/var/tmp":                          "dir",
		"/work":                             "dir",
	}
	return with(t, more)
}

// with adds pairs of path and value; the value "" removes the path.
func with(t map[string]string, more []string) *bindtest.Tree {
	for i := 0; i+1 < len(more); i += 2 {
		if t[more[i]] = more[i+1]; more[i+1] == "" {
			delete(t, more[i])
		}
	}
	return bindtest.New(t)
}

func ada(host bind.Tree) Facts {
	return Facts{UID: 1500, GID: 1500, Groups: []int{1500, 100, 4000}, User: "ada", Gecos: "Ada L", HomeDir: "/home/ada",
		LoginSh: "/bin/bash", GroupName: "ada", GroupTags: map[int]string{100: "users", 4000: "proj"}, Host: host}
}

// describe prints a plan one thing a line, in short; generated files by their names only.
func describe(p mountPlan) string {
	var s strings.Builder
	kind := map[bind.Kind]string{bind.Directory: "dir", bind.File: "file"}
	for _, q := range p.Make {
		fmt.Fprintf(&s, "make %s %s %o\n", kind[q.Kind], q.Path, q.Perm)
	}
	for _, q := range p.Points {
		fmt.Fprintf(&s, "point %s %s\n", kind[q.Kind], q.Path)
	}
	for _, o := range p.Ops {
		var flags string
		if o.ReadOnly {
			flags += " ro"
		}
		if o.Type == bind.Tmpfs || o.Type == bind.Mkdir && o.Perm != 0 {
			flags += fmt.Sprintf(" %o", o.Perm)
		}
		src := ""
		if o.Source != "" && o.Source != o.Target {
			src = o.Source + " → "
		}
		fmt.Fprintf(&s, "%s %s%s%s (%s)\n", o.Type, src, o.Target, flags, o.Why)
	}
	for _, w := range p.Warnings {
		fmt.Fprintf(&s, "warning: %s\n", w)
	}
	return s.String() + "home " + p.Home + " dirs " + strings.Join(p.Dirs, " ") + "\n"
}

// The whole plan of the simplest launch, on a Debian image.
func TestPlanMountsDefault(t *testing.T) {
	facts := ada(cluster())
	p, err := planMounts(&Request{Cwd: "/home/ada/job"}, &facts, &Root{Tree: debian()}, nil)
	if err != nil {
		t.Fatal(err)
	}
	p.View = nil // what it shows is tested in package bind
	own := func(path, why string, optional, nodev bool) bind.Op {
		return bind.Op{Type: bind.Bind, Source: path, Target: path, NoDev: nodev, Optional: optional, Why: why}
	}
	localtime := own("/etc/localtime", "default", true, true)
	localtime.Target = "/usr/share/zoneinfo/Etc/UTC"
	resolv := own("/etc/resolv.conf", "default", true, true)
	resolv.Target = "/run/systemd/resolve/stub-resolv.conf"
	want := mountPlan{
		Layout: bind.Layout{
			Points: []bind.Point{
				{Path: "/home/ada", Kind: bind.Directory, Perm: 0o755},
				{Path: "/run/systemd", Kind: bind.Directory, Perm: 0o755},
				{Path: "/run/systemd/resolve", Kind: bind.Directory, Perm: 0o755},
				{Path: "/run/systemd/resolve/stub-resolv.conf", Kind: bind.File, Perm: 0o644},
			},
			Parents: []bind.Point{
				{Path: "/", Kind: bind.Directory, Perm: 0o755},
				{Path: "/home", Kind: bind.Directory, Perm: 0o755},
				{Path: "/run", Kind: bind.Directory, Perm: 0o755},
			},
			Ops: []bind.Op{
				own("/dev", "default", false, false),
				own("/etc/hosts", "default", true, true),
				localtime,
				own("/proc", "default", false, true),
				own("/sys", "default", true, true),
				own("/home/ada", "home", true, true),
				own("/tmp", "default", true, true),
				own("/var/tmp", "default", true, true),
				{Type: bind.Data, Target: "/etc/passwd", Optional: true, Why: "user", Content: []byte(
					"root:x:0:0:root:/root:/bin/bash\nada:x:1500:1500:Ada L:/home/ada:/bin/bash\n")},
				{Type: bind.Data, Target: "/etc/group", Optional: true, Why: "user", Content: []byte(
					"root:x:0:\nusers:x:100:ada\nada:x:1500:ada\nproj:x:4000:ada\n")},
				resolv,
			},
		},
		Home: "/home/ada",
		Dirs: []string{"/home/ada/job", "/home/ada", "/"},
	}
	if !reflect.DeepEqual(p, want) {
		t.Errorf("planMounts:\n%s\nwant\n%s\n%+v\n%+v", describe(p), describe(want), p, want)
	}
}

func TestPlanMounts(t *testing.T) {
	none := []string{"dev", "proc", "sys", "bind-paths", "tmp", "/etc/resolv.conf", "/etc/passwd", "/etc/group"}
	for _, tt := range []struct {
		name string
		req  Request
		host []string // more of the host
		img  []string // more of the image
		home string   // of the user database; "" /home/ada
		want string
	}{
		{name: "nothing but home", req: Request{NoMount: none, Cwd: "/home/ada"},
			want: "point dir /home/ada\nbind /home/ada (home)\nhome /home/ada dirs /home/ada /\n"},
		{name: "no home", req: Request{NoMount: none, NoHome: true, Cwd: "/"},
			want: "home /home/ada dirs /\n"},
		{name: "no home, but the working directory is in it", req: Request{NoMount: none, NoHome: true, Cwd: "/home/ada/job"},
			want: "point dir /home/ada\npoint dir /home/ada/job\nbind /home/ada/job (working directory)\n" +
				"home /home/ada dirs /home/ada/job /home/ada /\n"},
		{name: "home missing on the host", req: Request{NoMount: none, Cwd: "/work"}, home: "/nonexistent",
			want: "point dir /work\nbind /work (working directory)\nhome /nonexistent dirs /work /\n"},
		{name: "home forbidden", req: Request{NoMount: none, Cwd: "/work"}, host: []string{"/home/ada", "EACCES"},
			want: "point dir /work\nbind /work (working directory)\nhome /home/ada dirs /work /\n"},
		{name: "home is /", req: Request{NoMount: none, Cwd: "/"}, home: "/", want: "home / dirs /\n"},
		{name: "home of daemon", req: Request{NoMount: none, Cwd: "/"}, home: "/usr/sbin", want: "home /usr/sbin dirs /\n"},
		{name: "home is /root", req: Request{NoMount: none, Cwd: "/"}, home: "/root", host: []string{"/root", "dir"},
			want: "bind /root (home)\nhome /root dirs / /root\n"},
		{name: "another home", req: Request{NoMount: none, Cwd: "/work", Home: bind.Spec{Source: "/home/ada/job", Target: "/srv"}},
			want: "point dir /srv\npoint dir /work\nbind /home/ada/job → /srv (--home)\nbind /work (working directory)\n" +
				"home /srv dirs /work /srv /\n"},
		{name: "another home, missing", req: Request{NoMount: none, Cwd: "/", Home: bind.Spec{Source: "/nope", Target: "/srv"}},
			want: "warning: the home directory /nope is not mounted: no such directory\nhome /srv dirs /\n"},
		{name: "home below a temporary directory", req: Request{NoMount: none[:4], Cwd: "/", Home: bind.Spec{Source: "/work", Target: "/tmp/x"}},
			want: "bind /tmp (default)\nbind /var/tmp (default)\nbind /work → /tmp/x (--home)\n" + files + "home /tmp/x dirs / /tmp/x\n"},
		{name: "own home below a temporary directory", req: Request{NoMount: none[:4], Cwd: "/"}, home: "/tmp/x",
			want: "bind /tmp (default)\nbind /var/tmp (default)\n" + files + "home /tmp/x dirs / /tmp/x\n"},
		{name: "home in an image where /home is a symlink", req: Request{NoMount: none, Cwd: "/home/ada/job"},
			img:  []string{"/home", "-> /var/home"},
			want: "point dir /var/home\npoint dir /var/home/ada\nbind /home/ada → /var/home/ada (home)\nhome /home/ada dirs /home/ada/job /home/ada /\n"},
		{name: "all by name", req: Request{NoMount: []string{"dev", "proc", "sys", "bind-paths", "tmp", "home", "cwd"}, Cwd: "/work"},
			want: files + "home /home/ada dirs /\n"},
		{name: "hosts by path", req: Request{NoMount: []string{"/etc/hosts", "dev", "proc", "sys", "tmp", "home"}, Cwd: "/"},
			want: "bind /etc/localtime → /usr/share/zoneinfo/Etc/UTC (default)\n" + files + "home /home/ada dirs /\n"},
		{name: "own process ids", req: Request{NoMount: []string{"dev", "sys", "bind-paths", "tmp", "home"}, Cwd: "/", PID: true},
			want: "proc /proc (--pid)\n" + files + "home /home/ada dirs /\n"},
		{name: "own name", req: Request{NoMount: append(none, "home"), Cwd: "/", Hostname: "box", UTS: true},
			want: "point file /etc/hostname\nfile /etc/hostname (--hostname)\nhome /home/ada dirs /\n"},
	} {
		t.Run(tt.name, func(t *testing.T) {
			facts := ada(cluster(tt.host...))
			if tt.home != "" {
				facts.HomeDir = tt.home
			}
			p, err := planMounts(&tt.req, &facts, &Root{Tree: debian(append(tt.img, noLink...)...)}, nil)
			if got := describe(p); err != nil || got != tt.want {
				t.Errorf("error %v, got\n%swant\n%s", err, got, tt.want)
			}
		})
	}
}

// noLink makes resolv.conf of the image a file, files are the mounts that follow.
var noLink = []string{"/etc/resolv.conf", "file:"}

const files = "file /etc/passwd (user)\nfile /etc/group (user)\nbind /etc/resolv.conf (default)\n"

func TestPlanMountsUser(t *testing.T) {
	image := func(src, dst, dir, id string) bind.Spec {
		return bind.Spec{Source: src, Target: dst, ImageSrc: dir, ID: id, Why: "--bind"}
	}
	req := Request{NoHome: true, NoMount: []string{"dev", "proc", "sys", "bind-paths", "tmp", "/etc/resolv.conf", "/etc/passwd", "/etc/group"},
		Binds: []bind.Spec{
			image("/d.sif", "/d", "/", ""),
			{Source: "/dev/null", Target: "/etc/hosts", Why: "--bind"},
			image("/e.sif", "/e", "/sub", "2"),
			image("/d.sif", "/f", "/file", ""),
			{Source: "/", Target: "/host", ReadOnly: true, Why: "--bind"},
		}}
	facts := ada(cluster())
	data := []bind.Tree{bindtest.New(map[string]string{"/file": "file:"}), nil}
	p, err := planMounts(&req, &facts, &Root{Tree: debian()}, data)
	want := []bind.Op{
		{Type: bind.Image, Source: "/", Target: "/d", Image: 1, ReadOnly: true, NoDev: true, Why: "--bind"},
		{Type: bind.Bind, Source: "/dev/null", Target: "/etc/hosts", Why: "--bind"},
		{Type: bind.Image, Source: "/sub", Target: "/e", Image: 2, ReadOnly: true, NoDev: true, Why: "--bind"},
		{Type: bind.Image, Source: "/file", Target: "/f", Image: 1, ReadOnly: true, NoDev: true, Why: "--bind"},
		{Type: bind.Bind, Source: "/", Target: "/host", ReadOnly: true, Why: "--bind"},
	}
	if err != nil || !reflect.DeepEqual(p.Ops, want) {
		t.Errorf("planMounts: %v, %+v\nwant %+v", err, p.Ops, want)
	}
	if got := bindImages(req.Binds); len(got) != 2 || got[0].Source != "/d.sif" || got[1].Source != "/e.sif" {
		t.Errorf("bindImages = %+v, want /d.sif and /e.sif", got)
	}
}

func TestPlanMountsErrors(t *testing.T) {
	for _, tt := range []struct {
		name string
		req  Request
		is   error
		want string
	}{
		{"bind source", Request{Binds: []bind.Spec{{Source: "/nope", Target: "/x", Why: "--bind"}}}, fs.ErrNotExist,
			`source "/nope" (--bind): no such file or directory`},
		{"workdir", Request{Contain: true, Workdir: "/nope"}, fs.ErrNotExist, `source "/nope" (--workdir): no such file or directory`},
		{"pwd", Request{Pwd: "/nope"}, fs.ErrNotExist, `directory "/nope" (--pwd) does not exist in the container`},
		{"pwd is a file", Request{Pwd: "/etc/passwd"}, nil, `directory "/etc/passwd" (--pwd): not a directory`},
	} {
		t.Run(tt.name, func(t *testing.T) {
			facts := ada(cluster())
			_, err := planMounts(&tt.req, &facts, &Root{Tree: debian()}, nil)
			if err == nil || err.Error() != tt.want || tt.is != nil && !errors.Is(err, tt.is) {
				t.Errorf("planMounts: %v, want %s", err, tt.want)
			}
		})
	}
}

func BenchmarkPlanMounts(b *testing.B) {
	facts, tree := ada(cluster()), debian()
	req := Request{Cwd: "/home/ada/scratch/run", Binds: []bind.Spec{{Source: "/gpfs/data", Target: "/data"}}}
	b.ReportAllocs()
	for b.Loop() {
		if _, err := planMounts(&req, &facts, &Root{Tree: tree}, nil); err != nil {
			b.Fatal(err)
		}
	}
}
