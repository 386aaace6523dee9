package probe

import (
	"errors"
	"io/fs"
	"os"
	"path/filepath"
	"reflect"
	"strings"
	"testing"

	"coracle/runtime"
	"coracle/userns"
)

// tree writes files below a new root directory. The contents "->" makes nothing.
func tree(t testing.TB, files map[string]string) string {
	t.Helper()
	root := t.TempDir()
	for name, text := range files {
		path := filepath.Join(root, name)
		if err := os.MkdirAll(filepath.Dir(path), 0o755); err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(path, []byte(text), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	return root
}

const (
	passwd = "root:x:0:0:root:/root:/bin/bash\n# 1500 is somebody\nbad:x:1500\nada:x:1500:1500:Ada L,,,:/home/ada:/bin/zsh\nada2:x:1500:1:::\n"
	group  = "root:x:0:\nusers:x:100:ada,bob\nada:x:1500:\nbroken\n:x:7:\nproject:x:4242:ada"
)

func TestFacts(t *testing.T) {
	root := tree(t, map[string]string{"etc/passwd": passwd, "etc/group": group, "dev/fuse": ""})
	f := Facts(root, Caller{UID: 1500, GID: 1500, Groups: []int{100, 4242, 9999}, Umask: 0o27, Release: "6.1.0-32-amd64", Arch: "amd64", TTY: "/dev/pts/3"})
	if f.User != "ada" || f.Gecos != "Ada L,,," || f.HomeDir != "/home/ada" || f.LoginSh != "/bin/zsh" {
		t.Errorf("user: %+v", f)
	}
	if want := map[int]string{100: "users", 1500: "ada", 4242: "project"}; f.GroupName != "ada" || !reflect.DeepEqual(f.GroupTags, want) {
		t.Errorf("groups: %q, %v; want %v", f.GroupName, f.GroupTags, want)
	}
	if f.Fuse != nil || f.UserNS != nil || !f.Overlay || f.Umask != 0o27 || f.TTY != "/dev/pts/3" || f.UID != 1500 || f.Arch != "amd64" {
		t.Errorf("Facts = %+v", f)
	}
}

func TestFindUser(t *testing.T) {
	uid := os.Getuid()
	root := tree(t, map[string]string{"etc/passwd": passwd, "home/eve/x": ""})
	for _, tt := range []struct {
		name string
		uid  int
		env  []string
		want user
	}{
		{"in passwd", 1500, []string{"USER=eve", "HOME=/home/eve"}, user{"ada", "Ada L,,,", "/home/ada", "/bin/zsh", fromPasswd}},
		{"own home", uid + 70000, []string{"USER=eve", "HOME=/home/eve", "SHELL=/bin/sh"}, user{"eve", "", "/home/eve", "/bin/sh", fromEnv}},
		{"logname", 7, []string{"LOGNAME=eve"}, user{Name: "eve", Source: fromEnv}},
		{"last one counts", 7, []string{"USER=a", "USER=b"}, user{Name: "b", Source: fromEnv}},
		{"hostile name", 7, []string{"USER=a:0:0\nroot", "HOME=/x"}, user{Home: "/x", Source: fromEnv}},
		{"relative home", 7, []string{"USER=a", "HOME=x"}, user{Name: "a", Source: fromEnv}},
		{"nothing", 7, nil, user{}},
	} {
		if got := findUser(root, Caller{UID: tt.uid, Env: tt.env}); got != tt.want {
			t.Errorf("%s: findUser = %+v, want %+v", tt.name, got, tt.want)
		}
	}
	if !owns(root+"/home/eve", uid) || owns(root+"/home/eve", uid+1) || owns(root+"/etc/passwd", uid) || owns(root+"/none", uid) {
		t.Error("owns is wrong")
	}
}

func TestUserNS(t *testing.T) {
	const (
		maximum  = "proc/sys/user/max_user_namespaces"
		clone    = "proc/sys/kernel/unprivileged_userns_clone"
		apparmor = "proc/sys/kernel/apparmor_restrict_unprivileged_userns"
		label    = "proc/self/attr/apparmor/current"
		oldLabel = "proc/self/attr/current"
	)
	for _, tt := range []struct {
		files map[string]string
		want  string // the switch; "" permitted
	}{
		{nil, ""},
		{map[string]string{maximum: "15000\n", clone: "1\n", apparmor: "0\n"}, ""},
		{map[string]string{maximum: "0\n"}, "user.max_user_namespaces"},
		{map[string]string{maximum: "9\n", clone: "0\n"}, "kernel.unprivileged_userns_clone"},
		{map[string]string{apparmor: "1\n", label: "unconfined\n"}, "kernel.apparmor_restrict_unprivileged_userns"},
		{map[string]string{apparmor: "1\n"}, "kernel.apparmor_restrict_unprivileged_userns"},
		{map[string]string{apparmor: "1\n", label: "coracle (unconfined)\n"}, ""},
		{map[string]string{apparmor: "1\n", oldLabel: "coracle (enforce)\x00"}, ""},
	} {
		err := UserNS(tree(t, tt.files))
		var sw *UserNSError
		switch {
		case tt.want == "" && err != nil:
			t.Errorf("UserNS of %v: %v", tt.files, err)
		case tt.want != "" && (!errors.As(err, &sw) || sw.Switch != tt.want || sw.Cure == ""):
			t.Errorf("UserNS of %v: %v, want %s", tt.files, err, tt.want)
		}
	}
}

func TestFuse(t *testing.T) {
	var e *FuseError
	if err := Fuse(tree(t, nil)); !errors.As(err, &e) || !errors.Is(err, fs.ErrNotExist) {
		t.Errorf("Fuse without the device: %v", err)
	}
	if err := Fuse(tree(t, map[string]string{"dev/fuse": ""})); err != nil {
		t.Errorf("Fuse: %v", err)
	}
}

func TestOverlayExpected(t *testing.T) {
	for release, want := range map[string]bool{
		"6.18.0": true, "5.11.0-rc1": true, "5.10.0-30-amd64": false, "4.18.0-553.el8_10.x86_64": true, "4.18.0-305.el8.x86_64": false,
		"5.14.0-70.el9.x86_64": true, "3.10.0-1160.el7.x86_64": false, "": false, "x": false, "7": true,
	} {
		if got := overlayExpected(release); got != want {
			t.Errorf("overlayExpected(%q) = %v, want %v", release, got, want)
		}
	}
}

func TestRead(t *testing.T) {
	uid := os.Getuid()
	root := tree(t, map[string]string{
		"etc/passwd":              "ada:x:1500:1500::/home/ada:/bin/sh\n",
		"etc/subuid":              "bob:1:5\nada:100000:65536\n1500:300000:10\nada:bad\nada:1:-5\n",
		"etc/subgid":              "ada:100000:65536\n",
		"proc/self/cgroup":        "1:name=systemd:/x\n0::/job_1/step_0\n",
		"proc/self/mountinfo":     "22 1 0:20 / / rw - ext4 /dev/sda rw\n",
		"sys/kernel/security/lsm": "capability,yama,apparmor",
		"sys/fs/cgroup/job_1/step_0/cgroup.controllers": "cpu memory pids\n",
		"usr/bin/newuidmap":                             "",
		"prog":                                          "",
	})
	if err := os.Chmod(root+"/usr/bin/newuidmap", 0o755|fs.ModeSetuid); err != nil {
		t.Fatal(err)
	}
	h := Read(root, Caller{UID: 1500, GID: 1500}, root+"/prog")
	if h.SubUID != 65546 || h.SubGID != 65536 || !h.NewUIDMap || h.NewGIDMap || h.Chrooted {
		t.Errorf("Read = %+v", h)
	}
	if want := []string{"capability", "yama", "apparmor"}; !reflect.DeepEqual(h.LSM, want) {
		t.Errorf("LSM = %v, want %v", h.LSM, want)
	}
	if h.Cgroup != "/job_1/step_0" || h.Controllers != nil { // it is not ada's
		t.Errorf("cgroup %q with %v", h.Cgroup, h.Controllers)
	}
	if uid != 0 {
		if _, c := cgroup(root, uid); !reflect.DeepEqual(c, []string{"cpu", "memory", "pids"}) {
			t.Errorf("own cgroup: controllers %v", c)
		}
	}
	if !Chrooted(tree(t, map[string]string{"proc/self/mountinfo": "22 1 0:20 / /proc rw - proc proc rw\n"})) {
		t.Error("no mount at the root directory: want chrooted")
	}
}

func TestSubIDs(t *testing.T) {
	root := tree(t, map[string]string{
		"etc/subuid":                 "ada:100000:65536\nbob:400000:65536\n1500:300000:10\n",
		"etc/subgid":                 "ada:100000:65536\n",
		"usr/bin/newuidmap":          "",
		"usr/local/bin/newuidmap":    "",
		"run/wrappers/bin/newgidmap": "",
	})
	for _, p := range []string{"/usr/local/bin/newuidmap", "/run/wrappers/bin/newgidmap"} {
		if err := os.Chmod(root+p, 0o755|fs.ModeSetuid); err != nil {
			t.Fatal(err)
		}
	}
	got := SubIDs(root, Caller{UID: 1500, NoNewPrivs: true}, "ada")
	want := runtime.SubIDs{
		UIDs: []userns.SubRange{{First: 100000, Count: 65536}, {First: 300000, Count: 10}},
		GIDs: []userns.SubRange{{First: 100000, Count: 65536}},
		Free: 465536, NewUIDMap: "/usr/local/bin/newuidmap", NewGIDMap: "/run/wrappers/bin/newgidmap", NoNewPrivs: true,
	}
	if !reflect.DeepEqual(got, want) {
		t.Errorf("SubIDs = %+v; want %+v", got, want)
	}
	if got := SubIDs(tree(t, nil), Caller{UID: 1500}, "ada"); !reflect.DeepEqual(got, runtime.SubIDs{Free: 100000}) {
		t.Errorf("SubIDs of a bare host = %+v", got)
	}
}

func TestFromService(t *testing.T) {
	for text, want := range map[string]bool{
		"": false, "passwd: files sss\n": false, "subid: files\n": false, "subid:\tsss\n": true, "# subid: sss\n": false,
	} {
		if got := fromService(tree(t, map[string]string{"etc/nsswitch.conf": text})); got != want {
			t.Errorf("fromService(%q) = %v", text, got)
		}
	}
}

// healthy is a host on which all is well.
func healthy(t *testing.T) Host {
	f := Facts(tree(t, map[string]string{"etc/passwd": passwd, "dev/fuse": ""}), Caller{UID: 1500, GID: 1500, Release: "6.1.0", Arch: "amd64"})
	return Host{
		Facts: f, UserSource: fromPasswd, MaxUserNS: "15000", SubUID: 65536, SubGID: 65536, NewUIDMap: true, NewGIDMap: true,
		LSM: []string{"apparmor"}, Program: "/usr/bin/coracle", ProgramMode: 0o755, MemoryLimit: 1 << 40, OpenTree: true, Trial: &Trial{},
	}
}

func TestFindings(t *testing.T) {
	for _, tt := range []struct {
		name    string
		change  func(h *Host)
		finding string // "" all is well
		state   State
		fact    string
		cure    string
	}{
		{"healthy", func(h *Host) {}, "", OK, "", ""},
		{"not tried", func(h *Host) { h.Trial = nil }, "", OK, "", ""},
		{"switch", func(h *Host) { h.Facts.UserNS = &UserNSError{"user.max_user_namespaces", "0", "sysctl -w x"} },
			"user-namespaces", Failure, "user.max_user_namespaces = 0", "sysctl -w x"},
		{"chroot", func(h *Host) { h.Chrooted = true; h.Trial.UserNS = "operation not permitted" },
			"user-namespaces", Failure, "chroot", "pivot_root"},
		{"filter", func(h *Host) { h.Trial.UserNS = "operation not permitted" },
			"user-namespaces", Failure, "operation not permitted", "seccomp"},
		{"used up", func(h *Host) { h.Trial.UserNS = "no space left on device" },
			"user-namespaces", Failure, "no space left", "sysctl -w user.max_user_namespaces"},
		{"apparmor", func(h *Host) { h.Trial.Tmpfs = "permission denied" },
			"mounts", Failure, "permission denied", "coracle doctor --apparmor-profile"},
		{"no fuse", func(h *Host) { h.Facts.Fuse = &FuseError{fs.ErrNotExist} }, "fuse", Warning, "/dev/fuse", "modprobe fuse"},
		{"closed fuse", func(h *Host) { h.Facts.Fuse = &FuseError{fs.ErrPermission} }, "fuse", Warning, "/dev/fuse", "chmod 0666 /dev/fuse"},
		{"fuse does not mount", func(h *Host) { h.Trial.Fuse = "operation not permitted" }, "fuse", Failure, "mounting does not work", "4.18"},
		{"no overlay", func(h *Host) { h.Trial.Overlay = "operation not permitted" }, "overlay", Warning, "underlay", "5.11"},
		{"old kernel", func(h *Host) { h.Facts.Release = "3.10.0" }, "kernel", Failure, "3.10.0", "4.18"},
		{"no move_mount", func(h *Host) { h.OpenTree = false }, "mount-api", Warning, "move_mount", "5.2"},
		{"mode 0711", func(h *Host) { h.ProgramMode = 0o711 }, "program", Failure, "0711", "chmod 0755 /usr/bin/coracle"},
		{"setuid", func(h *Host) { h.ProgramMode = 0o755 | fs.ModeSetuid }, "program", Failure, "setuid", "chmod 0755"},
		{"writable", func(h *Host) { h.ProgramMode = 0o777 }, "program", Warning, "others may change it", "chmod 0755"},
		{"ulimit -v", func(h *Host) { h.MemoryLimit = 512 << 20 }, "address-space", Warning, "512 MiB", "cgroups"},
		{"directory service", func(h *Host) { h.UserSource = fromGetent }, "user", Warning, "directory service", "USER"},
		{"nobody", func(h *Host) { h.UserSource = fromNowhere }, "user", Warning, "no name", "USER"},
		{"no subuid", func(h *Host) { h.SubUID = 0 }, "subordinate-ids", Warning, "/etc/subuid", "usermod --add-subuids"},
		{"no newuidmap", func(h *Host) { h.NewGIDMap = false }, "subordinate-ids", Warning, "newgidmap", "uidmap"},
	} {
		h := healthy(t)
		tt.change(&h)
		var bad []Finding
		for _, f := range h.Findings() {
			if f.State != OK {
				bad = append(bad, f)
			}
		}
		if tt.finding == "" {
			if len(bad) > 0 {
				t.Errorf("%s: %+v", tt.name, bad)
			}
			continue
		}
		if len(bad) == 0 {
			t.Errorf("%s: no finding", tt.name)
			continue
		}
		if f := bad[0]; f.Name != tt.finding || f.State != tt.state || !strings.Contains(f.Fact, tt.fact) || !strings.Contains(f.Cure, tt.cure) {
			t.Errorf("%s: %+v; want %s %s, fact %q, cure %q", tt.name, f, tt.finding, tt.state, tt.fact, tt.cure)
		}
	}
}

// TestTrial runs a real trial: whatever the kernel says here, it is said.
func TestTrial(t *testing.T) {
	exe, err := os.Executable()
	if err != nil {
		t.Fatal(err)
	}
	trial := Try(exe)
	t.Logf("%+v", trial)
	if trial.UserNS != "" {
		t.Skipf("user namespaces: %s", trial.UserNS)
	}
	if trial.Tmpfs == "not tried" {
		t.Errorf("the namespaces were made and nothing was tried in them: %+v", trial)
	}
}

func TestMain(m *testing.M) {
	if IsTrial(os.Args) {
		if err := RunTrial(); err != nil {
			os.Exit(1)
		}
		os.Exit(0)
	}
	os.Exit(m.Run())
}

func BenchmarkFacts(b *testing.B) {
	c := Self(os.Environ())
	for b.Loop() {
		Facts("", c)
	}
}
