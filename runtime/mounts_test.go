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

// standard is the start of most plans.
const standard = `bind /dev (default)
bind /etc/hosts (default)
bind /etc/localtime → /usr/share/zoneinfo/Etc/UTC (default)
bind /proc (default)
bind /sys (default)
`

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

// minimal is the /dev of --contain.
const minimal = `tmpfs /dev 0 (--contain)
mkfile /dev/null (--contain)
bind /dev/null (--contain)
mkfile /dev/zero (--contain)
bind /dev/zero (--contain)
mkfile /dev/full (--contain)
bind /dev/full (--contain)
mkfile /dev/random (--contain)
bind /dev/random (--contain)
mkfile /dev/urandom (--contain)
bind /dev/urandom (--contain)
mkfile /dev/tty (--contain)
bind /dev/tty (--contain)
`

// pseudo and shared complete it.
const pseudo = `mkdir /dev/pts (--contain)
devpts /dev/pts (--contain)
symlink pts/ptmx → /dev/ptmx (--contain)
`

const shared = `mkdir /dev/shm (--contain)
tmpfs /dev/shm 1777 (--contain)
`

const links = `symlink /proc/self/fd → /dev/fd (--contain)
symlink /proc/self/fd/0 → /dev/stdin (--contain)
symlink /proc/self/fd/1 → /dev/stdout (--contain)
symlink /proc/self/fd/2 → /dev/stderr (--contain)
`

const paths = "bind /etc/hosts (default)\nbind /etc/localtime → /usr/share/zoneinfo/Etc/UTC (default)\n"

func TestPlanMountsContain(t *testing.T) {
	own := func(src, dst string) bind.Spec { return bind.Spec{Source: src, Target: dst, Why: "--bind"} }
	for _, tt := range []struct {
		name string
		req  Request
		tty  string
		host []string
		want string
	}{
		{name: "plain", req: Request{Cwd: "/work", Contain: true},
			want: "point dir /home/ada\n" + minimal + pseudo + shared + links + paths + "bind /proc (default)\nbind /sys (default)\n" +
				"tmpfs /home/ada 750 (--contain)\ntmpfs /tmp 1777 (--contain)\ntmpfs /var/tmp 1777 (--contain)\n" + files +
				"home /home/ada dirs /home/ada /\n"},
		{name: "all, on a terminal", req: Request{Cwd: "/work", Contain: true, PID: true, IPC: true, NoMount: []string{"home", "tmp", "bind-paths"}},
			tty: "/dev/pts/3",
			want: minimal + "mkfile /dev/console (--contain)\nbind /dev/pts/3 → /dev/console (--contain)\n" + pseudo + shared +
				"mkdir /dev/mqueue (--ipc)\nmqueue /dev/mqueue (--ipc)\n" + links + "proc /proc (--pid)\nbind /sys (default)\n" + files +
				"home /home/ada dirs /\n"},
		{name: "no pseudo-terminals, a device and a directory of devices",
			req: Request{Contain: true, NoHome: true, NoMount: []string{"devpts", "tmp", "bind-paths"},
				Binds: []bind.Spec{own("/dev/fuse", "/dev/fuse"), own("/dev/pts", "/dev/x/pts")}},
			want: minimal + shared + links + "bind /proc (default)\nbind /sys (default)\n" + files +
				"mkfile /dev/fuse (--bind)\nbind /dev/fuse (--bind)\n" +
				"mkdir /dev/x (--bind)\nmkdir /dev/x/pts (--bind)\nbind /dev/pts → /dev/x/pts (--bind)\nhome /home/ada dirs /\n"},
		{name: "the host's devices all the same",
			req:  Request{Contain: true, NoHome: true, NoMount: []string{"tmp", "bind-paths"}, Binds: []bind.Spec{own("/dev", "/dev")}},
			want: "bind /proc (default)\nbind /sys (default)\n" + files + "bind /dev (--bind)\nhome /home/ada dirs /\n"},
		{name: "a device that the host lacks", req: Request{Contain: true, NoHome: true, NoMount: []string{"tmp", "bind-paths", "proc", "sys", "devpts"}},
			host: []string{"/dev/full", ""},
			want: strings.Replace(minimal, "mkfile /dev/full (--contain)\nbind /dev/full (--contain)\n", "", 1) + shared + links + files +
				"home /home/ada dirs /\n"},
		{name: "no devices, own network", req: Request{Contain: true, Net: true, NoHome: true, NoMount: []string{"dev", "tmp", "proc", "sys"}},
			want: strings.Replace(paths, "bind /etc/hosts (default)", "file /etc/hosts (--net)", 1) + files + "home /home/ada dirs /\n"},
		{name: "workdir and scratch",
			req: Request{Contain: true, Workdir: "/work", Scratch: []string{"/s", "/tmp/deep/s"}, NoMount: []string{"dev", "proc", "sys", "bind-paths"}},
			want: "make dir /work/home 750\nmake dir /work/tmp 1777\nmake dir /work/var_tmp 1777\nmake dir /work/scratch 750\n" +
				"make dir /work/scratch/s 750\nmake dir /work/scratch/tmp 750\nmake dir /work/scratch/tmp/deep 750\n" +
				"make dir /work/scratch/tmp/deep/s 750\nmake dir /work/tmp/deep 755\nmake dir /work/tmp/deep/s 755\n" +
				"point dir /home/ada\npoint dir /s\n" +
				"bind /work/home → /home/ada (--workdir)\nbind /work/tmp → /tmp (--workdir)\nbind /work/var_tmp → /var/tmp (--workdir)\n" +
				"bind /work/scratch/s → /s (--workdir)\nbind /work/scratch/tmp/deep/s → /tmp/deep/s (--workdir)\n" + files +
				"home /home/ada dirs /home/ada /\n"},
		{name: "a workdir used before",
			req:  Request{Contain: true, Workdir: "/work", NoMount: []string{"dev", "proc", "sys", "bind-paths", "home", "/var/tmp"}},
			host: []string{"/work/tmp", "dir"},
			want: "bind /work/tmp → /tmp (--workdir)\n" + files + "home /home/ada dirs /\n"},
		{name: "scratch without workdir", req: Request{Scratch: []string{"/s"}, NoHome: true, NoMount: []string{"dev", "proc", "sys", "bind-paths", "tmp"}},
			want: "point dir /s\ntmpfs /s 750 (--scratch)\n" + files + "home /home/ada dirs /\n"},
		{name: "scratch in place of the temporary directory", req: Request{Contain: true, Scratch: []string{"/tmp", "/tmp"}, NoHome: true,
			NoMount: []string{"dev", "proc", "sys", "bind-paths"}},
			want: "tmpfs /var/tmp 1777 (--contain)\ntmpfs /tmp 750 (--scratch)\n" + files + "home /home/ada dirs /\n"},
		// DIRAC: the workdir's tmp is the home
		{name: "home on /tmp", req: Request{Contain: true, Workdir: "/work", Home: bind.Spec{Source: "/tmp", Target: "/tmp", Why: "--home"},
			NoMount: []string{"dev", "proc", "sys", "bind-paths", "/var/tmp"}},
			want: "make dir /work/tmp 1777\nbind /work/tmp → /tmp (--workdir)\n" + files + "home /tmp dirs /tmp /\n"},
		// GlideinWMS: the working directory is the home, under another name
		{name: "glidein", req: Request{Contain: true, Cwd: "/scratch/ada/run", Pwd: "/srv", Home: bind.Spec{Source: "/scratch/ada/run", Target: "/srv"},
			NoMount: []string{"dev", "proc", "sys", "bind-paths", "tmp"}},
			want: "point dir /srv\nbind /scratch/ada/run → /srv (--home)\n" + files + "home /srv dirs /srv\n"},
	} {
		t.Run(tt.name, func(t *testing.T) {
			facts := ada(cluster(tt.host...))
			facts.TTY = tt.tty
			p, err := planMounts(&tt.req, &facts, &Root{Tree: debian(noLink...)}, nil)
			if got := describe(p); err != nil || got != tt.want {
				t.Errorf("error %v, got\n%swant\n%s", err, got, tt.want)
			}
		})
	}
}

// HTCondor's probe: a directory with a program and no more than the places for it.
func TestPlanMountsBareImage(t *testing.T) {
	bare := bindtest.New(map[string]string{"/dev": "dir", "/proc": "dir", "/exit_37": "file:"})
	facts := ada(cluster())
	req := Request{Contain: true, PID: true, IPC: true, NoMount: []string{"dev"}}
	p, err := planMounts(&req, &facts, &Root{Tree: bare}, nil)
	const want = `point dir /etc
point file /etc/hosts
point file /etc/localtime
point file /etc/resolv.conf
point dir /home
point dir /home/ada
point dir /sys
point dir /tmp
point dir /var
point dir /var/tmp
bind /etc/hosts (default)
bind /etc/localtime (default)
proc /proc (--pid)
bind /sys (default)
tmpfs /home/ada 750 (--contain)
tmpfs /tmp 1777 (--contain)
tmpfs /var/tmp 1777 (--contain)
bind /etc/resolv.conf (default)
home /home/ada dirs /home/ada /
`
	if got := describe(p); err != nil || got != want {
		t.Errorf("error %v, got\n%swant\n%s", err, got, want)
	}
}

func TestPlanMountsWorkingDirectory(t *testing.T) {
	quiet := []string{"dev", "proc", "sys", "bind-paths", "tmp", "/etc/resolv.conf", "/etc/passwd", "/etc/group"}
	const home = "bind /home/ada (home)\n"
	own := func(src, dst string) bind.Spec { return bind.Spec{Source: src, Target: dst, Why: "--bind"} }
	for _, tt := range []struct {
		name, cwd string
		req       Request
		host      []string
		want      string
	}{
		{name: "in home", cwd: "/home/ada/job", want: home + "home /home/ada dirs /home/ada/job /home/ada /\n"},
		{name: "through a symlink in home", cwd: "/home/ada/scratch/run",
			want: "point dir /scratch\npoint dir /scratch/ada\npoint dir /scratch/ada/run\n" + home +
				"bind /home/ada/scratch/run → /scratch/ada/run (working directory)\nhome /home/ada dirs /home/ada/scratch/run /home/ada /\n"},
		{name: "through a symlink at the root", cwd: "/data/set",
			want: "point dir /data\npoint dir /data/set\n" + home + "bind /data/set (working directory)\nhome /home/ada dirs /data/set /home/ada /\n"},
		{name: "in a bind", cwd: "/data/set", req: Request{Binds: []bind.Spec{own("/gpfs/data", "/data")}},
			want: "point dir /data\n" + home + "bind /gpfs/data → /data (--bind)\nhome /home/ada dirs /data/set /home/ada /\n"},
		{name: "in the way of a bind", cwd: "/scratch/ada", req: Request{Binds: []bind.Spec{own("/work", "/scratch/ada/new")}},
			want: "point dir /scratch\npoint dir /scratch/ada\npoint dir /scratch/ada/new\n" + home + "bind /work → /scratch/ada/new (--bind)\n" +
				"warning: /scratch/ada is not mounted in the container: it would hide /scratch/ada/new, which it does not have\n" +
				"home /home/ada dirs /scratch/ada /home/ada /\n"},
		{name: "below a bind that has it not", cwd: "/scratch/ada/run", req: Request{Binds: []bind.Spec{own("/work", "/scratch")}},
			want: "point dir /scratch\n" + home + "bind /work → /scratch (--bind)\n" +
				"warning: the working directory /scratch/ada/run is not in the container: starting in /home/ada\nhome /home/ada dirs /home/ada /\n"},
		{name: "system", cwd: "/etc", want: home + "home /home/ada dirs /etc /home/ada /\n"},
		{name: "system behind a symlink", cwd: "/cfg", host: []string{"/cfg", "-> /etc"},
			want: home + "warning: the working directory /cfg is not in the container: starting in /home/ada\nhome /home/ada dirs /home/ada /\n"},
		{name: "kernel", cwd: "/sys/fs", host: []string{"/sys/fs", "dir"},
			want: home + "warning: the working directory /sys/fs is not in the container: starting in /home/ada\nhome /home/ada dirs /home/ada /\n"},
		{name: "like a system directory only in part", cwd: "/devel", host: []string{"/devel", "dir"},
			want: "point dir /devel\n" + home + "bind /devel (working directory)\nhome /home/ada dirs /devel /home/ada /\n"},
		{name: "below a system directory", cwd: "/opt/x", host: []string{"/opt/x", "dir"},
			want: "point dir /opt\npoint dir /opt/x\n" + home + "bind /opt/x (working directory)\nhome /home/ada dirs /opt/x /home/ada /\n"},
		{name: "removed", cwd: "/gone",
			want: home + "warning: the working directory /gone is not in the container: starting in /home/ada\nhome /home/ada dirs /home/ada /\n"},
		{name: "unwanted", cwd: "/work", req: Request{NoMount: []string{"cwd"}},
			want: home + "home /home/ada dirs /home/ada /\n"},
		{name: "named", cwd: "/work", req: Request{Pwd: "/usr/bin/"},
			want: "point dir /work\n" + home + "bind /work (working directory)\nhome /home/ada dirs /usr/bin/\n"},
		{name: "named from the working directory", cwd: "/scratch", req: Request{Pwd: "ada/run"},
			want: "point dir /scratch\n" + home + "bind /scratch (working directory)\nhome /home/ada dirs /scratch/ada/run\n"},
	} {
		t.Run(tt.name, func(t *testing.T) {
			facts := ada(cluster(tt.host...))
			tt.req.Cwd = tt.cwd
			tt.req.NoMount = append(tt.req.NoMount, quiet...)
			p, err := planMounts(&tt.req, &facts, &Root{Tree: debian("/home/ada", "dir", "/etc/resolv.conf", "file:")}, nil)
			if got := describe(p); err != nil || got != tt.want {
				t.Errorf("error %v, got\n%swant\n%s", err, got, tt.want)
			}
		})
	}
}

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

func TestMergeTable(t *testing.T) {
	me := tableEntry{"ada", 1500, ":1500::/home/ada:/bin/sh"}
	const line = "ada:x:1500:1500::/home/ada:/bin/sh\n"
	for _, tt := range []struct{ name, old, want string }{
		{"appended", "root:x:0:0::/root:/bin/sh\n", "root:x:0:0::/root:/bin/sh\n" + line},
		{"no newline at the end", "root:x:0:0::/:", "root:x:0:0::/:\n" + line},
		{"empty file", "", line},
		{"the same user", "ada:x:1500:1:old:/x:/y\nb:x:2:2:::\n", line + "b:x:2:2:::\n"},
		{"another user with the id", "ubuntu:x:1500:1500::/home/ubuntu:\n", line + "ubuntu:x:1500:1500::/home/ubuntu:\n"},
		{"another id for the name", "a:x:1:1:::\nada:x:7:7:::\n", "a:x:1:1:::\n" + line + "ada:x:7:7:::\n"},
		{"both", "ubuntu:x:1500:::\nada:x:1500:::\n", line + "ubuntu:x:1500:::\n"},
		{"odd lines stay", "+::::::\n\n#x\nada\n", "+::::::\n\n#x\n" + line + "ada\n"},
	} {
		if got := string(mergeTable([]byte(tt.old), []tableEntry{me})); got != tt.want {
			t.Errorf("%s: mergeTable = %q, want %q", tt.name, got, tt.want)
		}
	}
}

func TestTableEntries(t *testing.T) {
	f := Facts{UID: 7, GID: 8, User: "u", Gecos: "a:b", LoginSh: "", Groups: []int{8, 9, 10}, GroupName: "g", GroupTags: map[int]string{9: "h"}}
	for home, want := range map[string]string{"/h": ":8::/h:/bin/sh", "": ":8::/:/bin/sh", "/x:y": ":8::/:/bin/sh"} {
		if got := passwdEntry(&f, home); len(got) != 1 || got[0] != (tableEntry{"u", 7, want}) {
			t.Errorf("passwdEntry(home %q) = %+v, want tail %q", home, got, want)
		}
	}
	want := []tableEntry{{"g", 8, ":u"}, {"h", 9, ":u"}} // 10 has no name
	if got := groupEntries(&f); !reflect.DeepEqual(got, want) {
		t.Errorf("groupEntries = %+v, want %+v", got, want)
	}
	f.User = ""
	if got := passwdEntry(&f, "/h"); got != nil {
		t.Errorf("passwdEntry without a name = %+v, want none", got)
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
