package rules

import (
	"bytes"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strconv"
	"strings"
	"testing"
	"time"
)

// budget is what the initialisation of all packages may take together: it is paid at
// every launch, more than once.
const budget = time.Millisecond

// initLine is a line of GODEBUG=inittrace=1: the package and its clock time.
var initLine = regexp.MustCompile(`^init (\S+) @\S+ ms, (\S+) ms clock`)

// initTime runs a command and sums the clock time of the package initialisations of
// its first process.
func initTime(t *testing.T, args ...string) (total time.Duration, packages int) {
	t.Helper()
	cmd := exec.Command(args[0], args[1:]...)
	cmd.Env = append(os.Environ(), "GODEBUG=inittrace=1")
	var stderr bytes.Buffer
	cmd.Stderr = &stderr
	if err := cmd.Run(); err != nil {
		t.Fatalf("%s: %v\n%s", strings.Join(args, " "), err, &stderr)
	}
	seen := map[string]bool{}
	for line := range strings.Lines(stderr.String()) {
		m := initLine.FindStringSubmatch(line)
		if m == nil {
			continue
		}
		if seen[m[1]] {
			break // the next process of the launch
		}
		seen[m[1]] = true
		ms, err := strconv.ParseFloat(m[2], 64)
		if err != nil {
			t.Fatal(err)
		}
		total += time.Duration(ms * float64(time.Millisecond))
	}
	return total, len(seen)
}

// TestInitBudget sums package initialisation as the runtime itself measures it. The
// minimum of many runs leaves out what other work on the machine adds.
func TestInitBudget(t *testing.T) {
	binary, err := filepath.Abs("../../bin/coracle")
	if err != nil {
		t.Fatal(err)
	}
	if _, err := os.Stat(binary); err != nil {
		t.Skipf("%v (`make unit` makes it)", err)
	}
	best, packages := initTime(t, binary, "version")
	for range 30 {
		took, _ := initTime(t, binary, "version")
		best = min(best, took)
	}
	if packages == 0 {
		t.Fatal("the runtime traced no package initialisation")
	}
	t.Logf("%d packages initialise in %v", packages, best)
	if best > budget {
		t.Errorf("package initialisation takes %v, want at most %v (GODEBUG=inittrace=1 shows which)", best, budget)
	}
}
