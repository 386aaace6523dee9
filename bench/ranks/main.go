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
	"os"
	"os/exec"
	"strings"
	"sync"
	"time"

	"coracle/bench/measure"
	"coracle/bench/report"
)

// The image and its unpacked tree.
const (
	image = "fixtures/tree-zstd.sqsh"
	tree  = "fixtures/tree"
)

// A peer runs commands in the image.
type peer struct {
	name     string
	programs []string // that have to be there
	command  func(argv ...string) *exec.Cmd
	left     []string // names of the processes that stay beside a payload
}

func main() {
	n := flag.Int("n", 0, "rounds; 0: 9, or 1 with -quick")
	measure.Main("ranks", func(r *measure.Run) error { return run(r, *n) })
}

// peers returns all; mounts is a directory for mount points.
func peers(mounts string) []peer {
	bwrap := func(root string) []string {
		return []string{"bwrap", "--ro-bind", root, "/", "--dev-bind", "/dev", "/dev", "--proc", "/proc"}
	}
	return []peer{
		{name: "bwrap, directory", programs: []string{"bwrap"}, command: func(argv ...string) *exec.Cmd {
			return exec.Command("bwrap", append(bwrap(tree)[1:], argv...)...)
		}},
		{name: "coracle", left: []string{"coracle"}, command: func(argv ...string) *exec.Cmd {
			return exec.Command("./coracle", append([]string{"exec", image}, argv...)...)
		}},
		{name: "squashfuse_ll each, bwrap", programs: []string{"squashfuse_ll", "fusermount3", "bwrap"}, left: []string{"squashfuse_ll", "bwrap", "sh"}, command: func(argv ...string) *exec.Cmd {
			script := `trap : HUP INT TERM; d=$(mktemp -d -p "$MOUNTS") || exit; squashfuse_ll "$0" "$d" && ` + strings.Join(bwrap(`"$d"`), " ") +
				` "$@"; s=$?; fusermount3 -u -z "$d"; rmdir "$d"; exit $s`
			cmd := exec.Command("sh", append([]string{"-c", script, image}, argv...)...)
			cmd.Env = append(os.Environ(), "MOUNTS="+mounts)
			return cmd
		}},
	}
}

func run(r *measure.Run, n int) error {
	if os.Getuid() == 0 {
		return errors.New("root launches by other ways; run it as an ordinary user")
	}
	if n == 0 {
		n = r.Times(9, 1)
	}
	mounts, err := r.TempDir("")
	if err != nil {
		return err
	}
	var list []peer
	for _, p := range peers(mounts) {
		if len(p.programs) > 0 && !r.Have(p.name, p.programs...) {
			continue
		}
		if _, err := p.atOnce(1); err != nil { // also brings everything into the page cache
			r.Skip(p.name, err.Error())
			continue
		}
		list = append(list, p)
	}
	for range r.Rounds(n) {
		if err := single(r); err != nil {
			return err
		}
		for count := 1; count <= 64; count *= 2 {
			for _, p := range list {
				took, err := p.atOnce(count)
				if err != nil {
					return fmt.Errorf("%s: %w", p.name, err)
				}
				r.Add(report.Key{Work: "{x} × exec true at once", X: float64(count), Unit: "ms"}, p.name, measure.Milliseconds(took))
			}
		}
	}
	return memories(r, list)
}

// single measures one launch while another one's image server is there.
func single(r *measure.Run) error {
	holder := exec.Command("./coracle", "exec", image, "/bin/busybox", "cat")
	in, err := holder.StdinPipe()
	if err != nil {
		return err
	}
	if err := holder.Start(); err != nil {
		return err
	}
	defer holder.Wait()
	defer in.Close()
	launch := func() (measure.Cost, error) {
		return measure.Time(exec.Command("./coracle", "exec", image, "/bin/true"))
	}
	if _, err := launch(); err != nil { // the server is there now, whoever started it
		return err
	}
	cost, err := launch()
	r.Add(report.Key{Work: "exec true, server there", X: 1, Unit: "ms"}, "coracle", measure.Milliseconds(cost.Wall))
	return err
}

// atOnce starts /bin/true count times at once and returns how long it takes until all have ended.
func (p peer) atOnce(count int) (time.Duration, error) {
	failures := make([]error, count)
	var wait sync.WaitGroup
	begin := time.Now()
	for i := range count {
		wait.Go(func() {
			if out, err := p.command("/bin/true").CombinedOutput(); err != nil {
				failures[i] = fmt.Errorf("%w: %s", err, out)
			}
		})
	}
	wait.Wait()
	return time.Since(begin), errors.Join(failures...)
}
