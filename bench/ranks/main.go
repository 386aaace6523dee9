// Command ranks measures what many launches of one big image on a node cost, as the ranks of a job or the tasks of an
// array do: the time that they take when they are started at once, and what stays in memory beside the payloads.
//
// Peers are bubblewrap on the unpacked tree, and a squashfuse_ll of its own for every launch, with bubblewrap on its
// mount. It runs as an ordinary user in a directory that holds coracle and fixtures/ (`make bench BENCH=ranks`).
package main

import (
	"errors"
	"flag"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"text/tabwriter"
	"time"
)

// The image and its unpacked tree.
const (
	image = "fixtures/tree-zstd.sqsh"
	tree  = "fixtures/tree"
)

// A peer runs commands in the image.
type peer struct {
	name    string
	program string // that has to be there
	command func(argv ...string) *exec.Cmd
	left    []string                // names of the processes that stay beside a payload
	took    map[int][]time.Duration // by number of launches
}

func main() {
	n := flag.Int("n", 5, "rounds")
	quick := flag.Bool("quick", false, "one round")
	flag.Parse()
	if *quick {
		*n = 1
	}
	if err := run(*n); err != nil {
		fmt.Fprintln(os.Stderr, "ranks:", err)
		os.Exit(1)
	}
}

func peers() []*peer {
	bwrap := func(root string) []string {
		return []string{"bwrap", "--ro-bind", root, "/", "--dev-bind", "/dev", "/dev", "--proc", "/proc"}
	}
	return []*peer{
		{name: "bwrap, unpacked tree", program: "bwrap", command: func(argv ...string) *exec.Cmd {
			return exec.Command("bwrap", append(bwrap(tree)[1:], argv...)...)
		}},
		{name: "coracle, squashfs", program: "./coracle", left: []string{"coracle"}, command: func(argv ...string) *exec.Cmd {
			return exec.Command("./coracle", append([]string{"exec", image}, argv...)...)
		}},
		{name: "squashfuse_ll each, bwrap", program: "squashfuse_ll", left: []string{"squashfuse_ll", "bwrap", "sh"}, command: func(argv ...string) *exec.Cmd {
			script := `d=$(mktemp -d) && squashfuse_ll "$0" "$d" && ` + strings.Join(bwrap(`"$d"`), " ") + ` "$@"; s=$?; fusermount3 -u -z "$d" && rmdir "$d"; exit $s`
			return exec.Command("sh", append([]string{"-c", script, image}, argv...)...)
		}},
	}
}

func run(n int) error {
	if os.Getuid() == 0 {
		return errors.New("root launches by other ways; run it as an ordinary user")
	}
	var list []*peer
	for _, p := range peers() {
		p.took = map[int][]time.Duration{}
		if _, err := exec.LookPath(p.program); err != nil {
			fmt.Printf("skip %s: %v\n", p.name, err)
			continue
		}
		if _, err := p.atOnce(1); err != nil { // also brings everything into the page cache
			fmt.Printf("skip %s: %v\n", p.name, err)
			continue
		}
		list = append(list, p)
	}
	counts := []int{1, 8, 64}
	for range n {
		for _, count := range counts {
			for _, p := range list {
				took, err := p.atOnce(count)
				if err != nil {
					return fmt.Errorf("%s: %w", p.name, err)
				}
				p.took[count] = append(p.took[count], took)
			}
		}
	}
	report(list, counts, n)
	return memories(list, counts)
}

// atOnce starts /bin/true count times at once and returns how long it takes until all have ended.
func (p *peer) atOnce(count int) (time.Duration, error) {
	failures := make([]error, count)
	var wait sync.WaitGroup
	begin := time.Now()
	for i := range count {
		wait.Add(1)
		go func() {
			defer wait.Done()
			if out, err := p.command("/bin/true").CombinedOutput(); err != nil {
				failures[i] = fmt.Errorf("%w: %s", err, out)
			}
		}()
	}
	wait.Wait()
	return time.Since(begin), errors.Join(failures...)
}

func report(list []*peer, counts []int, n int) {
	fmt.Printf("\n/bin/true in an image of %s, started at once, n = %d, interleaved: median ms until the last has ended, and the ratio\n\n", size(), n)
	w := tabwriter.NewWriter(os.Stdout, 0, 8, 2, ' ', tabwriter.AlignRight)
	fmt.Fprint(w, "peer\t")
	for _, count := range counts {
		fmt.Fprintf(w, "%d\t\t", count)
	}
	fmt.Fprintln(w)
	for _, p := range list {
		fmt.Fprintf(w, "%s\t", p.name)
		for _, count := range counts {
			got, base := median(p.took[count]), median(list[0].took[count])
			fmt.Fprintf(w, "%.1f\t%.2f\t", float64(got)/1e6, float64(got)/float64(base))
		}
		fmt.Fprintln(w)
	}
	w.Flush()
}

func size() string {
	info, err := os.Stat(image)
	if err != nil {
		return "?"
	}
	return fmt.Sprintf("%d MB", info.Size()/1e6)
}

func median(list []time.Duration) time.Duration {
	list = slices.Clone(list)
	slices.Sort(list)
	return list[len(list)/2]
}

// memories prints what is there beside the payloads while count of them run.
func memories(list []*peer, counts []int) error {
	fmt.Printf("\nbeside that many python3 that have imported numpy: processes, and their own memory in MiB\n\n")
	w := tabwriter.NewWriter(os.Stdout, 0, 8, 2, ' ', tabwriter.AlignRight)
	for _, p := range list {
		if len(p.left) == 0 {
			continue
		}
		fmt.Fprintf(w, "%s\t", p.name)
		for _, count := range counts {
			processes, kib, err := p.beside(count)
			if err != nil {
				return fmt.Errorf("%s: %w", p.name, err)
			}
			fmt.Fprintf(w, "%d: %d\t%.1f\t", count, processes, float64(kib)/1024)
		}
		fmt.Fprintln(w)
	}
	return w.Flush()
}

// beside counts the processes of the peer, payloads left out, and adds their anonymous memory up.
func (p *peer) beside(count int) (processes, kib int, err error) {
	var ends []io.Closer
	var commands []*exec.Cmd
	defer func() {
		for _, end := range ends {
			end.Close()
		}
		for _, cmd := range commands {
			cmd.Wait()
		}
	}()
	for range count {
		cmd := p.command("/usr/bin/python3", "-c", "import numpy, sys; print('ready', flush=True); sys.stdin.read()")
		in, err := cmd.StdinPipe()
		if err != nil {
			return 0, 0, err
		}
		out, err := cmd.StdoutPipe()
		if err != nil {
			return 0, 0, err
		}
		if err := cmd.Start(); err != nil {
			return 0, 0, err
		}
		ends, commands = append(ends, in), append(commands, cmd)
		word := make([]byte, len("ready"))
		if _, err := io.ReadFull(out, word); err != nil || string(word) != "ready" {
			return 0, 0, fmt.Errorf("the payload says %q: %v", word, err)
		}
	}
	dirs, _ := filepath.Glob("/proc/[0-9]*")
	for _, d := range dirs {
		comm, err := os.ReadFile(d + "/comm")
		if err != nil || !slices.Contains(p.left, strings.TrimSpace(string(comm))) {
			continue
		}
		data, err := os.ReadFile(d + "/smaps_rollup") // not readable: another user's
		if err != nil || len(data) == 0 {
			continue
		}
		processes++
		kib += anonymous(string(data))
	}
	return processes, kib, nil
}

// anonymous finds the anonymous memory in the text of smaps_rollup, in KiB.
func anonymous(text string) (kib int) {
	if _, rest, ok := strings.Cut(text, "\nAnonymous:"); ok {
		fmt.Sscan(rest, &kib)
	}
	return kib
}
