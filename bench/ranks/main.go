// Command ranks measures what many launches of one big image on a node cost, as the ranks of a job or the tasks of an
// array do: the time that they take when they are started at once, and what is in memory beside the payloads: helper
// processes, and the page cache of the image, page by page.
//
// Peers are bubblewrap on the unpacked tree, and a squashfuse_ll of its own for every launch, with bubblewrap on its
// mount. It runs as an ordinary user in a directory that holds coracle and fixtures/ (`make bench BENCH=ranks`).
package main

import (
	"encoding/json"
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

// ours is what this project's peer is called.
const ours = "coracle"

// Places are where the peers find things.
type places struct {
	image  string // a squashfs image
	tree   string // what is in it, unpacked
	mounts string // a directory for mount points
}

// A peer runs commands in the image.
type peer struct {
	name     string
	programs []string // that have to be there
	command  func(argv ...string) *exec.Cmd
	left     []string              // names of the processes that stay beside a payload; the first tells that one is there
	source   string                // what is read from the disk: the image, the tree
	files    func() (int64, error) // bytes of the files in it that are in the page cache, while payloads run
}

func main() {
	n := flag.Int("n", 0, "rounds; 0: 9, or 1 with -quick")
	at := places{tree: "fixtures/tree"}
	flag.StringVar(&at.image, "image", "fixtures/tree-zstd.sqsh", "squashfs `image` of fixtures/tree")
	resident := flag.String("resident", "", "print what of the files in a `directory` is in the page cache, and end (what it is called for in a container)")
	measure.Main("ranks", func(r *measure.Run) error {
		if *resident != "" {
			return printResident(*resident)
		}
		return run(r, *n, at)
	})
}

// printResident writes pages as JSON.
func printResident(dir string) error {
	found, err := residentBelow(dir)
	if err != nil {
		return err
	}
	return json.NewEncoder(os.Stdout).Encode(found)
}

// peers returns all.
func peers(at places) []peer {
	bwrap := func(root string) []string {
		return []string{"bwrap", "--ro-bind", root, "/", "--dev-bind", "/dev", "/dev", "--proc", "/proc"}
	}
	return []peer{
		{name: "bwrap, directory", programs: []string{"bwrap"}, left: []string{"bwrap"}, source: at.tree, command: func(argv ...string) *exec.Cmd {
			return exec.Command("bwrap", append(bwrap(at.tree)[1:], argv...)...)
		}, files: func() (int64, error) {
			found, err := residentBelow(at.tree)
			return found.sum(), err
		}},
		{name: ours, left: []string{"coracle"}, source: at.image, command: func(argv ...string) *exec.Cmd {
			return exec.Command("./coracle", append([]string{"exec", at.image}, argv...)...)
		}, files: func() (int64, error) { return inside(at.image) }},
		{name: "squashfuse_ll each, bwrap", programs: []string{"squashfuse_ll", "fusermount3", "bwrap"}, left: []string{"squashfuse_ll", "bwrap", "sh"}, source: at.image, command: func(argv ...string) *exec.Cmd {
			script := `trap : HUP INT TERM; d=$(mktemp -d -p "$MOUNTS") || exit; squashfuse_ll "$0" "$d" && ` + strings.Join(bwrap(`"$d"`), " ") +
				` "$@"; s=$?; fusermount3 -u -z "$d"; rmdir "$d"; exit $s`
			cmd := exec.Command("sh", append([]string{"-c", script, at.image}, argv...)...)
			cmd.Env = append(os.Environ(), "MOUNTS="+at.mounts)
			return cmd
		}, files: func() (int64, error) { return everyMount(at.mounts) }},
	}
}

func run(r *measure.Run, n int, at places) (err error) {
	if os.Getuid() == 0 {
		return errors.New("root launches by other ways; run it as an ordinary user")
	}
	if n == 0 {
		n = r.Times(9, 1)
	}
	if at.mounts, err = r.TempDir(""); err != nil {
		return err
	}
	var list []peer
	for _, p := range peers(at) {
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
		if err := single(r, at.image); err != nil {
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
	return memories(r, at, list)
}

// single measures one launch while another one's image server is there.
func single(r *measure.Run, image string) error {
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
	r.Add(report.Key{Work: "exec true, server there", X: 1, Unit: "ms"}, ours, measure.Milliseconds(cost.Wall))
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
