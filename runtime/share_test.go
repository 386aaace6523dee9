package runtime

import (
	"strings"
	"testing"

	"coracle/runtime/cgroup"
)

// Who shares an image server, who does not, and how the plan says so.
func TestSharing(t *testing.T) {
	for _, tt := range []struct {
		name   string
		req    Request
		facts  func(*Facts)
		change func(*Plan)
		want   string
	}{
		{name: "alone", want: "shared, as yet with nobody"},
		{name: "one", change: func(p *Plan) { p.Running = 1 }, want: "shared with 1 running container"},
		{name: "three", change: func(p *Plan) { p.Running = 3 }, want: "shared with 3 running containers"},
		{name: "networks and process ids are the container's own", req: Request{Net: true, PID: true}, want: "shared, as yet with nobody"},
		{name: "root inside", req: Request{Fakeroot: true}, want: "shared, as yet with nobody"},
		{name: "unwanted", req: Request{NoShare: true}, want: "private: --no-share"},
		{name: "instance", req: Request{Instance: "db", NoShare: true}, want: "private: an instance"},
		{name: "no job", facts: func(f *Facts) { f.Scope = "" }, want: "private: /proc does not tell which job this is"},
		{name: "limits", req: Request{Limits: cgroup.Limits{PIDs: 5}}, facts: func(f *Facts) { f.Group.Dir = "/x" }, want: "private: limits of its own"},
		{name: "limits that cannot be", req: Request{Limits: cgroup.Limits{PIDs: 5}}, facts: func(f *Facts) { f.Group.Why = "no groups" }, want: "shared, as yet with nobody"},
	} {
		p, err := plan(t, tt.req, func(f *Facts) {
			f.Scope = "session=1\n"
			if tt.facts != nil {
				tt.facts(f)
			}
		})
		if err != nil {
			t.Fatalf("%s: %v", tt.name, err)
		}
		if tt.change != nil {
			tt.change(p)
		}
		var text strings.Builder
		if err := p.WriteText(&text); err != nil {
			t.Fatal(err)
		}
		_, root, _ := strings.Cut(text.String(), "/gpfs/img/debian.sif (SIF, squashfs zstd)")
		root, _, _ = strings.Cut(root, "\n")
		if got := strings.TrimSpace(strings.TrimPrefix(strings.TrimSpace(root), "ro ")); got != tt.want {
			t.Errorf("%s: %q, want %q", tt.name, got, tt.want)
		}
	}
}

// Maps of ids are part of what sharers have in common: root inside is another server's business.
func TestShareKeyMaps(t *testing.T) {
	keys := map[string]string{}
	for name, req := range map[string]Request{"user": {}, "root": {Fakeroot: true}, "networks": {Net: true}} {
		p, err := plan(t, req, func(f *Facts) { f.Scope = "session=1\n" })
		if err != nil {
			t.Fatal(err)
		}
		keys[name] = p.Share
	}
	if keys["user"] == keys["root"] || keys["user"] != keys["networks"] {
		t.Errorf("keys: %q", keys)
	}
}
