package runtime

import (
	"strings"
	"testing"

	"coracle/bind"
	"coracle/bind/bindtest"
)

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
		{name: "message queues", req: Request{Contain: true, NoHome: true, NoMount: []string{"tmp", "bind-paths", "proc", "sys", "devpts"}},
			host: []string{"/dev/mqueue", "dir"},
			want: minimal + shared + "mkdir /dev/mqueue (--contain)\nbind /dev/mqueue (--contain)\n" + links + files +
				"home /home/ada dirs /\n"},
		{name: "message queues of its own", req: Request{Contain: true, IPC: true, NoHome: true, NoMount: []string{"tmp", "bind-paths", "proc", "sys", "devpts"}},
			host: []string{"/dev/mqueue", "dir"},
			want: minimal + shared + "mkdir /dev/mqueue (--ipc)\nmqueue /dev/mqueue (--ipc)\n" + links + files +
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
