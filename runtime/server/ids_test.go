package server

import "testing"

// The image's owners are reported as far as the id map reaches.
func TestWithin(t *testing.T) {
	for _, tt := range []struct {
		mapped, own int
		id, want    uint32
	}{
		{0, 1500, 0, 1500}, {0, 1500, 1500, 1500}, // the caller's own id alone
		{65537, 0, 0, 0}, {65537, 0, 33, 33}, {65537, 0, 65536, 65536},
		{65537, 0, 65537, 0}, {65537, 0, 4294967295, 0}, // out of reach
	} {
		if got := within(tt.mapped, tt.own)(tt.id); got != tt.want {
			t.Errorf("within(%d, %d)(%d) = %d; want %d", tt.mapped, tt.own, tt.id, got, tt.want)
		}
	}
}
