// Command launch measures how long it takes to start a command in images of 10 to 10⁶ files, side by side with peers
// that run the same root file system as an unpacked directory: bubblewrap and, where it is installed, charliecloud. It
// runs in a directory that holds coracle and fixtures/ (`make bench BENCH=launch` sees to that), as an ordinary user.
//
// Peers take turns, so that what else the machine does falls on all alike. Bubblewrap comes first; the ratios are to it.
package main

import (
	"errors"
	"flag"
	"fmt"
	"math"
	"os"
	"os/exec"
	"sync"

	"coracle/bench/measure"
	"coracle/bench/report"
)

// The names of the peers in the results.
const (
	bubblewrap = "bwrap, directory"
	cold       = "coracle, first launch"
	warm       = "coracle, server there"
)

func main() {
	n := flag.Int("n", 0, "launches of each peer; 0: 100, or 15 with -quick")
	measure.Main("launch", func(r *measure.Run) error { return run(r, *n) })
}

// A peer is one way to run /bin/true in a container with so many files.
type peer struct {
	name  string
	files float64
	args  []string
}

func run(r *measure.Run, n int) error {
	if os.Getuid() == 0 {
		return errors.New("root launches by other ways; run it as an ordinary user")
	}
	if n == 0 {
		n = r.Times(100, 15)
	}
	if err := launches(r, n); err != nil {
		return err
	}
	for range r.Rounds(r.Times(3, 1)) {
		for _, exp := range []int{3, 6} {
			if err := memory(r, image(exp), math.Pow10(exp)); err != nil {
				return err
			}
		}
	}
	return nil
}

// image is the SIF of 10^exp files.
func image(exp int) string { return fmt.Sprintf("fixtures/files%d.sif", exp) }

func launches(r *measure.Run, n int) error {
	peers, err := peers(r)
	if err != nil {
		return err
	}
	for exp := 1; exp <= 6; exp++ {
		done, err := hold(image(exp))
		if err != nil {
			return err
		}
		defer done()
	}
	for range r.Rounds(n) {
		for _, p := range peers {
			cost, err := p.launch()
			if err != nil {
				return err
			}
			r.Add(report.Key{Work: "exec true, {x} files", X: p.files, Unit: "ms"}, p.name, measure.Milliseconds(cost.Wall))
		}
	}
	return nil
}

// peers returns those that are there and work. Bubblewrap, which has nothing to read, has the same directory of 10³
// files beside every image.
func peers(r *measure.Run) ([]peer, error) {
	const tree = "fixtures/files3"
	var list []peer
	for exp := 1; exp <= 6; exp++ {
		files, img := math.Pow10(exp), image(exp)
		list = append(list,
			peer{bubblewrap, files, []string{"bwrap", "--ro-bind", tree, "/", "--dev-bind", "/dev", "/dev", "--proc", "/proc", "/bin/true"}},
			peer{warm, files, []string{"./coracle", "exec", img, "/bin/true"}},
			peer{cold, files, []string{"./coracle", "exec", "--no-share", img, "/bin/true"}})
		if exp == 3 {
			list = append(list,
				peer{"coracle, directory", files, []string{"./coracle", "exec", tree, "/bin/true"}},
				peer{"ch-run, directory", files, []string{"ch-run", tree, "--", "/bin/true"}})
		}
		if exp == 3 || exp == 6 {
			list = append(list, peer{"apptainer", files, []string{"apptainer", "exec", img, "/bin/true"}})
		}
	}
	var there []peer
	for _, p := range list {
		if p.args[0] != "./coracle" && !r.Have(p.name, p.args[0]) {
			continue
		}
		if _, err := p.launch(); err != nil { // also brings everything into the page cache
			if p.args[0] == "./coracle" {
				return nil, err
			}
			r.Skip(p.name, err.Error())
			continue
		}
		there = append(there, p)
	}
	return there, nil
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

func (p peer) launch() (measure.Cost, error) {
	return measure.Time(exec.Command(p.args[0], p.args[1:]...))
}
