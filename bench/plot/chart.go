// Package plot draws the few kinds of charts that benchmarks need as SVG: curves with quartiles, and bars. It has no
// dependencies, the same data gives the same bytes, and a chart can be read on light and dark pages.
package plot

import (
	"math"
	"strconv"
)

// A Chart is curves over a common X axis.
type Chart struct {
	Title string
	X, Y  Axis
	Lines []Line
}

// An Axis is labelled with its unit.
type Axis struct {
	Label string
	Log   bool // powers of Base; values are positive
	// Base is that of the logarithmic ticks: 0 means 10.
	Base float64
}

// A Line is one peer's. One with a single point is drawn from there as a level, dashed.
type Line struct {
	Name   string
	Points []Point // by ascending X
}

// A Point is a median between its quartiles.
type Point struct{ X, Y, Low, High float64 }

// The drawing, in pixels.
const (
	width, height            = 760, 420
	left, right, top, bottom = 76, 214, 66, 58 // around the plotting area; names stand on the right
	lineHeight               = 17
)

// SVG draws the chart. It returns nil if there is nothing to draw.
func (c Chart) SVG() []byte {
	x, y := c.ranges()
	if x.max < x.min || y.max < y.min {
		return nil
	}
	d := newDrawing(width, height, c.Title)
	x.from, x.to = left, width-right
	y.from, y.to = height-bottom, top
	for _, t := range y.ticks() {
		at := y.place(t)
		d.line("grid", left, at, width-right, at)
		d.text("tick", left-8, at+4, "end", number(t))
	}
	for _, t := range x.ticks() {
		at := x.place(t)
		d.line("grid", at, height-bottom, at, height-bottom+5)
		d.text("tick", at, height-bottom+20, "middle", number(t))
	}
	d.line("axis", left, height-bottom, width-right, height-bottom)
	d.text("label", (left+width-right)/2, height-14, "middle", c.X.Label)
	d.text("label", left-60, top-14, "start", c.Y.Label)
	ends := make([]float64, len(c.Lines))
	for i, l := range c.Lines {
		if len(l.Points) > 0 {
			d.curve(i, l, x, y)
			ends[i] = y.place(l.Points[len(l.Points)-1].Y)
		}
	}
	for i, at := range apart(ends, top, height-bottom) {
		if len(c.Lines[i].Points) > 0 {
			d.name(i, width-right+12, at+4, c.Lines[i].Name)
		}
	}
	return d.end()
}

// ranges returns what the axes have to span. Linear ones begin at 0.
func (c Chart) ranges() (x, y scale) {
	x, y = newScale(c.X), newScale(c.Y)
	for _, l := range c.Lines {
		for _, p := range l.Points {
			x.include(p.X)
			for _, v := range []float64{p.Y, p.Low, p.High} {
				if v != 0 || !c.Y.Log {
					y.include(v)
				}
			}
		}
	}
	y.widen()
	return x, y
}

// apart moves heights away from each other so that lines of text at them do not overlap, and keeps their order.
func apart(at []float64, low, high float64) []float64 {
	order := make([]int, 0, len(at))
	for i := range at {
		j := 0
		for j < len(order) && at[order[j]] <= at[i] {
			j++
		}
		order = append(order[:j], append([]int{i}, order[j:]...)...)
	}
	out := make([]float64, len(at))
	next := low
	for _, i := range order {
		out[i] = max(at[i], next)
		next = out[i] + lineHeight
	}
	limit := high
	for k := len(order) - 1; k >= 0; k-- {
		i := order[k]
		out[i] = min(out[i], limit)
		limit = out[i] - lineHeight
	}
	return out
}

// number writes a tick: powers of ten from 10 000 on as such.
func number(v float64) string {
	exp := math.Log10(v)
	if v >= 1e4 && exp == math.Trunc(exp) {
		out := []rune("10")
		for _, d := range strconv.Itoa(int(exp)) {
			out = append(out, []rune("⁰¹²³⁴⁵⁶⁷⁸⁹")[d-'0'])
		}
		return string(out)
	}
	return strconv.FormatFloat(math.Round(v*1e6)/1e6, 'f', -1, 64)
}
