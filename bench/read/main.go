// Command read measures reading files through coracle's image server side by
// side with its peers, squashfuse_ll and the kernel's own squashfs, and prints
// medians and ratios. Absolute times say little on a shared machine; the peers
// take turns, so that a ratio holds for the same minute.
//
//	read -tree tree.sqfs -big big.sqfs [-runs 5] [-peers ours,kernel,squashfuse_ll]
//
// The tree image should hold usr/bin/python3.* with numpy, scipy and sympy for
// the import workload; the big one, one file of some hundred MiB. The kernel
// peer needs root. Image files are read once before, so that they are in the
// page cache and what is measured is the processor's work.
package main

import (
	"flag"
	"fmt"
	"io"
	"os"
	"slices"
	"strings"
	"time"
)

func main() {
	if len(os.Args) > 1 && os.Args[1] == "serve" {
		if err := serve(os.Args[2:]); err != nil {
			fmt.Fprintln(os.Stderr, "serve:", err)
			os.Exit(1)
		}
		return
	}
	if err := run(); err != nil {
		fmt.Fprintln(os.Stderr, "read:", err)
		os.Exit(1)
	}
}

func run() error {
	tree := flag.String("tree", "", "`image` with many files")
	big := flag.String("big", "", "`image` with one big file")
	runs := flag.Int("runs", 5, "how often each workload is run by each peer")
	names := flag.String("peers", "ours,kernel,squashfuse_ll", "comma separated; the first is what the others are compared with")
	only := flag.String("only", "", "run workloads with this in their name")
	profile := flag.String("profile", "", "directory for processor profiles of our server")
	flag.Parse()
	var ps []peer
	for name := range strings.SplitSeq(*names, ",") {
		p, why := newPeer(name, *profile)
		if why != "" {
			fmt.Printf("skip %s: %s\n", name, why)
			continue
		}
		ps = append(ps, p)
	}
	if len(ps) == 0 {
		return fmt.Errorf("no peer is left")
	}
	for _, set := range []struct {
		image string
		works []work
	}{{*tree, treeWorks}, {*big, bigWorks}} {
		if set.image == "" {
			continue
		}
		if err := warm(set.image); err != nil {
			return err
		}
		for _, w := range set.works {
			if !strings.Contains(w.name, *only) {
				continue
			}
			if err := compare(set.image, w, ps, *runs); err != nil {
				return err
			}
		}
	}
	return nil
}

// warm reads a file so that it is in the page cache.
func warm(path string) error {
	f, err := os.Open(path)
	if err != nil {
		return err
	}
	defer f.Close()
	_, err = io.Copy(io.Discard, f)
	return err
}

// compare runs one workload in turn on all peers and prints a line for each of
// its phases.
func compare(image string, w work, ps []peer, runs int) error {
	times := make([][]phase, len(ps)) // by peer, then phase
	memory := make([][]int64, len(ps))
	for i := range ps {
		times[i] = make([]phase, len(w.phases))
	}
	for range runs {
		for i, p := range ps {
			if err := measure(image, w, p, times[i], &memory[i]); err != nil {
				return fmt.Errorf("%s, %s: %w", w.name, p.name(), err)
			}
		}
	}
	for ph, label := range w.phases {
		printLine(label, ps, func(i int) time.Duration { return median(times[i][ph].wall) })
		printLine("  processor time", ps, func(i int) time.Duration { return median(times[i][ph].cpu) })
	}
	fmt.Printf("%-32s", "  anonymous MiB after")
	for i, p := range ps {
		fmt.Printf("  %s %.1f", p.name(), float64(median(memory[i]))/1024)
	}
	fmt.Println()
	return nil
}

// A phase holds what its runs took: time on the clock, and processor time of
// this process, its children and the server. (The kernel's own threads are not
// counted, which favours the loop mount a little.)
type phase struct{ wall, cpu []time.Duration }

// printLine prints a time for each peer, and how many times the first peer's
// that is.
func printLine(label string, ps []peer, time func(peer int) time.Duration) {
	fmt.Printf("%-32s", label)
	for i, p := range ps {
		fmt.Printf("  %s %.3f", p.name(), time(i).Seconds())
		if i > 0 {
			fmt.Printf(" (%.2f)", time(i).Seconds()/time(0).Seconds())
		}
	}
	fmt.Println()
}

// measure runs the phases of a workload on a fresh mount.
func measure(image string, w work, p peer, times []phase, memory *[]int64) (err error) {
	root, stop, err := p.mount(image)
	if err != nil {
		return err
	}
	defer func() {
		if e := stop(); err == nil {
			err = e
		}
	}()
	for i := range w.phases {
		start, cpu := time.Now(), cpuTime(p.pid())
		if err := w.run(root); err != nil {
			return err
		}
		times[i].wall = append(times[i].wall, time.Since(start))
		times[i].cpu = append(times[i].cpu, cpuTime(p.pid())-cpu)
	}
	*memory = append(*memory, anonymousOf(p.pid()))
	return nil
}

func median[T int64 | time.Duration](v []T) T {
	if len(v) == 0 {
		return 0
	}
	s := slices.Clone(v)
	slices.Sort(s)
	return s[len(s)/2]
}
