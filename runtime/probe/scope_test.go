package probe

import (
	"fmt"
	"os"
	"path/filepath"
	"testing"

	"golang.org/x/sys/unix"
)

// Ranks of one parallel launch have one scope, whatever their process manager does with sessions.
func TestLaunchScope(t *testing.T) {
	root := t.TempDir()
	sid, err := unix.Getsid(0)
	if err != nil {
		t.Fatal(err)
	}
	stat := func(pid, parent, start int) {
		dir := filepath.Join(root, "proc", fmt.Sprint(pid))
		if err := os.MkdirAll(dir, 0o777); err != nil {
			t.Fatal(err)
		}
		text := fmt.Sprintf("%d (a) name) S %d 3 3 0 -1 4194560 1 0 0 0 0 0 0 0 20 0 1 0 %d 1 1\n", pid, parent, start)
		if err := os.WriteFile(filepath.Join(dir, "stat"), []byte(text), 0o666); err != nil {
			t.Fatal(err)
		}
	}
	proxy := sid + 1
	stat(sid, proxy, 500)
	stat(proxy, 1, 400)
	for _, tt := range []struct {
		name, want string
		env        []string
	}{
		{"no launch", fmt.Sprintf("session %d", sid), nil},
		{"Hydra", fmt.Sprintf("pmi %d 400", proxy), []string{"PMI_RANK=1", "PMI_FD=7"}},
		{"Hydra on a port", "pmi node1:3000", []string{"PMI_RANK=1", "PMI_PORT=node1:3000"}},
		{"PMIx", "pmix 17 /tmp/x", []string{"PMIX_RANK=0", "PMIX_NAMESPACE=17", "PMIX_SERVER_TMPDIR=/tmp/x"}},
	} {
		name, value := launchScope(root, sid, tt.env)
		if got := name + " " + value; got != tt.want {
			t.Errorf("%s: %q, want %q", tt.name, got, tt.want)
		}
	}
}
