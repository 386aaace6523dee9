package probe

import (
	"path/filepath"
	"testing"
)

// The numbers are what statfs(2) says on such file systems.
func TestUnfit(t *testing.T) {
	for _, tt := range []struct {
		magic int64
		want  string
	}{
		{0x6969, "NFS"},
		{0x0bd00bd0, "Lustre"},
		{0x47504653, "GPFS"},
		{0x00c36400, "CephFS"},
		{0x19830326, "BeeGFS"},
		{0xff534d42, "SMB"},
		{0xfe534d42 - 1<<32, "SMB"}, // with the sign that a 32-bit field has
		{0x01021997, "9P"},
		{0x794c7630, "another overlay"},
		{0xef53, ""},     // ext4
		{0x58465342, ""}, // XFS
		{0x9123683e, ""}, // Btrfs
		{0x01021994, ""}, // tmpfs
		{0x2fc12fc1, ""}, // ZFS: the kernel says itself what it cannot do
		{0x65735546, ""}, // FUSE: it depends on what is behind
	} {
		if got := unfit(tt.magic); got != tt.want {
			t.Errorf("unfit(%#x) = %q, want %q", tt.magic, got, tt.want)
		}
	}
}

func TestPlace(t *testing.T) {
	dir := t.TempDir()
	if p := Place(dir); p.Path != dir || p.Denied != nil {
		t.Errorf("Place(%s) = %+v", dir, p)
	}
	if p := Place(filepath.Join(dir, "none")); p.Denied == nil {
		t.Errorf("a directory that is not there: %+v", p)
	}
}
