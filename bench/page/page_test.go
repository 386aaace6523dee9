package main

import (
	"bytes"
	"errors"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"coracle/bench/report"
)

func TestFill(t *testing.T) {
	const page = "by hand\n<!-- begin a -->\nold\n<!-- end a -->\nmore by hand\n<!-- begin b -->\nkept\n<!-- end b -->\n"
	for _, tt := range []struct {
		text, want string
		err        error
	}{
		{text: page, want: strings.Replace(page, "old", "\nnew\n", 1)},
		{text: "no markers\n", want: "no markers\n"},
		{text: "<!-- begin a -->\nold\n", err: errMarkers},
		{text: "old\n<!-- end a -->\n", err: errMarkers},
	} {
		got, err := fill(tt.text, map[string]string{"a": "new\n"})
		if got != tt.want || !errors.Is(err, tt.err) {
			t.Errorf("fill(%q) = %q, %v; want %q, %v", tt.text, got, err, tt.want, tt.err)
		}
	}
}

// results has launches (coracle 5 times bubblewrap, and no slower with more files) and reading.
func results() parts {
	launches := &report.Results{Machine: report.Machine{Part: "launch", Date: "2026-11-26", CPU: "a processor", Cores: 2, Memory: 24 << 30, Kernel: "6.18.44-x", Busy: 0.1, Peers: map[string]string{"bwrap": "0.8.0"}}}
	launches.Skip("apptainer", "apptainer is not installed")
	for i := range 3 {
		for _, files := range []float64{1e3, 1e6} {
			key := report.Key{Work: "exec true, {x} files", X: files, Unit: "ms"}
			launches.Add(key, bwrap, 2+float64(i))
			launches.Add(key, cold, 10+5*float64(i))
		}
	}
	ranked := &report.Results{Machine: report.Machine{Part: "ranks", Date: "2026-11-26", Cores: 2}}
	ranked.Add(report.Key{Work: "{x} × exec true at once", X: 64, Unit: "ms"}, ours, 320)
	ranked.Add(report.Key{Work: "exec true, server there", X: 1, Unit: "ms"}, ours, 10)
	reads := &report.Results{Machine: report.Machine{Part: "read", Date: "2026-11-27", Cores: 2}}
	for _, figure := range []struct{ name, unit string }{{"", "s"}, {"throughput", "MB/s"}} {
		key := report.Key{Work: "one big file, zstd", Figure: figure.name, Unit: figure.unit}
		reads.Add(key, ours, 2)
		reads.Add(key, "kernel", 4)
	}
	converts := &report.Results{Machine: report.Machine{Part: "convert", Date: "2026-11-27", Cores: 2}}
	converts.Add(report.Key{Work: "archive to image, zstd:3", Figure: "scratch space", Unit: "MiB"}, ours, 0)
	return parts{"launch": launches, "ranks": ranked, "read": reads, "convert": converts}
}

func TestBusy(t *testing.T) {
	all := results()
	if busy(all) {
		t.Error("busy with a tenth of two processors")
	}
	all["launch"].Machine.Busy = 1.5
	if !busy(all) || !strings.Contains(machines(all), "indications") {
		t.Error("not busy with one and a half of two processors")
	}
}

func TestTargets(t *testing.T) {
	got := targetTable(results(), targets)
	for _, want := range []string{
		"| first launch, 10³ files ÷ bubblewrap | ≤ 3 | 5.00 | 5.00 to 5.00 | 3 | **missed** |",
		"| first launch, 10⁶ files ÷ 10³ files | ≤ 1.1 | 1.00 | 1.00 to 1.00 | 3 | met |",
		"| 64 at once ÷ (64 single launches, server there ÷ cores) | ≤ 1.2 | 1.00 | 1.00 to 1.00 | 1 | met |",
		"| one big file, zstd: kernel ÷ ours | ≥ 1.8 | 2.00 | 2.00 to 2.00 | 1 | met |",
		"| scratch space, zstd:3, MiB | 0 | 0 | 0 to 0 | 1 | met |",
	} {
		if !strings.Contains(got, want+"\n") {
			t.Errorf("no line %q in\n%s", want, got)
		}
	}
	if n := strings.Count(got, "\n"); n != 2+6 {
		t.Errorf("%d lines, want the heading and a line for each target that there are results for:\n%s", n, got)
	}
}

// TestPage goes from files to files, twice: the second time nothing changes.
func TestPage(t *testing.T) {
	dir := t.TempDir()
	for part, r := range results() {
		var b bytes.Buffer
		if err := r.Write(&b); err != nil {
			t.Fatal(err)
		}
		write(t, filepath.Join(dir, part+".jsonl"), b.String())
	}
	page, readme := filepath.Join(dir, "page.md"), filepath.Join(dir, "README.md")
	section := func(name string) string { return "<!-- begin " + name + " -->\n<!-- end " + name + " -->\n" }
	write(t, page, section("machine")+section("targets")+section("launch")+section("overlay"))
	write(t, readme, "# coracle\n"+section("figures")+"more\n")
	var before []string
	for range 2 {
		if err := run(dir, dir, page, readme); err != nil {
			t.Fatal(err)
		}
		before = append(before, load(t, page)+load(t, readme)+load(t, filepath.Join(dir, "launch-files.svg")))
	}
	if before[0] != before[1] {
		t.Error("the second run changes what the first has written")
	}
	for _, want := range []string{
		"2 cores of a processor, 24 GiB of memory, Linux 6.18.44, on 2026-11-26.", "Left out: apptainer (apptainer is not installed).",
		"| exec true, 10³ files | 3 | 3.00 ms (2.50 to 3.50) | 15.0 ms (5.00 ×) |",
		"<!-- begin overlay -->\n<!-- end overlay -->", // no results: nothing changes
		"first launch of a job | 15.0 ms | 3.00 ms: bubblewrap on the unpacked directory |", "more\n", "<polyline",
	} {
		if !strings.Contains(before[0], want) {
			t.Errorf("no %q in\n%.6000s", want, before[0])
		}
	}
	if strings.Contains(before[0], "the next ones") {
		t.Error("a row of the README without its figures")
	}
	if err := run(t.TempDir(), dir, page, readme); err == nil {
		t.Error("no results, and no error")
	}
}

func write(t *testing.T, path, text string) {
	t.Helper()
	if err := os.WriteFile(path, []byte(text), 0o644); err != nil {
		t.Fatal(err)
	}
}

func load(t *testing.T, path string) string {
	t.Helper()
	data, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	return string(data)
}
