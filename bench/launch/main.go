// Command launch measures how long it takes to start a command in an image, side by
// side with peers that run the same root file system as an unpacked directory:
// bubblewrap and, where it is installed, charliecloud. It runs in a directory that holds
// coracle and fixtures/ (`make bench BENCH=launch` sees to that), as an ordinary user.
//
// Peers take turns, so that what else the machine does falls on all alike; figures are
// medians with the quartiles, and the ratio to bubblewrap.
package main

import (
	"errors"
	"flag"
	"fmt"
	"os"
	"os/exec"
	"slices"
	"strings"
	"sync"
	"text/tabwriter"
	"time"
)

func main() {
	n := flag.Int("n", 60, "launches of each peer")
	flag.Parse()
	if err := run(*n); err != nil {
		fmt.Fprintln(os.Stderr, "launch:", err)
		os.Exit(1)
	}
}

// A peer is one way to run /bin/true in a container.
type peer struct {
	name string
	args []string
	took []time.Duration
}

func run(n int) error {
	if os.Getuid() == 0 {
		return errors.New("root launches by other ways; run it as an ordinary user")
	}
	if n < 1 {
		return errors.New("no launches asked for")
	}
	done, err := hold("fixtures/files3.sif")
	if err != nil {
		return err
	}
	defer done()
	var peers []*peer
	for _, p := range []*peer{
		{name: "bwrap, directory of 10^3 files", args: []string{"bwrap", "--ro-bind", "fixtures/files3", "/", "--dev-bind", "/dev", "/dev", "--proc", "/proc", "/bin/true"}},
		{name: "ch-run, directory of 10^3 files", args: []string{"ch-run", "fixtures/files3", "--", "/bin/true"}},
		{name: "coracle, SIF of 10^3 files, server there", args: []string{"./coracle", "exec", "fixtures/files3.sif", "/bin/true"}},
		{name: "coracle, SIF of 10^3 files, cold", args: []string{"./coracle", "exec", "--no-share", "fixtures/files3.sif", "/bin/true"}},
		{name: "coracle, SIF of 10^6 files, cold", args: []string{"./coracle", "exec", "--no-share", "fixtures/files6.sif", "/bin/true"}},
		{name: "coracle, directory of 10^3 files", args: []string{"./coracle", "exec", "fixtures/files3", "/bin/true"}},
		{name: "apptainer, SIF of 10^3 files", args: []string{"apptainer", "exec", "fixtures/files3.sif", "/bin/true"}},
	} {
		if _, err := exec.LookPath(p.args[0]); err != nil {
			fmt.Printf("skip %s: %v\n", p.name, err)
			continue
		}
		if out, err := exec.Command(p.args[0], "--version").Output(); err == nil && p.args[0] == "apptainer" && strings.Contains(string(out), "coracle") {
			fmt.Printf("skip %s: it is coracle\n", p.name)
			continue
		}
		if _, err := p.launch(); err != nil { // also brings everything into the page cache
			fmt.Printf("skip %s: %v\n", p.name, err)
			continue
		}
		peers = append(peers, p)
	}
	for range n {
		for _, p := range peers {
			took, err := p.launch()
			if err != nil {
				return err
			}
			p.took = append(p.took, took)
		}
	}
	report(peers, n)
	done()
	return memory("fixtures/files3.sif", "fixtures/files6.sif")
}

// hold keeps an image server there until done is called.
func hold(image string) (done func(), err error) {
	cmd := exec.Command("./coracle", "exec", image, "/bin/busybox", "cat")
	in, err := cmd.StdinPipe()
	if err != nil {
		return nil, err
	}
	if err := cmd.Start(); err != nil {
		return nil, err
	}
	return sync.OnceFunc(func() {
		in.Close()
		cmd.Wait()
	}), nil
}

func (p *peer) launch() (time.Duration, error) {
	cmd := exec.Command(p.args[0], p.args[1:]...)
	var stderr strings.Builder
	cmd.Stderr = &stderr
	begin := time.Now()
	if err := cmd.Run(); err != nil {
		return 0, fmt.Errorf("%w: %s", err, &stderr)
	}
	return time.Since(begin), nil
}

// quantile returns the value below which the fraction q of the sorted times lies.
func quantile(sorted []time.Duration, q float64) time.Duration {
	return sorted[int(q*float64(len(sorted)-1)+0.5)]
}

func report(peers []*peer, n int) {
	fmt.Printf("\nstart of /bin/true, n = %d each, interleaved, image files in the page cache\n\n", n)
	w := tabwriter.NewWriter(os.Stdout, 0, 8, 2, ' ', tabwriter.AlignRight)
	fmt.Fprintln(w, "peer\tmedian ms\tquartiles ms\tratio\t")
	var base time.Duration
	for i, p := range peers {
		slices.Sort(p.took)
		median := quantile(p.took, 0.5)
		if i == 0 {
			base = median
		}
		fmt.Fprintf(w, "%s\t%.2f\t%.2f to %.2f\t%.2f\t\n", p.name, ms(median), ms(quantile(p.took, 0.25)), ms(quantile(p.took, 0.75)), float64(median)/float64(base))
	}
	w.Flush()
}

func ms(d time.Duration) float64 { return float64(d) / float64(time.Millisecond) }
