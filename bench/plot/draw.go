package plot

import (
	"bytes"
	"encoding/xml"
	"fmt"
	"strconv"
	"strings"
)

// style is for both kinds of pages: an SVG that is shown as an image knows whether its reader prefers dark ones. The
// colours are Okabe and Ito's, which people who see fewer colours can tell apart; marks and names tell it as well.
const style = `
	svg { background: #ffffff; }
	text { font: 13px system-ui, "Segoe UI", "DejaVu Sans", sans-serif; fill: #24292f; }
	.title { font-size: 15px; font-weight: 600; }
	.tick, .label, .value { fill: #57606a; }
	.tick { font-size: 12px; }
	.grid { stroke: #d8dee4; stroke-width: 1; }
	.axis { stroke: #57606a; stroke-width: 1; }
	.curve { fill: none; stroke-width: 2.25; stroke-linejoin: round; }
	.level { stroke-dasharray: 6 4; }
	.spread { opacity: 0.18; stroke: none; }
	.whisker { stroke: #24292f; stroke-width: 1.25; }
	.c0 { color: #0072b2; } .c1 { color: #d55e00; } .c2 { color: #009e73; } .c3 { color: #b5679a; } .c4 { color: #8a7a00; } .c5 { color: #57606a; }
	.curve { stroke: currentColor; }
	.fill, .spread, .name { fill: currentColor; }
	.name { font-weight: 600; }
	@media (prefers-color-scheme: dark) {
		svg { background: #0d1117; }
		text { fill: #e6edf3; }
		.tick, .label, .value { fill: #9198a1; }
		.grid { stroke: #2b3138; }
		.axis { stroke: #9198a1; }
		.whisker { stroke: #e6edf3; }
		.c0 { color: #56b4e9; } .c1 { color: #ff9248; } .c2 { color: #2fc79b; } .c3 { color: #e29ccb; } .c4 { color: #e8d94a; } .c5 { color: #b1bac4; }
		.fill, .spread, .name { fill: currentColor; }
	}
`

// colours is how many classes c0, c1, … there are; after them it begins again.
const colours = 6

type drawing struct{ b bytes.Buffer }

func newDrawing(width, height float64, title string) *drawing {
	d := &drawing{}
	fmt.Fprintf(&d.b, `<svg xmlns="http://www.w3.org/2000/svg" width="%[1]s" height="%[2]s" viewBox="0 0 %[1]s %[2]s" role="img" aria-label="%[3]s">`+"\n<style>%[4]s</style>\n",
		pixel(width), pixel(height), escape(title), style)
	d.text("title", 16, 24, "start", title)
	return d
}

func (d *drawing) end() []byte {
	d.b.WriteString("</svg>\n")
	return d.b.Bytes()
}

func (d *drawing) line(class string, x1, y1, x2, y2 float64) {
	fmt.Fprintf(&d.b, `<line class="%s" x1="%s" y1="%s" x2="%s" y2="%s"/>`+"\n", class, pixel(x1), pixel(y1), pixel(x2), pixel(y2))
}

func (d *drawing) text(class string, x, y float64, anchor, text string) {
	fmt.Fprintf(&d.b, `<text class="%s" x="%s" y="%s" text-anchor="%s">%s</text>`+"\n", class, pixel(x), pixel(y), anchor, escape(text))
}

func (d *drawing) name(colour int, x, y float64, text string) {
	d.text("name "+class(colour), x, y, "start", text)
}

func (d *drawing) box(class string, x, y, w, h float64) {
	fmt.Fprintf(&d.b, `<rect class="%s" x="%s" y="%s" width="%s" height="%s" rx="2"/>`+"\n", class, pixel(x), pixel(y), pixel(w), pixel(h))
}

// curve draws a line's medians with a mark each, and the area between its quartiles.
func (d *drawing) curve(colour int, l Line, x, y scale) {
	c := class(colour)
	if len(l.Points) == 1 {
		p := l.Points[0]
		d.line("curve level "+c, x.place(p.X), y.place(p.Y), x.to, y.place(p.Y))
		d.mark(colour, x.place(p.X), y.place(p.Y))
		return
	}
	var medians, above, below []string
	for _, p := range l.Points {
		at := pixel(x.place(p.X))
		medians = append(medians, at+","+pixel(y.place(p.Y)))
		if p.High > 0 && p.Low > 0 {
			above = append(above, at+","+pixel(y.place(p.High)))
			below = append([]string{at + "," + pixel(y.place(p.Low))}, below...)
		}
	}
	if len(above) > 0 {
		fmt.Fprintf(&d.b, `<polygon class="spread %s" points="%s"/>`+"\n", c, strings.Join(append(above, below...), " "))
	}
	fmt.Fprintf(&d.b, `<polyline class="curve %s" points="%s"/>`+"\n", c, strings.Join(medians, " "))
	for _, p := range l.Points {
		d.mark(colour, x.place(p.X), y.place(p.Y))
	}
}

// mark draws a circle, a square or a diamond.
func (d *drawing) mark(colour int, x, y float64) {
	shape := fmt.Sprintf(`r="3.5" cx="%s" cy="%s"`, pixel(x), pixel(y))
	kind := "circle"
	if colour%3 != 0 {
		kind = "rect"
		shape = fmt.Sprintf(`x="%s" y="%s" width="6.4" height="6.4"`, pixel(x-3.2), pixel(y-3.2))
		if colour%3 == 2 {
			shape += fmt.Sprintf(` transform="rotate(45 %s %s)"`, pixel(x), pixel(y))
		}
	}
	fmt.Fprintf(&d.b, `<%s class="fill %s" %s/>`+"\n", kind, class(colour), shape)
}

func class(colour int) string { return "c" + strconv.Itoa(colour%colours) }

// pixel writes a coordinate with one digit after the point, if at all.
func pixel(v float64) string {
	return strings.TrimSuffix(strconv.FormatFloat(v, 'f', 1, 64), ".0")
}

func escape(s string) string {
	var b bytes.Buffer
	_ = xml.EscapeText(&b, []byte(s)) // a buffer takes everything
	return b.String()
}
