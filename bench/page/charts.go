package main

import (
	"slices"
	"strings"

	"coracle/bench/plot"
	"coracle/bench/report"
)

// chartsOf returns the charts by file name.
func chartsOf(all parts) map[string][]byte {
	charts := map[string][]byte{
		"launch-files.svg": lines(all["launch"], "exec true, {x} files", plot.Chart{
			Title: "Starting /bin/true: time against the size of the image",
			X:     plot.Axis{Label: "files in the image", Log: true}, Y: plot.Axis{Label: "ms, median and quartiles"},
		}),
		"launch-ranks.svg": lines(all["ranks"], "{x} × exec true at once", plot.Chart{
			Title: "Starting /bin/true many times at once: until the last has ended",
			X:     plot.Axis{Label: "launches at once", Log: true, Base: 2}, Y: plot.Axis{Label: "ms, median and quartiles", Log: true},
		}),
		"read.svg":    bars(all["read"], "Reading through a fresh mount: throughput", []panel{{"throughput", "MB/s of contents"}}),
		"convert.svg": bars(all["convert"], "An OCI archive of 1 GB becomes one file", []panel{{"", "seconds"}, {"peak memory", "peak memory, MiB"}}),
	}
	for name, svg := range charts {
		if svg == nil {
			delete(charts, name)
		}
	}
	return charts
}

// lines adds a curve for each peer of a work to a chart.
func lines(r *report.Results, work string, c plot.Chart) []byte {
	if r == nil {
		return nil
	}
	for _, peer := range peersOf(r, func(s *report.Series) bool { return s.Work == work && s.Figure == "" }) {
		l := plot.Line{Name: peer}
		for _, s := range r.Series {
			if s.Work == work && s.Figure == "" && s.Peer == peer {
				sum := s.Summary()
				l.Points = append(l.Points, plot.Point{X: s.X, Y: sum.Median, Low: sum.Low, High: sum.High})
			}
		}
		slices.SortFunc(l.Points, func(a, b plot.Point) int { return int(a.X - b.X) })
		c.Lines = append(c.Lines, l)
	}
	return c.SVG()
}

// A panel is one figure of a benchmark's works.
type panel struct{ figure, label string }

func bars(r *report.Results, title string, panels []panel) []byte {
	if r == nil {
		return nil
	}
	c := plot.BarChart{Title: title}
	for _, p := range panels {
		out := plot.Panel{Label: p.label}
		for _, k := range r.Keys() {
			if k.Figure != p.figure {
				continue
			}
			g := plot.Group{Name: k.Work}
			for _, s := range r.Peers(k) {
				sum := s.Summary()
				g.Bars = append(g.Bars, plot.Bar{Name: s.Peer, Value: sum.Median, Low: sum.Low, High: sum.High})
			}
			out.Groups = append(out.Groups, g)
		}
		if len(out.Groups) == 0 {
			return nil
		}
		c.Panels = append(c.Panels, out)
	}
	return c.SVG()
}

// peersOf returns the peers of the series that are wanted, ours first.
func peersOf(r *report.Results, want func(*report.Series) bool) []string {
	var first, others []string
	for _, s := range r.Series {
		switch {
		case !want(s) || slices.Contains(first, s.Peer) || slices.Contains(others, s.Peer):
		case strings.HasPrefix(s.Peer, ours):
			first = append(first, s.Peer)
		default:
			others = append(others, s.Peer)
		}
	}
	return append(first, others...)
}
