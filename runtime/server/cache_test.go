package server

import "testing"

// A job with little memory gets a small cache; several images share it.
func TestCacheBytes(t *testing.T) {
	const mib = 1 << 20
	for _, tt := range []struct {
		memory int64
		images int
		want   int64
	}{
		{0, 1, 32 * mib}, // unknown
		{512 << 30, 1, 32 * mib},
		{512 << 30, 4, 32 * mib},
		{1024 * mib, 1, 32 * mib},
		{256 * mib, 1, 8 * mib},
		{256 * mib, 4, 2 * mib},
		{256 * mib, 0, 8 * mib},
		{10, 3, 1}, // as little as there can be; 0 would be the default
	} {
		if got := cacheBytes(tt.memory, tt.images); got != tt.want {
			t.Errorf("cacheBytes(%d, %d) = %d, want %d", tt.memory, tt.images, got, tt.want)
		}
	}
}
