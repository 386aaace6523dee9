package main

import (
	"fmt"
	"strconv"
	"strings"

	"coracle/bench/report"
)

// A ref names the samples of one peer.
type ref struct {
	part, work string
	x          float64
	figure     string
	peer       string
}

// find returns the samples, nil if they are not there.
func (p parts) find(r ref) *report.Series {
	if p[r.part] == nil {
		return nil
	}
	for _, s := range p[r.part].Series {
		if s.Work == r.work && s.X == r.x && s.Figure == r.figure && s.Peer == r.peer {
			return s
		}
	}
	return nil
}

// A target is a bound for a ratio, or for a figure if over is zero.
type target struct {
	what        string
	of, over    ref
	least, most float64 // one of the two; most = 0 without least means that nothing is allowed
	// times multiplies the ratio, cores is the number of processors; nil: 1.
	times func(cores float64) float64
}

// The names of peers, as the benchmarks have them.
const (
	ours  = "coracle"
	cold  = "coracle, first launch"
	warm  = "coracle, server there"
	bwrap = "bwrap, directory"
	umoci = "umoci + mksquashfs"
)

func launch(files float64, peer string) ref {
	return ref{part: "launch", work: "exec true, {x} files", x: files, peer: peer}
}
func ranks(n float64, peer string) ref {
	return ref{part: "ranks", work: "{x} × exec true at once", x: n, peer: peer}
}
func reading(work, peer string) ref { return ref{part: "read", work: work, peer: peer} }
func convert(comp, figure, peer string) ref {
	return ref{part: "convert", work: "archive to image, " + comp, figure: figure, peer: peer}
}

// targets are those of the project, in the order of the page.
var targets = append(append([]target{
	{what: "`exec true`, image server there ÷ bubblewrap", of: launch(1e3, warm), over: launch(1e3, bwrap), most: 1.5},
	{what: "first launch, 10³ files ÷ bubblewrap", of: launch(1e3, cold), over: launch(1e3, bwrap), most: 3},
	{what: "first launch, 10⁶ files ÷ bubblewrap", of: launch(1e6, cold), over: launch(1e6, bwrap), most: 3},
	{what: "first launch, 10⁶ files ÷ 10³ files", of: launch(1e6, cold), over: launch(1e3, cold), most: 1.1},
	{what: "Apptainer ÷ first launch, the same image", of: launch(1e3, "apptainer"), over: launch(1e3, cold), least: 10},
	{what: "64 at once ÷ (64 single launches, server there ÷ cores)", of: ranks(64, ours), over: ref{part: "ranks", work: "exec true, server there", x: 1, peer: ours},
		most: 1.2, times: func(cores float64) float64 { return cores / 64 }},
	{what: "processes of ours beside 64 ranks: the image server", of: ref{"ranks", "beside {x} payloads", 64, "processes", ours}, most: 1},
	{what: "its anonymous memory, MiB", of: ref{"ranks", "beside {x} payloads", 64, "anonymous memory", ours}, most: 50},
	{what: "the same after reading 50 000 files, MiB", of: ref{"read", "all files once, zstd", 0, "anonymous memory after it", ours}, most: 50},
}, readTargets()...), convertTargets()...)

// readTargets are for the kernel's loop mount ÷ ours.
func readTargets() (list []target) {
	for _, t := range []struct {
		work       string
		gzip, zstd float64
	}{
		{"walk with stat, first touch", 1.3, 1.3},
		{"walk with stat, again", 1.3, 1.3},
		{"names only, first touch", 0.5, 0.5},
		{"names only, again", 1.5, 1.5},
		{"all files once", 2.4, 1.7},
		{"python imports", 1.6, 1.3},
		{"one big file", 3.9, 1.8},
		{"3000 random 4 KiB reads", 1.8, 1.0},
	} {
		for i, comp := range []string{"gzip", "zstd"} {
			work := t.work + ", " + comp
			least := []float64{t.gzip, t.zstd}[i]
			list = append(list, target{what: work + ": kernel ÷ ours", of: reading(work, "kernel"), over: reading(work, ours), least: least})
		}
	}
	return list
}

func convertTargets() (list []target) {
	for _, comp := range []string{"zstd:3", "gzip:6"} {
		list = append(list,
			target{what: "conversion, " + comp + ": umoci and mksquashfs ÷ ours", of: convert(comp, "", umoci), over: convert(comp, "", ours), least: 2.5},
			target{what: "conversion, " + comp + ": Apptainer ÷ ours", of: convert(comp, "", "apptainer"), over: convert(comp, "", ours), least: 10},
			target{what: "peak memory, " + comp + ", MiB", of: convert(comp, "peak memory", ours), most: 256},
			target{what: "scratch space, " + comp + ", MiB", of: convert(comp, "scratch space", ours)},
			target{what: "size, " + comp + ": ours ÷ mksquashfs", of: convert(comp, "size", ours), over: convert(comp, "size", umoci), most: 1.02})
	}
	const again = "last layer changed, zstd:3"
	reusing, full := "coracle, reusing", "coracle, in full"
	for _, figure := range []string{"", "processor time"} {
		what := "conversion after a change of the last layer ÷ in full"
		if figure != "" {
			what += ", " + figure
		}
		list = append(list, target{what: what, of: ref{"convert", again, 0, figure, reusing}, over: ref{"convert", again, 0, figure, full}, most: 0.1})
	}
	return list
}

// measure returns what there is for a target; N is 0 if nothing is.
func (t target) measure(all parts) report.Summary {
	of := all.find(t.of)
	if of == nil {
		return report.Summary{}
	}
	if t.over == (ref{}) {
		return of.Summary()
	}
	s := report.Ratio(of, all.find(t.over))
	if t.times != nil {
		by := t.times(float64(all[t.of.part].Machine.Cores))
		s.Median, s.Low, s.High = s.Median*by, s.Low*by, s.High*by
	}
	return s
}

func (t target) met(s report.Summary) bool {
	if t.least > 0 {
		return s.Median >= t.least
	}
	return s.Median <= t.most
}

// targetTable leaves out targets that nothing was measured for.
func targetTable(all parts, list []target) string {
	var b strings.Builder
	b.WriteString("| What | Target | Measured | Quartiles | n | |\n|---|---|---|---|---|---|\n")
	for _, t := range list {
		s := t.measure(all)
		if s.N == 0 {
			continue
		}
		goal, verdict := "≤ "+plain(t.most), "met"
		if t.least > 0 {
			goal = "≥ " + plain(t.least)
		} else if t.most == 0 {
			goal = "0"
		}
		if !t.met(s) {
			verdict = "**missed**"
		}
		fmt.Fprintf(&b, "| %s | %s | %s | %s to %s | %d | %s |\n", t.what, goal, report.Number(s.Median), report.Number(s.Low), report.Number(s.High), s.N, verdict)
	}
	return b.String()
}

func plain(v float64) string { return strconv.FormatFloat(v, 'f', -1, 64) }
