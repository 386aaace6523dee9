// Command page turns the results of benchmarks into docs/performance.md: a table of targets and figures, tables of
// everything measured, and charts. It also fills in the table of the README. Only what stands between markers
// (<!-- begin NAME --> and <!-- end NAME -->) is replaced; parts that have no results keep what they have.
//
//	page [-results docs/performance] [-charts docs/performance] [-page docs/performance.md] [-readme README.md]
package main

import (
	"errors"
	"flag"
	"fmt"
	"os"
	"path/filepath"

	"coracle/bench/report"
)

func main() {
	results := flag.String("results", "docs/performance", "`directory` with PART.jsonl of each benchmark")
	charts := flag.String("charts", "docs/performance", "`directory` for the charts")
	page := flag.String("page", "docs/performance.md", "`file` with markers")
	readme := flag.String("readme", "README.md", "`file` with markers; empty: none")
	flag.Parse()
	if err := run(*results, *charts, *page, *readme); err != nil {
		fmt.Fprintln(os.Stderr, "page:", err)
		os.Exit(1)
	}
}

func run(results, charts, page, readme string) error {
	all, err := read(results)
	if err != nil {
		return err
	}
	if err := draw(all, charts); err != nil {
		return err
	}
	sections := map[string]string{"machine": machines(all), "targets": targetTable(all, targets)}
	for part, r := range all {
		sections[part] = tables(r)
	}
	if err := fillFile(page, sections); err != nil {
		return err
	}
	if readme == "" {
		return nil
	}
	return fillFile(readme, map[string]string{"figures": figures(all, readmeRows)})
}

// parts are the results by benchmark.
type parts map[string]*report.Results

// read reads the results that are there.
func read(dir string) (parts, error) {
	files, err := filepath.Glob(filepath.Join(dir, "*.jsonl"))
	if err != nil {
		return nil, err
	}
	all := parts{}
	for _, file := range files {
		f, err := os.Open(file)
		if err != nil {
			return nil, err
		}
		r, err := report.Read(f)
		f.Close()
		if err != nil {
			return nil, fmt.Errorf("%s: %w", file, err)
		}
		all[r.Machine.Part] = r
	}
	if len(all) == 0 {
		return nil, fmt.Errorf("no results in %s (`make bench` makes them)", dir)
	}
	return all, nil
}

func fillFile(path string, sections map[string]string) error {
	old, err := os.ReadFile(path)
	if err != nil {
		return err
	}
	text, err := fill(string(old), sections)
	if err != nil {
		return fmt.Errorf("%s: %w", path, err)
	}
	return os.WriteFile(path, []byte(text), 0o644)
}

// draw writes the charts that there are results for.
func draw(all parts, dir string) error {
	var errs []error
	for name, svg := range chartsOf(all) {
		errs = append(errs, os.WriteFile(filepath.Join(dir, name), svg, 0o644))
	}
	return errors.Join(errs...)
}
