// Command read measures reading files through coracle's image server side by
// side with its peers, squashfuse_ll and the kernel's own squashfs. Absolute
// times say little on a shared machine; the peers take turns, so that a ratio
// holds for the same minute.
//
//	read -tree tree.sqfs -big big.sqfs [-runs 4 | -quick] [-peers ours,kernel,squashfuse_ll]
//
// A peer with a slash in its name is another build of this program: pairs of
// an older and a newer server show what a change is worth.
//
// The tree image should hold usr/bin/python3.* with numpy, scipy and sympy for
// the import workload; the big one, one file of some hundred MiB. The kernel
// peer needs root. Image files are read once before, so that they are in the
// page cache and what is measured is the processor's work.
package main

import (
	"cmp"
	"errors"
	"flag"
	"fmt"
	"io"
	"os"
	"strings"
	"time"

	"coracle/bench/measure"
	"coracle/bench/report"
	"coracle/squash"
)

func main() {
	if len(os.Args) > 1 && os.Args[1] == "serve" {
		if err := serve(os.Args[2:]); err != nil {
			fmt.Fprintln(os.Stderr, "serve:", err)
			os.Exit(1)
		}
		return
	}
	var o options
	flag.StringVar(&o.trees, "tree", "", "`images` with many files, separated by commas")
	flag.StringVar(&o.bigs, "big", "", "`images` with one big file")
	flag.IntVar(&o.runs, "runs", 0, "how often each workload is run by each peer; 0: 4 to 12 times, or once with -quick")
	flag.StringVar(&o.peers, "peers", "ours,kernel,squashfuse_ll", "comma separated; the first is what the others are compared with")
	flag.StringVar(&o.only, "only", "", "run workloads with this in their name")
	flag.StringVar(&o.profile, "profile", "", "directory for processor profiles of our server")
	measure.Main("read", o.run)
}

// fewest is how often the longest workloads are run.
const fewest = 4

type options struct {
	trees, bigs, peers, only, profile string
	runs                              int
}

func (o *options) run(r *measure.Run) error {
	var ps []peer
	for name := range strings.SplitSeq(o.peers, ",") {
		p, err := newPeer(r, name, o.profile)
		if err != nil {
			return err
		}
		if p != nil {
			ps = append(ps, p)
		}
	}
	if len(ps) == 0 {
		return errors.New("no peer is left")
	}
	for _, set := range []struct {
		images string
		works  []work
	}{{o.trees, treeWorks}, {o.bigs, bigWorks}} {
		for image := range strings.SplitSeq(set.images, ",") {
			if image == "" {
				continue
			}
			if err := o.workloads(r, image, set.works, ps); err != nil {
				return err
			}
		}
	}
	return nil
}

// workloads runs each workload in turn on all peers.
func (o *options) workloads(r *measure.Run, image string, works []work, ps []peer) error {
	compressor, err := warm(image)
	if err != nil {
		return err
	}
	for _, w := range works {
		if !strings.Contains(w.name, o.only) {
			continue
		}
		for range r.Rounds(cmp.Or(o.runs, r.Times(fewest*w.times, 1))) {
			for _, p := range ps {
				if err := run(r, image, compressor, w, p); err != nil {
					return fmt.Errorf("%s, %s: %w", w.name, p.name(), err)
				}
			}
		}
	}
	return nil
}

// warm reads a file so that it is in the page cache, and returns the name of
// the compressor of its contents.
func warm(path string) (compressor string, err error) {
	f, err := os.Open(path)
	if err != nil {
		return "", err
	}
	defer f.Close()
	size, err := io.Copy(io.Discard, f)
	if err != nil {
		return "", err
	}
	img, err := squash.Open(f, size, nil)
	if err != nil {
		return "", fmt.Errorf("%s: %w", path, err)
	}
	if img.Super().Flags&squash.FlagDataStored != 0 {
		return "uncompressed", nil
	}
	return img.Super().Compressor.String(), nil
}

// run runs the phases of a workload on a fresh mount. Processor time is that
// of this process, its children and the server. (The kernel's own threads are
// not counted, which favours the loop mount a little.)
func run(r *measure.Run, image, compressor string, w work, p peer) (err error) {
	if err := r.Err(); err != nil {
		return err
	}
	root, stop, err := p.mount(image)
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, stop()) }()
	for _, phase := range w.phases {
		key := report.Key{Work: phase + ", " + compressor, Unit: "s"}
		start, cpu := time.Now(), cpuTime(p.pid())
		bytes, err := w.run(root)
		if err != nil {
			return err
		}
		took := time.Since(start).Seconds()
		r.Add(key, p.name(), took)
		key.Figure = "processor time"
		r.Add(key, p.name(), (cpuTime(p.pid()) - cpu).Seconds())
		if bytes > 0 {
			key.Figure, key.Unit = "throughput", "MB/s"
			r.Add(key, p.name(), float64(bytes)/1e6/took)
		}
	}
	if p.pid() == 0 {
		return nil
	}
	kib, err := measure.Anonymous(p.pid())
	r.Add(report.Key{Work: w.phases[0] + ", " + compressor, Figure: "anonymous memory after it", Unit: "MiB"}, p.name(), float64(kib)/1024)
	return err
}
