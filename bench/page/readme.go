package main

import (
	"fmt"
	"strings"

	"coracle/bench/report"
)

// A row is one of the README's table; %s stands for figures in the order of its values.
type row struct {
	text   string
	values []value
}

// A value is a median with its unit, or a ratio.
type value struct{ of, over ref }

func (v value) text(all parts) string {
	s := all.find(v.of)
	if s == nil {
		return ""
	}
	if v.over == (ref{}) {
		return strings.TrimSpace(report.Number(s.Summary().Median) + " " + s.Unit)
	}
	ratio := report.Ratio(s, all.find(v.over))
	if ratio.N == 0 {
		return ""
	}
	return report.Number(ratio.Median)
}

func median(of ref) value { return value{of: of} }

var readmeRows = []row{
	{"`true` in a SIF of 10³ files, first launch of a job | %s | %s: bubblewrap on the unpacked directory", []value{median(launch(1e3, cold)), median(launch(1e3, bwrap))}},
	{"the same with 10⁶ files | %s |", []value{median(launch(1e6, cold))}},
	{"the next ones, and in a directory | %s, %s | %s: bubblewrap, %s: ch-run", []value{median(launch(1e3, warm)), median(launch(1e3, "coracle, directory")), median(launch(1e3, bwrap)), median(launch(1e3, "ch-run, directory"))}},
	{"64 launches of a 275 MB image at once | %s | %s: bubblewrap on the unpacked tree; %s: squashfuse_ll for each",
		[]value{median(ranks(64, ours)), median(ranks(64, bwrap)), median(ranks(64, "squashfuse_ll each, bwrap"))}},
	{"reading all of 32 000 files, gzip and zstd | 1 | %s and %s: squashfuse_ll; %s and %s: the kernel's loop mount", []value{
		{reading("all files once, gzip", "squashfuse_ll"), reading("all files once, gzip", ours)},
		{reading("all files once, zstd", "squashfuse_ll"), reading("all files once, zstd", ours)},
		{reading("all files once, gzip", "kernel"), reading("all files once, gzip", ours)},
		{reading("all files once, zstd", "kernel"), reading("all files once, zstd", ours)},
	}},
	{"memory of the image server after reading 32 000 files | %s | one for all ranks of a job on a node", []value{median(ref{"read", "all files once, zstd", 0, "anonymous memory after it", ours})}},
	{"a 0.94 GB OCI image to one file | %s, %s, no scratch space | %s, %s, %s: umoci and mksquashfs", []value{
		median(convert("zstd:3", "", ours)), median(convert("zstd:3", "peak memory", ours)),
		median(convert("zstd:3", "", umoci)), median(convert("zstd:3", "peak memory", umoci)), median(convert("zstd:3", "scratch space", umoci)),
	}},
}

// figures is the table; rows that lack a figure are left out.
func figures(all parts, rows []row) string {
	var b strings.Builder
	b.WriteString("| | coracle | beside |\n|---|---|---|\n")
next:
	for _, r := range rows {
		var texts []any
		for _, v := range r.values {
			text := v.text(all)
			if text == "" {
				continue next
			}
			texts = append(texts, text)
		}
		fmt.Fprintf(&b, "| "+r.text+" |\n", texts...)
	}
	return b.String()
}
