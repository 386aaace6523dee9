package rules

import (
	"errors"
	"fmt"
	"os"
	"strconv"
	"strings"
	"testing"
)

// countsFile holds what the guard expects: how much work things are, counted and not timed. To renew it after a
// deliberate change:
//
//	UPDATE=1 go test -run 'Test(Call)?Counts|TestInstructions' ./e2e/rules
const countsFile = "testdata/counts.txt"

// A count is a line of the file.
type count struct {
	want      float64
	tolerance float64 // per cent that it may be more
}

var errCounts = errors.New("counts")

// parseCounts reads lines of "NAME WANT TOLERANCE%"; "#" begins a comment.
func parseCounts(text string) (map[string]count, error) {
	counts := map[string]count{}
	for line := range strings.Lines(text) {
		line, _, _ = strings.Cut(line, "#")
		f := strings.Fields(line)
		if len(f) == 0 {
			continue
		}
		if len(f) != 3 {
			return nil, fmt.Errorf("%w: %q: want a name, a number and a tolerance", errCounts, strings.TrimSpace(line))
		}
		want, err := strconv.ParseFloat(f[1], 64)
		if err != nil {
			return nil, fmt.Errorf("%w: %q: %w", errCounts, f[0], err)
		}
		tolerance, err := strconv.ParseFloat(strings.TrimSuffix(f[2], "%"), 64)
		if err != nil || tolerance < 0 {
			return nil, fmt.Errorf("%w: %q: tolerance %q", errCounts, f[0], f[2])
		}
		if _, ok := counts[f[0]]; ok {
			return nil, fmt.Errorf("%w: %q twice", errCounts, f[0])
		}
		counts[f[0]] = count{want, tolerance}
	}
	return counts, nil
}

// renewCounts puts new numbers into the lines of a file's text; tolerances and comments stay as they are.
func renewCounts(text string, got map[string]float64) string {
	var b strings.Builder
	for line := range strings.Lines(text) {
		if f := strings.Fields(line); len(f) >= 3 && !strings.HasPrefix(f[0], "#") {
			if v, ok := got[f[0]]; ok {
				line = strings.Replace(line, " "+f[1]+" ", " "+strconv.FormatFloat(v, 'f', -1, 64)+" ", 1)
			}
		}
		b.WriteString(line)
	}
	return b.String()
}

// most is the largest figure that is still good.
func (c count) most() float64 { return c.want * (1 + c.tolerance/100) }

// checkCounts compares figures with the file, or renews it.
func checkCounts(t *testing.T, got map[string]float64) {
	t.Helper()
	text, err := os.ReadFile(countsFile)
	if err != nil {
		t.Fatal(err)
	}
	if os.Getenv("UPDATE") != "" {
		if err := os.WriteFile(countsFile, []byte(renewCounts(string(text), got)), 0o644); err != nil {
			t.Fatal(err)
		}
		return
	}
	want, err := parseCounts(string(text))
	if err != nil {
		t.Fatal(err)
	}
	for name, v := range got {
		c, ok := want[name]
		if !ok {
			t.Errorf("%s has no line for %s: %v", countsFile, name, v)
			continue
		}
		t.Logf("%s: %v (%v)", name, v, c.want)
		if v > c.most() {
			t.Errorf("%s: %v, want at most %v, which is %v and %v %%: %s tells what to do", name, v, c.most(), c.want, c.tolerance, countsFile)
		}
	}
}

func TestParseCounts(t *testing.T) {
	got, err := parseCounts("# of work\n\na/b 12 5%  # why\nc 1.5 0%\n")
	if err != nil || len(got) != 2 || got["a/b"] != (count{12, 5}) || got["c"] != (count{1.5, 0}) {
		t.Errorf("parseCounts = %v, %v", got, err)
	}
	for _, bad := range []string{"a\n", "a 1\n", "a x 5%\n", "a 1 -5%\n", "a 1 b%\n", "a 1 5%\na 1 5%\n"} {
		if _, err := parseCounts(bad); !errors.Is(err, errCounts) {
			t.Errorf("parseCounts(%q): error %v", bad, err)
		}
	}
	if got, want := renewCounts("# a 1 2%\na 1 5%  # why 1\nb 1 5%\n", map[string]float64{"a": 7}), "# a 1 2%\na 7 5%  # why 1\nb 1 5%\n"; got != want {
		t.Errorf("renewCounts = %q, want %q", got, want)
	}
}

func TestMost(t *testing.T) {
	for c, want := range map[count]float64{{100, 0}: 100, {100, 5}: 105, {0, 10}: 0} {
		if got := c.most(); got != want {
			t.Errorf("%+v.most() = %v, want %v", c, got, want)
		}
	}
}
