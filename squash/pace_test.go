package squash

import (
	"testing"
	"time"
)

// A source is slow when more than one read in five is, for some time, and large reads may take longer.
func TestPace(t *testing.T) {
	for _, tt := range []struct {
		name  string
		every int // one read in so many is slow
		slow  bool
	}{{"all", 1, true}, {"one in four", 4, true}, {"one in six", 6, false}, {"one in a hundred", 100, false}} {
		var r Reader
		for i := range 2000 {
			took := slowRead
			if i%tt.every == 0 {
				took = 2*slowRead + 1
			}
			r.pace.note(int(slowRead), took)
		}
		if got := r.Slow(); got != tt.slow {
			t.Errorf("%s: slow is %v, want %v", tt.name, got, tt.slow)
		}
		for range lateMost {
			r.pace.note(4096, 10*time.Microsecond)
		}
		if r.Slow() {
			t.Errorf("%s: still slow after %d reads from memory", tt.name, lateMost)
		}
	}
}
