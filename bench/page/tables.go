package main

import (
	"fmt"
	"maps"
	"slices"
	"strings"

	"coracle/bench/report"
)

// order is that of the parts on the page.
var order = []string{"launch", "ranks", "read", "convert", "overlay", "mpi"}

// machines describes where the parts ran: once for all that ran on the same machine on the same day.
func machines(all parts) string {
	var lines []string
	names := map[string][]string{}
	for _, part := range order {
		if all[part] == nil {
			continue
		}
		m := all[part].Machine
		kernel, _, _ := strings.Cut(m.Kernel, "-")
		line := fmt.Sprintf("%d cores of %s, %.0f GiB of memory, Linux %s, on %s", m.Cores, m.CPU, float64(m.Memory)/(1<<30), kernel, m.Date)
		if names[line] == nil {
			lines = append(lines, line)
		}
		names[line] = append(names[line], part)
	}
	var b strings.Builder
	for _, line := range lines {
		if len(lines) > 1 {
			fmt.Fprintf(&b, "%s: ", strings.Join(names[line], ", "))
		}
		fmt.Fprintf(&b, "%s.\n", line)
	}
	fmt.Fprintf(&b, "Beside: %s.\n", strings.Join(versions(all), ", "))
	fmt.Fprintf(&b, "Processors that other work kept busy in the second before a part began: %s.\n", busyList(all))
	if busy(all) {
		b.WriteString("**So others were at work as well: take the figures of this run for indications, and its verdicts for none.**\n")
	}
	if left := leftOut(all); len(left) > 0 {
		fmt.Fprintf(&b, "Left out: %s.\n", strings.Join(left, "; "))
	}
	return b.String()
}

func versions(all parts) []string {
	found := map[string]string{}
	for _, r := range all {
		maps.Copy(found, r.Machine.Peers)
	}
	var list []string
	for _, name := range slices.Sorted(maps.Keys(found)) {
		list = append(list, strings.TrimSpace(name+" "+found[name]))
	}
	return list
}

func busyList(all parts) string {
	var list []string
	for _, part := range order {
		if all[part] != nil {
			list = append(list, fmt.Sprintf("%s %.2f", part, all[part].Machine.Busy))
		}
	}
	return strings.Join(list, ", ")
}

// busy reports whether a part began while a quarter of the processors was at work for others.
func busy(all parts) bool {
	for _, r := range all {
		if r.Machine.Busy > float64(r.Machine.Cores)/4 {
			return true
		}
	}
	return false
}

func leftOut(all parts) []string {
	var list []string
	for _, part := range order {
		if all[part] == nil {
			continue
		}
		for _, s := range all[part].Skipped {
			if text := s.What + " (" + s.Why + ")"; !slices.Contains(list, text) {
				list = append(list, text)
			}
		}
	}
	return list
}

// tables lists all that a benchmark measured: a table for each set of peers, a row for each key; the ratios are to the
// first column, pair by pair. Throughput is the same as time and stands in the charts.
func tables(r *report.Results) string {
	var heads []string // peers, joined
	rows := map[string]string{}
	for _, k := range r.Keys() {
		if k.Figure == "throughput" {
			continue
		}
		peers := peersIn(r, k)
		head := strings.Join(peers, " | ")
		if rows[head] == "" {
			heads = append(heads, head)
			rows[head] = fmt.Sprintf("| | n | %s |\n|---|---|%s\n", head, strings.Repeat("---|", len(peers)))
		}
		first := r.Peers(k)[0]
		rows[head] += fmt.Sprintf("| %s | %d |", k, len(first.Samples))
		for _, peer := range peers {
			rows[head] += strings.TrimRight(" "+cell(r, k, peer, first), " ") + " |"
		}
		rows[head] += "\n"
	}
	var all []string
	for _, head := range heads {
		all = append(all, rows[head])
	}
	return strings.Join(all, "\n")
}

// peersIn returns the peers of a work's figure, whatever varies.
func peersIn(r *report.Results, k report.Key) []string {
	var peers []string
	for _, s := range r.Series {
		if s.Work == k.Work && s.Figure == k.Figure && !slices.Contains(peers, s.Peer) {
			peers = append(peers, s.Peer)
		}
	}
	return peers
}

// cell is a median, with the quartiles for the first peer and the ratio for the others.
func cell(r *report.Results, k report.Key, peer string, first *report.Series) string {
	s := r.Find(k, peer)
	if s == nil {
		return ""
	}
	sum := s.Summary()
	text := strings.TrimSpace(report.Number(sum.Median) + " " + k.Unit)
	if s != first {
		ratio := report.Ratio(s, first)
		if ratio.N == 0 {
			return text
		}
		return fmt.Sprintf("%s (%s ×)", text, report.Number(ratio.Median))
	}
	if sum.Low == sum.High {
		return text
	}
	return fmt.Sprintf("%s (%s to %s)", text, report.Number(sum.Low), report.Number(sum.High))
}
