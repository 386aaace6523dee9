package runtime

import (
	"bytes"
	"errors"
	"os"
	"path/filepath"
	"reflect"
	"strings"
	"testing"

	"coracle/bind"
	"coracle/runtime/stage"
	"coracle/userns"
)

// plan decides a launch on a cluster node with a Debian image.
func plan(t *testing.T, req Request, change func(*Facts)) (*Plan, error) {
	t.Helper()
	facts := ada(cluster())
	facts.Overlay = true
	facts.SubIDs.Free = 100000
	if change != nil {
		change(&facts)
	}
	root := Root{Kind: Squashfs, Path: "/gpfs/img/debian.sif", Offset: 32768, Size: 1 << 20, Detail: "SIF, squashfs zstd", Tree: debian()}
	if req.Cwd == "" {
		req.Cwd = "/home/ada/job"
	}
	if req.Action == "" {
		req.Action, req.Args = Exec, []string{"true"}
	}
	req.Program, req.Image = "coracle", "debian.sif"
	return New(&req, &facts, &root, nil)
}

// The text of a plan is what people see under --dry-run: golden files hold it. To renew them
// after a deliberate change: UPDATE=1 go test ./runtime
func TestWriteText(t *testing.T) {
	for name, req := range map[string]Request{
		"default": {},
		"batch": {
			Action: Run, Args: []string{"-n", "two words", ""}, Contain: true, PID: true, IPC: true, CleanEnv: true,
			Binds:   []bind.Spec{{Source: "/data/set", Target: "/srv/in put", ReadOnly: true, Why: "--bind"}},
			Workdir: "/scratch/ada/run", Scratch: []string{"/fast"}, Hostname: "node", SetEnv: []string{"K=a b"},
		},
		"fakeroot-filter": {Fakeroot: true},
		"shell":           {Action: Shell, NoHome: true, Net: true, Underlay: true, PID: true, NoInit: true},
		"fakeroot":        {Fakeroot: true},
	} {
		p, err := plan(t, req, func(f *Facts) {
			if name == "fakeroot" {
				f.SubIDs = adaSub()
			}
		})
		if err != nil {
			t.Fatalf("%s: %v", name, err)
		}
		var got bytes.Buffer
		if err := p.WriteText(&got); err != nil {
			t.Fatal(err)
		}
		golden := filepath.Join("testdata", name+".plan")
		if os.Getenv("UPDATE") != "" {
			if err := os.WriteFile(golden, got.Bytes(), 0o644); err != nil {
				t.Fatal(err)
			}
		}
		want, err := os.ReadFile(golden)
		if err != nil {
			t.Fatal(err)
		}
		if !bytes.Equal(got.Bytes(), want) {
			t.Errorf("%s: got\n%s\nwant\n%s", name, got.Bytes(), want)
		}
	}
}

func TestNewErrors(t *testing.T) {
	forbidden := errors.New("user.max_user_namespaces = 0")
	noFuse := errors.New("open /dev/fuse: no such file or directory")
	var network *NetworkError
	var room *RoomError
	noexec := Place{Path: "/tmp", NoExec: true}
	var source *bind.SourceError
	for _, tt := range []struct {
		name   string
		req    Request
		change func(*Facts)
		is     error
		as     any
	}{
		{name: "no user namespaces", change: func(f *Facts) { f.UserNS = forbidden }, is: ErrNoUserNS},
		{name: "which switch forbids them", change: func(f *Facts) { f.UserNS = forbidden }, is: forbidden},
		{name: "no fuse, no room", change: func(f *Facts) { f.Fuse = noFuse }, is: noFuse},
		{name: "extracted nowhere", change: func(f *Facts) { f.Fuse, f.Room = noFuse, []Place{noexec, {Path: "/var/tmp", FS: "NFS"}} }, as: &room},
		{name: "wanted, and no room", req: Request{Unsquash: true}, change: func(f *Facts) { f.Room = []Place{noexec} }, as: &room},
		{name: "bridge", req: Request{Net: true, Network: "bridge"}, as: &network},
		{name: "bind source", req: Request{Binds: []bind.Spec{{Source: "/nowhere", Target: "/x"}}}, as: &source},
	} {
		_, err := plan(t, tt.req, tt.change)
		if tt.is != nil && !errors.Is(err, tt.is) || tt.as != nil && !errors.As(err, tt.as) {
			t.Errorf("%s: New = %v", tt.name, err)
		}
	}
}

// A host without overlayfs in user namespaces gets its mount points by underlay.
func TestNewUnderlay(t *testing.T) {
	p, err := plan(t, Request{}, func(f *Facts) { f.Overlay = false })
	if err != nil || !p.Underlay {
		t.Errorf("New without overlay: Underlay = %v, %v; want true", p != nil && p.Underlay, err)
	}
}

// A plan arrives at the next stage as it was sent, whatever bytes its paths hold.
func TestPlanTravels(t *testing.T) {
	p, err := plan(t, Request{Action: Exec, Args: []string{"caf\xe9", "", "a\nb"}, Contain: true, PID: true}, nil)
	if err != nil {
		t.Fatal(err)
	}
	p.Layout.Ops[0].Source = "/caf\xe9"
	fd, err := stage.File(&userns.Header{Role: userns.Enter, Sock: -1, Pidfd: -1, Listener: -1}, p)
	if err != nil {
		t.Fatal(err)
	}
	var got Plan
	if err := stage.Read(fd, userns.HeaderLen, &got); err != nil {
		t.Fatal(err)
	}
	got.Root.Tree = p.Root.Tree // stays at home
	if !reflect.DeepEqual(&got, p) {
		t.Errorf("the plan arrived as\n%+v\nwant\n%+v", got, *p)
	}
}

func TestMapText(t *testing.T) {
	got := mapText([]IDRange{{0, 1500, 1}, {1, 100000, 65536}})
	if want := "0 1500 1\n1 100000 65536\n"; got != want {
		t.Errorf("mapText = %q; want %q", got, want)
	}
	if s := (IDRange{1, 100000, 65536}).String(); !strings.Contains(s, "165535 → 1–65536") {
		t.Errorf("IDRange = %q", s)
	}
}
