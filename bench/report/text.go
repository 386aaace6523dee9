package report

import (
	"fmt"
	"io"
	"math"
	"strconv"
	"strings"
	"text/tabwriter"
)

// Text prints the results for people: a table for each thing that was measured. The ratio is that of the first peer's
// median in it, pair by pair: how many times the first one's time the others take.
func (r *Results) Text(out io.Writer) error {
	w := tabwriter.NewWriter(out, 0, 8, 2, ' ', tabwriter.AlignRight)
	for _, s := range r.Skipped {
		fmt.Fprintf(out, "left out: %s: %s\n", s.What, s.Why)
	}
	for _, k := range r.Keys() {
		list := r.Peers(k)
		fmt.Fprintf(w, "\n%s, n = %d\n", k, len(list[0].Samples))
		for _, s := range list {
			sum, ratio := s.Summary(), Ratio(s, list[0])
			fmt.Fprintf(w, "%s\t%s %s\t%s to %s\t%s\t(%s to %s)\t\n", s.Peer, Number(sum.Median), k.Unit, Number(sum.Low), Number(sum.High),
				Number(ratio.Median), Number(ratio.Low), Number(ratio.High))
		}
		if err := w.Flush(); err != nil {
			return err
		}
	}
	return nil
}

// String is a title: the work, the figure.
func (k Key) String() string {
	s := strings.ReplaceAll(k.Work, "{x}", Count(k.X))
	if k.Figure != "" {
		s += ", " + k.Figure
	}
	return s
}

// Number writes a figure with three significant digits, more before the point where they are there.
func Number(v float64) string {
	if v == 0 {
		return "0"
	}
	digits := 2 - int(math.Floor(math.Log10(math.Abs(v))))
	return strconv.FormatFloat(v, 'f', min(max(digits, 0), 3), 64)
}

// Count writes a round number for people: powers of ten above 999 as such.
func Count(v float64) string {
	exp := math.Log10(v)
	if v < 1000 || exp != math.Trunc(exp) {
		return strconv.FormatFloat(v, 'f', -1, 64)
	}
	out := []rune("10")
	for _, d := range strconv.Itoa(int(exp)) {
		out = append(out, []rune("⁰¹²³⁴⁵⁶⁷⁸⁹")[d-'0'])
	}
	return string(out)
}
