package runtime

import (
	"testing"

	"coracle/bind"
)

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
