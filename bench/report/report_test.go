package report

import (
	"bytes"
	"reflect"
	"strings"
	"testing"
)

func TestSummarize(t *testing.T) {
	for _, tt := range []struct {
		in   []float64
		want Summary
	}{
		{nil, Summary{}},
		{[]float64{7}, Summary{7, 7, 7, 1}},
		{[]float64{3, 1}, Summary{2, 1.5, 2.5, 2}}, // between two samples
		{[]float64{5, 1, 4, 2, 3}, Summary{3, 2, 4, 5}},
	} {
		if got := Summarize(tt.in); got != tt.want {
			t.Errorf("Summarize(%v) = %+v, want %+v", tt.in, got, tt.want)
		}
	}
}

// TestRatio: the machine is ten times as slow for the second pair, and the ratio does not notice.
func TestRatio(t *testing.T) {
	a := &Series{Samples: []float64{2, 20, 2, 9}}
	b := &Series{Samples: []float64{1, 10, 1}}
	if got, want := Ratio(a, b), (Summary{2, 2, 2, 3}); got != want {
		t.Errorf("Ratio = %+v, want %+v", got, want)
	}
	zero := &Series{Samples: []float64{0, 1}}
	if got, want := Ratio(b, zero), (Summary{10, 10, 10, 1}); got != want {
		t.Errorf("Ratio with 0 below = %+v, want %+v", got, want)
	}
	if got := Ratio(a, nil); got != (Summary{}) {
		t.Errorf("Ratio(a, nil) = %+v, want none", got)
	}
}

func sample() *Results {
	r := &Results{Machine: Machine{Part: "launch", Date: "2026-11-26", CPU: "a <processor>", Cores: 2, Memory: 1 << 34, Peers: map[string]string{"bwrap": "0.8.0"}}}
	r.Skip("apptainer", "not installed")
	r.Skip("apptainer", "not installed")
	for i := range 3 {
		for _, x := range []float64{10, 1000} {
			k := Key{Work: "true, {x} files", X: x, Unit: "ms"}
			r.Add(k, "bwrap", 2.5+float64(i))
			r.Add(k, "coracle", 5+float64(i))
		}
		r.Add(Key{Work: "memory", Unit: "MiB"}, "coracle", 3)
	}
	return r
}

func TestLines(t *testing.T) {
	r := sample()
	var b bytes.Buffer
	if err := r.Write(&b); err != nil {
		t.Fatal(err)
	}
	text := b.String()
	got, err := Read(strings.NewReader(text))
	if err != nil || !reflect.DeepEqual(got, r) {
		t.Errorf("Read(Write(r)) = %+v, %v; want %+v", got, err, r)
	}
	lines := strings.SplitAfter(text, "\n")
	for _, bad := range []string{"", "{", lines[0] + "{}\n", lines[0] + `{"work":"w","peer":"p"}`, lines[0] + "7\n"} {
		if _, err := Read(strings.NewReader(bad)); err == nil {
			t.Errorf("Read(%q) has no error", bad)
		}
	}
}

func TestKeys(t *testing.T) {
	want := []Key{{Work: "true, {x} files", X: 10, Unit: "ms"}, {Work: "true, {x} files", X: 1000, Unit: "ms"}, {Work: "memory", Unit: "MiB"}}
	if got := sample().Keys(); !reflect.DeepEqual(got, want) {
		t.Errorf("Keys() = %v, want %v", got, want)
	}
}

func TestText(t *testing.T) {
	var b strings.Builder
	if err := sample().Text(&b); err != nil {
		t.Fatal(err)
	}
	for _, want := range []string{"left out: apptainer: not installed\n", "true, 10³ files, n = 3\n", "6.00 ms", "5.50 to 6.50", "1.71"} {
		if !strings.Contains(b.String(), want) {
			t.Errorf("Text has no %q:\n%s", want, &b)
		}
	}
}

func TestNumber(t *testing.T) {
	for in, want := range map[float64]string{0: "0", 0.01234: "0.012", 1.2345: "1.23", 12.345: "12.3", 1234.5: "1234", -2.5: "-2.50"} {
		if got := Number(in); got != want {
			t.Errorf("Number(%v) = %q, want %q", in, got, want)
		}
	}
	for in, want := range map[float64]string{1: "1", 64: "64", 1000: "10³", 1e6: "10⁶", 2000: "2000"} {
		if got := Count(in); got != want {
			t.Errorf("Count(%v) = %q, want %q", in, got, want)
		}
	}
}

func TestRound(t *testing.T) {
	for in, want := range map[float64]float64{0: 0, 1.2345678: 1.2346, 123456.7: 123457, 0.000123456: 0.00012346} {
		if got := round(in); got != want {
			t.Errorf("round(%v) = %v, want %v", in, got, want)
		}
	}
}
