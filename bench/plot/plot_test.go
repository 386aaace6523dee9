package plot

import (
	"bytes"
	"encoding/xml"
	"errors"
	"io"
	"reflect"
	"strings"
	"testing"
)

// parse checks that a drawing is well-formed and without wild coordinates, and returns its texts.
func parse(t *testing.T, svg []byte) (texts []string) {
	t.Helper()
	for _, bad := range []string{"NaN", "Inf"} {
		if bytes.Contains(svg, []byte(bad)) {
			t.Errorf("the drawing has %s", bad)
		}
	}
	dec := xml.NewDecoder(bytes.NewReader(svg))
	inText := false
	for {
		token, err := dec.Token()
		if errors.Is(err, io.EOF) {
			return texts
		}
		if err != nil {
			t.Fatalf("%v\n%s", err, svg)
		}
		switch tok := token.(type) {
		case xml.StartElement:
			inText = tok.Name.Local == "text"
		case xml.EndElement:
			inText = false
		case xml.CharData:
			if inText {
				texts = append(texts, string(tok))
			}
		}
	}
}

func TestChart(t *testing.T) {
	c := Chart{
		Title: "Launch <time>", X: Axis{Label: "files in the image", Log: true}, Y: Axis{Label: "ms"},
		Lines: []Line{
			{Name: "coracle & co", Points: []Point{{10, 12, 11, 13}, {1e3, 13, 12, 14}, {1e6, 14, 13, 19}}},
			{Name: "bwrap", Points: []Point{{1e3, 3, 0, 0}}}, // a level, without quartiles
			{Name: "not there"},
		},
	}
	svg := c.SVG()
	got := parse(t, svg)
	for _, want := range []string{"Launch <time>", "files in the image", "ms", "coracle & co", "bwrap", "10", "1000", "10⁶", "0", "20"} {
		if !contains(got, want) {
			t.Errorf("no text %q in %q", want, got)
		}
	}
	if contains(got, "not there") {
		t.Error("a line without points is named")
	}
	for what, want := range map[string]int{"<polyline": 1, "<polygon": 1, "curve level": 1} {
		if n := bytes.Count(svg, []byte(what)); n != want {
			t.Errorf("%d of %q, want %d", n, what, want)
		}
	}
	if !bytes.Equal(svg, c.SVG()) {
		t.Error("the same chart gives other bytes")
	}
}

func TestBars(t *testing.T) {
	groups := []Group{
		{"all files, zstd", []Bar{{"coracle", 200, 190, 220}, {"kernel", 120, 118, 125}}},
		{"one big file, zstd", []Bar{{"coracle", 900, 0, 0}}},
	}
	c := BarChart{Title: "Reading", Panels: []Panel{{"MB/s", groups}, {"MiB", groups}}}
	svg := c.SVG()
	got := parse(t, svg)
	for _, want := range []string{"Reading", "MB/s", "MiB", "all files, zstd", "one big file, zstd", "coracle", "kernel", "200", "900", "1000"} {
		if !contains(got, want) {
			t.Errorf("no text %q in %q", want, got)
		}
	}
	if n := bytes.Count(svg, []byte("<rect class=\"fill c0")); n != 4 {
		t.Errorf("%d bars of coracle in its colour, want 4", n)
	}
}

func TestNothing(t *testing.T) {
	if got := (Chart{Title: "t", Lines: []Line{{Name: "a"}}}).SVG(); got != nil {
		t.Errorf("a chart of nothing: %s", got)
	}
	if got := (BarChart{Title: "t", Panels: []Panel{{"x", nil}}}).SVG(); got != nil {
		t.Errorf("bars of nothing: %s", got)
	}
	// One point, one value: nothing to divide by.
	parse(t, Chart{Y: Axis{Log: true}, Lines: []Line{{Name: "a", Points: []Point{{X: 5, Y: 7}}}}}.SVG())
	parse(t, BarChart{Panels: []Panel{{"MiB", []Group{{"scratch", []Bar{{"coracle", 0, 0, 0}}}}}}}.SVG())
}

func TestTicks(t *testing.T) {
	for _, tt := range []struct {
		axis   Axis
		values []float64
		want   string
	}{
		{Axis{}, []float64{3, 17}, "0 5 10 15 20"},
		{Axis{}, []float64{0}, "0 0.2 0.4 0.6 0.8 1"},
		{Axis{Log: true}, []float64{3, 700}, "2 5 10 20 50 100 200 500 1000"},
		{Axis{Log: true}, []float64{10, 1e6}, "10 100 1000 10⁴ 10⁵ 10⁶"},
	} {
		s := newScale(tt.axis)
		for _, v := range tt.values {
			s.include(v)
		}
		s.widen()
		var got []string
		for _, v := range s.ticks() {
			got = append(got, number(v))
		}
		if strings.Join(got, " ") != tt.want {
			t.Errorf("ticks of %+v for %v = %q, want %q", tt.axis, tt.values, got, tt.want)
		}
	}
	s := scale{Axis: Axis{Log: true, Base: 2}, min: 1, max: 64, from: 0, to: 60}
	if got := s.ticks(); !reflect.DeepEqual(got, []float64{1, 2, 4, 8, 16, 32, 64}) || s.place(8) != 30 {
		t.Errorf("ticks of base 2 = %v, 8 at %v", got, s.place(8))
	}
}

func TestApart(t *testing.T) {
	for _, tt := range []struct{ in, want []float64 }{
		{[]float64{50, 100}, []float64{50, 100}},
		{[]float64{100, 99, 50}, []float64{116, 99, 50}}, // the order stays
		{[]float64{198, 199}, []float64{183, 200}},       // at the lower end
		{nil, []float64{}},
	} {
		if got := apart(tt.in, 0, 200); !reflect.DeepEqual(got, tt.want) {
			t.Errorf("apart(%v) = %v, want %v", tt.in, got, tt.want)
		}
	}
}

func contains(list []string, s string) bool {
	return strings.Contains("\x00"+strings.Join(list, "\x00")+"\x00", "\x00"+s+"\x00")
}
