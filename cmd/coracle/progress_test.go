//go:build !lean

package main

import (
	"testing"
	"time"
)

func TestLeft(t *testing.T) {
	const s = time.Second
	for _, tt := range []struct {
		done, size int64
		took       time.Duration
		want       string
	}{
		{10, 100, 2 * s, ""}, // too early
		{0, 100, 9 * s, ""},
		{100, 100, 9 * s, ""},
		{120, 100, 9 * s, ""},
		{50, 100, 9 * s, "  9 s left"},
		{1, 100, 3 * s, "  5 min left"},
		{1, 10000, 3 * s, "  8 h left"},
		{1, 1 << 62, 3 * s, "  3843071682022824 h left"},
	} {
		if got := left(tt.done, tt.size, tt.took, "  "); got != tt.want {
			t.Errorf("left(%d, %d, %v) = %q, want %q", tt.done, tt.size, tt.took, got, tt.want)
		}
	}
}
