package runtime

import (
	"bytes"
	"reflect"
	"slices"
	"strings"
	"testing"

	"coracle/bind"
	"coracle/userns"
)

// adaSub are the subordinate ids of a user whose host has all that is needed.
func adaSub() SubIDs {
	return SubIDs{
		UIDs: []userns.SubRange{{First: 100000, Count: 65536}}, GIDs: []userns.SubRange{{First: 200000, Count: 65536}},
		Free: 265536, NewUIDMap: "/usr/bin/newuidmap", NewGIDMap: "/usr/bin/newgidmap",
	}
}

func TestIdentify(t *testing.T) {
	for _, tt := range []struct {
		name    string
		ignore  bool
		change  func(*SubIDs)
		way     Fakeroot
		warning []string // words of it
	}{
		{name: "all there", way: FakerootIDs},
		{name: "ignored", ignore: true, way: FakerootFilter},
		{name: "no subuid", change: func(s *SubIDs) { s.UIDs = nil }, way: FakerootFilter,
			warning: []string{"ada in /etc/subuid:", "the line ada:265536:65536 in /etc/subuid, or", "usermod --add-subuids 265536-331071 ada"}},
		{name: "no subgid", change: func(s *SubIDs) { s.GIDs = nil }, way: FakerootFilter,
			warning: []string{"ada in /etc/subgid:", "usermod --add-subgids 265536-331071 ada"}},
		{name: "neither", change: func(s *SubIDs) { s.UIDs, s.GIDs = nil, nil }, way: FakerootFilter,
			warning: []string{"/etc/subuid and /etc/subgid:", "--add-subuids 265536-331071 --add-subgids 265536-331071 ada"}},
		{name: "no helper", change: func(s *SubIDs) { s.NewGIDMap = "" }, way: FakerootFilter, warning: []string{"newgidmap", "uidmap", "shadow-utils"}},
		{name: "no_new_privs", change: func(s *SubIDs) { s.NoNewPrivs = true }, way: FakerootFilter, warning: []string{"no_new_privs"}},
	} {
		facts := ada(nil)
		facts.SubIDs = adaSub()
		if tt.change != nil {
			tt.change(&facts.SubIDs)
		}
		got := identify(&Request{Fakeroot: true, IgnoreSubUID: tt.ignore}, &facts)
		if got.way != tt.way || (got.warning != "") != (tt.warning != nil) {
			t.Errorf("%s: %q, warning %q; want %q", tt.name, got.way, got.warning, tt.way)
		}
		for _, word := range tt.warning {
			if !strings.Contains(got.warning, word) {
				t.Errorf("%s: warning %q without %q", tt.name, got.warning, word)
			}
		}
		uids, gids := []IDRange{{0, 1500, 1}}, []IDRange{{0, 1500, 1}}
		if tt.way == FakerootIDs {
			uids, gids = append(uids, IDRange{1, 100000, 65536}), append(gids, IDRange{1, 200000, 65536})
		}
		if !reflect.DeepEqual(got.uids, uids) || !reflect.DeepEqual(got.gids, gids) {
			t.Errorf("%s: uids %v, gids %v; want %v, %v", tt.name, got.uids, got.gids, uids, gids)
		}
	}
}

func TestFillRanges(t *testing.T) {
	var small []userns.SubRange
	for i := range 200 {
		small = append(small, userns.SubRange{First: 100000 + 20*i, Count: 10})
	}
	for _, tt := range []struct {
		ranges []userns.SubRange
		want   []IDRange
		reach  int
	}{
		{nil, []IDRange{{0, 1500, 1}}, 1},
		{[]userns.SubRange{{First: 7000, Count: 10}, {First: 9000, Count: 5}}, []IDRange{{0, 1500, 1}, {1, 7000, 10}, {11, 9000, 5}}, 16},
		{[]userns.SubRange{{First: 100000, Count: 1 << 20}}, []IDRange{{0, 1500, 1}, {1, 100000, 65536}}, 65537},
		{[]userns.SubRange{{First: 7000, Count: 10}, {First: 100000, Count: 65536}}, []IDRange{{0, 1500, 1}, {1, 7000, 10}, {11, 100000, 65526}}, 65537},
		// A range with the caller's own id in it, and one that was given twice.
		{[]userns.SubRange{{First: 1000, Count: 1000}, {First: 7000, Count: 10}, {First: 7005, Count: 10}}, []IDRange{{0, 1500, 1}, {1, 7000, 10}}, 11},
	} {
		got := fillRanges(1500, tt.ranges)
		if !reflect.DeepEqual(got, tt.want) || reach(got) != tt.reach {
			t.Errorf("fillRanges(%v) = %v, reach %d; want %v, %d", tt.ranges, got, reach(got), tt.want, tt.reach)
		}
	}
	h := userns.Header{UIDMap: mapText(fillRanges(1500, small))}
	if _, err := h.Encode(); err != nil {
		t.Errorf("the map of 200 ranges does not fit: %v", err)
	}
}

// What is shared depends on the ids inside: a server has one user namespace.
func TestFakerootShare(t *testing.T) {
	keys := map[string]bool{}
	for _, req := range []Request{{}, {Fakeroot: true}, {Fakeroot: true, IgnoreSubUID: true}} {
		p, err := plan(t, req, func(f *Facts) { f.SubIDs, f.Scope = adaSub(), "session=1\n" })
		if err != nil || p.Share == "" {
			t.Fatalf("New: %v, share %q", err, p.Share)
		}
		keys[p.Share] = true
	}
	if len(keys) != 3 {
		t.Errorf("%d keys for three kinds of ids", len(keys))
	}
}

// Root's files: an image that knows root keeps its tables, so that they can be written to.
func TestRootFiles(t *testing.T) {
	for _, tt := range []struct {
		name    string
		image   []string
		filter  bool
		scratch []string
		home    bind.Spec
		want    []string // targets and contents
	}{
		{name: "debian"},
		{name: "apt", image: []string{"/etc/apt/apt.conf.d/01autoremove", "file:"}},
		{name: "apt with a filter", image: []string{"/etc/apt/apt.conf.d/01autoremove", "file:"}, filter: true,
			want: []string{"/etc/apt/apt.conf.d/99-coracle-fakeroot", "APT::Sandbox::User \"root\";\n"}},
		{name: "no tables", image: []string{"/etc/passwd", "", "/etc/group", ""}},
		{name: "no root", image: []string{"/etc/passwd", "file:ada:x:1500:0::/:/bin/sh\n", "/etc/group", "file:"},
			want: []string{"/etc/passwd", "ada:x:1500:0::/:/bin/sh\nroot:x:0:0:root:/root:/bin/sh\n", "/etc/group", "root:x:0:\n"}},
		{name: "rpm", image: []string{"/etc/rpm", "dir", "/usr/lib/rpm/macros.d/macros.dist", "file:"},
			want: []string{"/etc/rpm/macros.zz-coracle", "%_netsharedpath /dev:/etc/hosts:/etc/localtime:/proc:/sys:/root:/tmp:/var/tmp\n"}},
		{name: "rpm without settings", image: []string{"/usr/lib/rpm/macros.d/macros.dist", "file:"}, filter: true, scratch: []string{"/opt/x"},
			want: []string{"/usr/lib/rpm/macros.d/macros.zz-coracle", "%_netsharedpath /dev:/etc/hosts:/etc/localtime:/proc:/sys:/root:/tmp:/var/tmp\n"}},
		{name: "rpm and a name that means something to it", image: []string{"/etc/rpm", "dir", "/a:b%{c}", "dir"},
			home: bind.Spec{Source: "/home/ada", Target: "/a:b%{c}"},
			want: []string{"/etc/rpm/macros.zz-coracle", "%_netsharedpath /dev:/etc/hosts:/etc/localtime:/proc:/sys:/tmp:/var/tmp\n"}},
	} {
		facts := ada(cluster())
		facts.SubIDs = adaSub()
		req := Request{Fakeroot: true, IgnoreSubUID: tt.filter, Cwd: "/home/ada", Scratch: tt.scratch, Home: tt.home}
		m, err := planMounts(&req, &facts, &Root{Kind: Sandbox, Path: "/img", Tree: debian(tt.image...)}, nil)
		if err != nil {
			t.Fatalf("%s: %v", tt.name, err)
		}
		var got []string
		for _, op := range m.Ops {
			if op.Type == bind.Data {
				got = append(got, op.Target, string(op.Content))
			}
		}
		if !slices.Equal(got, tt.want) {
			t.Errorf("%s: %q; want %q", tt.name, got, tt.want)
		}
		if m.Home != "/root" && tt.home.Target == "" {
			t.Errorf("%s: home %q", tt.name, m.Home)
		}
	}
}

// The home that is bound on /root is a user's.
func TestRootHome(t *testing.T) {
	for _, tt := range []struct {
		home string // of the caller
		req  Request
		want string // what is mounted on /root, or --home's target
	}{
		{home: "/home/ada", want: "bind /home/ada"},
		{home: "/"}, {home: ""}, {home: "/usr/sbin"},
		{home: "/home/ada", req: Request{NoHome: true}},
		{home: "/home/ada", req: Request{Contain: true}, want: "tmpfs "},
		{home: "/home/ada", req: Request{Home: bind.Spec{Source: "/work", Target: "/srv"}}},
	} {
		facts := ada(cluster())
		facts.HomeDir = tt.home
		tt.req.Fakeroot, tt.req.Cwd = true, "/work"
		m, err := planMounts(&tt.req, &facts, &Root{Kind: Sandbox, Path: "/img", Tree: debian("/srv", "dir")}, nil)
		if err != nil {
			t.Fatalf("home %q: %v", tt.home, err)
		}
		got := ""
		for _, op := range m.Ops {
			if op.Target == "/root" {
				got = string(op.Type) + " " + op.Source
			}
		}
		if got != tt.want {
			t.Errorf("home %q: %q on /root; want %q", tt.home, got, tt.want)
		}
	}
}

func TestRootEnv(t *testing.T) {
	got := rootEnv([]string{"USER=ada", "HOME=/home/ada", "LOGNAME=ada", "USERS=ada"})
	if want := []string{"USER=root", "HOME=/home/ada", "LOGNAME=root", "USERS=ada"}; !slices.Equal(got, want) {
		t.Errorf("rootEnv = %q; want %q", got, want)
	}
}

// A host whose helpers fail gives what a host without them gives.
func TestSettle(t *testing.T) {
	p, err := plan(t, Request{Fakeroot: true}, func(f *Facts) { f.SubIDs = adaSub() })
	if err != nil || p.Fakeroot != FakerootIDs || p.header().Flags != userns.Helpers {
		t.Fatalf("New: %v, %q", err, p.Fakeroot)
	}
	if w := p.settle("newuidmap: no"); p.Fakeroot != FakerootFilter || !strings.HasPrefix(w, "newuidmap: no: root is the only user") {
		t.Errorf("settle: %q, %q", p.Fakeroot, w)
	}
	var text bytes.Buffer
	if p.WriteText(&text); !strings.Contains(text.String(), "seccomp") {
		t.Errorf("no seccomp in\n%s", text.String())
	}
}
