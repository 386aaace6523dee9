package env

import (
	"strings"
	"testing"
)

func TestCandidates(t *testing.T) {
	for command, want := range map[string]string{
		"true":      "/usr/local/sbin/true /usr/local/bin/true /usr/sbin/true /usr/bin/true /sbin/true /bin/true",
		"/bin/true": "/bin/true",
		"./true":    "./true",
	} {
		if got := strings.Join(Candidates(command), " "); got != want {
			t.Errorf("Candidates(%q) = %s, want %s", command, got, want)
		}
	}
}
