package main

import (
	"os"
	"path/filepath"
	"testing"

	"coracle/runtime/server"
	"coracle/userns"
)

// A server plans launches of images for others, and does nothing else for them.
func TestPlanForNothingElse(t *testing.T) {
	dir := t.TempDir()
	t.Chdir(dir)
	out := filepath.Join(dir, "out.sif")
	if err := os.Mkdir("tree", 0o777); err != nil {
		t.Fatal(err)
	}
	for _, argv := range [][]string{
		{"coracle"},
		{"coracle", "version"},
		{"coracle", "help"},
		{"coracle", "exec", "--help"},
		{"coracle", "build", out, "tree"},
		{"coracle", "overlay", "create", "--size", "64", out},
		{"coracle", "cache", "clean", "--force"},
		{"coracle", "instance", "start", "tree", "name"},
		{"coracle", "exec", "instance://name", "true"},
		{"coracle", "exec", "docker://127.0.0.1:1/app", "true"},
		{"coracle", "exec", "--oci-config", "config.json", "tree", "true"},
		{"coracle", "exec", "none.sif", "true"},
		{"coracle", "exec", "tree", "true"}, // it needs no server
		{"coracle", "exec", "--fakeroot", "tree", "true"},
		{"coracle", "exec", "--dry-run", "tree", "true"},
		{"coracle", "exec", "--overlay", out, "tree", "true"},
		{"coracle", "exec", "--no-such-flag", "tree", "true"},
	} {
		call := &userns.Call{UID: os.Getuid(), GID: os.Getgid(), Argv: argv, Env: []string{"HOME=" + dir, "USER=me", "PATH=/usr/bin:/bin"}}
		if _, ok := new(planner).planFor(call, "key", server.Offer{Tree: true}, nil); ok {
			t.Errorf("%q: planned", argv)
		}
	}
	entries, err := os.ReadDir(dir)
	if err != nil || len(entries) != 1 {
		t.Errorf("%v, %v: something was made", entries, err)
	}
}
