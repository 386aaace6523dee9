package cgroup

import (
	"os"
	"path/filepath"
	"testing"
)

func TestMemory(t *testing.T) {
	const gib = 1 << 30
	for _, tt := range []struct {
		name  string
		files map[string]string
		want  int64
	}{
		{"no limit", map[string]string{"proc/self/cgroup": "0::/job\n", "sys/fs/cgroup/job/memory.max": "max\n"}, 8 * gib},
		{"its own", map[string]string{"proc/self/cgroup": "0::/job/step\n", "sys/fs/cgroup/job/step/memory.max": "1073741824\n",
			"sys/fs/cgroup/job/memory.max": "2147483648\n"}, gib},
		{"one further up", map[string]string{"proc/self/cgroup": "0::/job/step\n", "sys/fs/cgroup/job/step/memory.max": "max\n",
			"sys/fs/cgroup/job/memory.max": "2147483648\n"}, 2 * gib},
		{"version 1", map[string]string{"proc/self/cgroup": "5:cpu:/x\n4:memory:/job\n", "sys/fs/cgroup/memory/job/memory.limit_in_bytes": "1073741824\n",
			"sys/fs/cgroup/memory/memory.limit_in_bytes": "9223372036854771712\n"}, gib},
		{"more than there is", map[string]string{"proc/self/cgroup": "0::/\n", "sys/fs/cgroup/memory.max": "99999999999999\n"}, 8 * gib},
		{"no cgroups", nil, 8 * gib},
	} {
		root := t.TempDir()
		for name, text := range tt.files {
			path := filepath.Join(root, name)
			if err := os.MkdirAll(filepath.Dir(path), 0o755); err != nil {
				t.Fatal(err)
			}
			if err := os.WriteFile(path, []byte(text), 0o644); err != nil {
				t.Fatal(err)
			}
		}
		if got := memory(root, 8*gib); got != tt.want {
			t.Errorf("%s: %d, want %d", tt.name, got, tt.want)
		}
	}
}
