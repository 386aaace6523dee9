// Command mpi measures the bandwidth of messages between two ranks of one node, of OpenMPI and of MPICH with their default
// settings: in containers, and of the same program without. The two take turns.
//
//	mpi [-runs 5] [-image fixtures/mpi.sqsh] [-rings fixtures]
package main

import (
	"bytes"
	"flag"
	"fmt"
	"os/exec"
	"path/filepath"
	"strings"

	"coracle/bench/measure"
	"coracle/bench/report"
)

// A library is what the host has of an implementation of MPI.
type library struct{ name, mpirun, ring string }

var libraries = []library{{"OpenMPI", "mpirun.openmpi", "ring.openmpi"}, {"MPICH", "mpirun.mpich", "ring.mpich"}}

func main() {
	runs := flag.Int("runs", 0, "how often each goes round; 0: 5, or 1 with -quick")
	image := flag.String("image", "fixtures/mpi.sqsh", "`image` with /opt/ring.openmpi and /opt/ring.mpich")
	rings := flag.String("rings", "fixtures", "`directory` with the same for the host")
	measure.Main("mpi", func(r *measure.Run) error { return run(r, *runs, *image, *rings) })
}

func run(r *measure.Run, runs int, image, rings string) error {
	if runs == 0 {
		runs = r.Times(5, 1)
	}
	for _, lib := range libraries {
		if !r.Have(lib.name, lib.mpirun) {
			continue
		}
		for range r.Rounds(runs) {
			for _, peer := range []string{"coracle", "host"} {
				args := []string{"-n", "2", filepath.Join(rings, lib.ring)}
				if peer == "coracle" {
					args = []string{"-n", "2", "./coracle", "exec", image, "/opt/" + lib.ring}
				}
				if err := goRound(r, lib, peer, exec.CommandContext(r, lib.mpirun, args...)); err != nil {
					return fmt.Errorf("%s, %s: %w", lib.name, peer, err)
				}
			}
		}
	}
	return nil
}

// goRound runs a ring and notes the bandwidth of each size of messages, and how many bytes went without a copy in between.
func goRound(r *measure.Run, lib library, peer string, cmd *exec.Cmd) error {
	var out, errs bytes.Buffer
	cmd.Stdout, cmd.Stderr = &out, &errs
	if err := cmd.Run(); err != nil {
		return fmt.Errorf("%w: %s", err, errs.String())
	}
	sizes := 0
	for line := range strings.Lines(out.String()) {
		var size, attached, rate float64
		if n, _ := fmt.Sscanf(line, "%f KiB %f MB/s", &size, &rate); n == 2 {
			sizes++
			r.Add(report.Key{Work: "messages of {x} KiB, " + lib.name, X: size, Unit: "MB/s"}, peer, rate)
		} else if n, _ := fmt.Sscanf(line, "%f MiB by cross-memory attach", &attached); n == 1 {
			r.Add(report.Key{Work: "by cross-memory attach, " + lib.name, Unit: "MiB"}, peer, attached)
		}
	}
	if sizes == 0 {
		return fmt.Errorf("it printed %q", out.String())
	}
	return nil
}
