package plot

import "strconv"

// A BarChart is groups of horizontal bars that begin at 0.
type BarChart struct {
	Title  string
	Panels []Panel // side by side, each with an axis of its own; all have the same groups
}

// A Panel is one figure of all groups.
type Panel struct {
	Label  string // with its unit
	Groups []Group
}

// A Group is what peers are compared in.
type Group struct {
	Name string
	Bars []Bar
}

// A Bar is a median between its quartiles. The colour follows the name: the same peer has the same one everywhere.
type Bar struct {
	Name             string
	Value, Low, High float64
}

const (
	barHeight, barGap, groupGap = 16, 4, 30
	letter                      = 8  // about the width of one
	barValues                   = 60 // room behind the longest bar for its figure
)

// SVG draws the chart. It returns nil if there is nothing to draw.
func (c BarChart) SVG() []byte {
	names := c.names()
	if len(names) == 0 {
		return nil
	}
	tall, wide := 0.0, 0.0 // of the plotting area, of the column with the names
	for _, g := range c.Panels[0].Groups {
		tall += groupGap + float64(len(g.Bars))*(barHeight+barGap)
		wide = max(wide, float64(len([]rune(g.Name))*letter))
	}
	for name := range names {
		wide = max(wide, float64(len([]rune(name))*letter))
	}
	wide += 24
	d := newDrawing(width, top+tall+bottom-16, c.Title)
	each := (width - wide - 16) / float64(len(c.Panels))
	for i, p := range c.Panels {
		p.draw(d, names, wide+float64(i)*each, each, tall, i == 0)
	}
	return d.end()
}

// names returns the peers in the order in which they first come.
func (c BarChart) names() map[string]int {
	names := map[string]int{}
	for _, p := range c.Panels {
		for _, g := range p.Groups {
			for _, b := range g.Bars {
				if _, ok := names[b.Name]; !ok {
					names[b.Name] = len(names)
				}
			}
		}
	}
	return names
}

// draw draws a panel; the first one has the names.
func (p Panel) draw(d *drawing, names map[string]int, x, w, tall float64, first bool) {
	s := newScale(Axis{Label: p.Label})
	s.include(0)
	for _, g := range p.Groups {
		for _, b := range g.Bars {
			s.include(max(b.Value, b.High))
		}
	}
	s.widen()
	s.from, s.to = x, x+w-barValues
	for _, t := range s.ticks() {
		d.line("grid", s.place(t), top-8, s.place(t), top+tall)
		d.text("tick", s.place(t), top+tall+16, "middle", number(t))
	}
	d.text("label", (s.from+s.to)/2, top+tall+36, "middle", p.Label)
	y := float64(top)
	for _, g := range p.Groups {
		y += groupGap - 10
		if first {
			d.text("label", 16, y-4, "start", g.Name)
		}
		for _, b := range g.Bars {
			colour := names[b.Name]
			if first {
				d.text("name "+class(colour), x-8, y+barHeight-4, "end", b.Name)
			}
			d.box("fill "+class(colour), x, y, max(s.place(b.Value)-x, 1), barHeight)
			end := s.place(max(b.Value, b.High))
			if b.High > b.Low {
				d.line("whisker", s.place(b.Low), y+barHeight/2, s.place(b.High), y+barHeight/2)
			}
			d.text("value", end+6, y+barHeight-4, "start", short(b.Value))
			y += barHeight + barGap
		}
		y += 10
	}
	d.line("axis", x, top-8, x, top+tall)
}

// short writes a figure with three significant digits.
func short(v float64) string {
	switch {
	case v >= 100:
		return strconv.FormatFloat(v, 'f', 0, 64)
	case v >= 10:
		return strconv.FormatFloat(v, 'f', 1, 64)
	}
	return strconv.FormatFloat(v, 'f', 2, 64)
}
