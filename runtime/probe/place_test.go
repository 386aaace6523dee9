package probe

import "testing"

func TestUnfit(t *testing.T) {
	for magic, want := range map[int64]string{0x6969: "NFS", 0x0BD00BD0: "Lustre", 0x47504653: "GPFS", 0x00C36400: "CephFS", 0xEF53: "", 0x01021994: ""} {
		if got := unfit(magic); got != want {
			t.Errorf("unfit(%#x) = %q, want %q", magic, got, want)
		}
	}
}
