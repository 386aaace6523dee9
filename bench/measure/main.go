// Package measure is what benchmarks share: their flags, an end by Ctrl-C that leaves nothing behind, rounds in which
// peers take turns, what a command took, and the machine.
package measure

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"io/fs"
	"iter"
	"os"
	"os/exec"
	"os/signal"
	"path/filepath"
	"strings"
	"syscall"

	"coracle/bench/report"
)

// A Run is one run of a benchmark.
type Run struct {
	context.Context // ends at Ctrl-C
	*report.Results
	Quick bool     // few rounds
	dirs  []string // to be removed at the end
}

// Main parses the flags (those of the benchmark are set up before), lets it run, and prints its results: as a text, or,
// with -json, as lines of JSON on stdout and the text on stderr. It exits with status 1 if run fails. A program that
// it started and that Ctrl-C has not reached (see [Apart]) is for run to end.
func Main(part string, run func(*Run) error) {
	asJSON := flag.Bool("json", false, "results as lines of JSON on stdout, the text on stderr")
	quick := flag.Bool("quick", false, "few rounds: less than a minute")
	flag.Parse()
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM, syscall.SIGHUP)
	defer stop()
	r := &Run{Context: ctx, Results: &report.Results{Machine: machine(part, *quick)}, Quick: *quick}
	err := run(r)
	if r.Err() != nil {
		err = errors.New("interrupted")
	}
	for _, dir := range r.dirs {
		err = errors.Join(err, remove(dir))
	}
	if err == nil {
		err = r.print(*asJSON)
	}
	if err != nil {
		fmt.Fprintf(os.Stderr, "%s: %v\n", part, err)
		os.Exit(1)
	}
}

func (r *Run) print(asJSON bool) error {
	text := os.Stdout
	if asJSON {
		text = os.Stderr
		if err := r.Write(os.Stdout); err != nil {
			return err
		}
	}
	return r.Text(text)
}

// Times chooses a number of rounds.
func (r *Run) Times(full, quick int) int {
	if r.Quick {
		return quick
	}
	return full
}

// Rounds counts from 0 to n-1, and stops at Ctrl-C.
func (r *Run) Rounds(n int) iter.Seq[int] {
	return func(yield func(int) bool) {
		for i := range n {
			if r.Err() != nil || !yield(i) {
				return
			}
		}
	}
}

// TempDir makes a directory that Main removes.
func (r *Run) TempDir(base string) (string, error) {
	dir, err := os.MkdirTemp(base, "bench-")
	if err == nil {
		r.dirs = append(r.dirs, dir)
	}
	return dir, err
}

// remove removes a tree, and what an overlay leaves in it: directories that even their owner may not look into.
func remove(dir string) error {
	_ = filepath.WalkDir(dir, func(path string, d fs.DirEntry, err error) error {
		if err == nil && d.IsDir() {
			_ = os.Chmod(path, 0o700) // RemoveAll tells what does not work
		}
		return nil
	})
	return os.RemoveAll(dir)
}

// Have reports whether a peer's programs are there. Their versions are noted; a peer that is not there is left out by
// name. An apptainer that is a link to coracle is no peer.
func (r *Run) Have(peer string, programs ...string) bool {
	for _, p := range programs {
		if _, err := exec.LookPath(p); err != nil {
			r.Skip(peer, p+" is not installed")
			return false
		}
		v := version(p)
		if strings.Contains(v, "coracle") {
			r.Skip(peer, p+" is coracle")
			return false
		}
		r.Machine.Peers[p] = v
	}
	return true
}
