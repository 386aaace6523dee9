// Command convert measures making an image file of an OCI archive side by side with
// umoci unpack followed by mksquashfs with the same compressor, level and block size, and
// with apptainer build where there is one: wall time, processor time, peak memory, bytes
// written beside the output, and its size. The peers take turns.
//
//	convert -archive app.tar [-changed app-changed.tar] [-runs 3] [-compression zstd:3,gzip:9] [-coracle bin/coracle] [-dir DIR]
//
// With -changed, which is the same image with another last layer, it also measures making that one after the first, with the
// same cache, beside making the first.
//
// umoci needs root to keep owners as the layers record them; for an ordinary user it is
// left out.
package main

import (
	"errors"
	"flag"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"

	"coracle/bench/measure"
	"coracle/bench/report"
)

func main() {
	var o options
	flag.StringVar(&o.archive, "archive", "", "OCI `archive` with one image")
	flag.StringVar(&o.changed, "changed", "", "OCI `archive` of the same image with another last layer")
	flag.IntVar(&o.runs, "runs", 0, "how often each peer runs; 0: 3, or 1 with -quick")
	flag.StringVar(&o.compressions, "compression", "zstd:3", "compressors and levels, as for build, separated by commas")
	flag.StringVar(&o.coracle, "coracle", "bin/coracle", "our `binary`")
	flag.StringVar(&o.base, "dir", os.TempDir(), "where the peers work")
	measure.Main("convert", o.run)
}

type options struct {
	archive, changed, compressions, coracle, base string
	runs                                          int
}

// A cost is what a run took.
type cost struct {
	measure.Cost
	scratch int64 // bytes on disk beside the output
	size    int64 // bytes of output
}

// A peer makes out of archive, and may use dir.
type peer struct {
	name string
	make func(archive, out, dir string) (cost, error)
}

func (o *options) run(r *measure.Run) error {
	if o.archive == "" {
		return errors.New("no -archive FILE, an OCI archive of about 1 GB with one image")
	}
	if o.runs == 0 {
		o.runs = r.Times(3, 1)
	}
	for compression := range strings.SplitSeq(o.compressions, ",") {
		list := peers(r, o.coracle, compression)
		for range r.Rounds(o.runs) {
			for _, p := range list {
				c, err := once(r, p, o.archive, o.base)
				if err != nil {
					return fmt.Errorf("%s: %w", p.name, err)
				}
				add(r, "archive to image, "+compression, p.name, c)
			}
		}
	}
	if o.changed == "" {
		return nil
	}
	first, _, _ := strings.Cut(o.compressions, ",")
	for range r.Rounds(o.runs) {
		if err := o.rebuild(r, first); err != nil {
			return err
		}
	}
	return nil
}

// rebuild makes the image, and then the changed one with what the first has left in the cache.
func (o *options) rebuild(r *measure.Run, compression string) error {
	dir, err := r.TempDir(o.base)
	if err != nil {
		return err
	}
	defer os.RemoveAll(dir)
	for _, p := range []struct{ name, archive string }{{"coracle, in full", o.archive}, {"coracle, reusing", o.changed}} {
		out := filepath.Join(dir, filepath.Base(p.archive)+".sif")
		c, err := timed(dir, o.coracle, "-q", "build", "--compression", compression, out, "oci-archive:"+p.archive)
		if err != nil {
			return fmt.Errorf("%s: %w", p.name, err)
		}
		work := report.Key{Work: "last layer changed, " + compression, Unit: "s"}
		r.Add(work, p.name, c.Wall.Seconds())
		work.Figure = "processor time"
		r.Add(work, p.name, c.CPU.Seconds())
		work.Figure, work.Unit = "peak memory", "MiB"
		r.Add(work, p.name, float64(c.Peak)/1024)
	}
	return nil
}

func add(r *measure.Run, work, peer string, c cost) {
	for _, f := range []struct {
		figure, unit string
		value        float64
	}{
		{"", "s", c.Wall.Seconds()},
		{"processor time", "s", c.CPU.Seconds()},
		{"peak memory", "MiB", float64(c.Peak) / 1024},
		{"scratch space", "MiB", measure.MiB(c.scratch)},
		{"size", "MiB", measure.MiB(c.size)},
	} {
		r.Add(report.Key{Work: work, Figure: f.figure, Unit: f.unit}, peer, f.value)
	}
}

// peers returns those whose programs are there, ours first.
func peers(r *measure.Run, coracle, compression string) []peer {
	comp, level, _ := strings.Cut(compression, ":")
	list := []peer{{"coracle", func(archive, out, dir string) (cost, error) {
		return timed(dir, coracle, "-q", "build", "--disable-cache", "--compression", compression, out, "oci-archive:"+archive)
	}}}
	const unpacking = "umoci + mksquashfs"
	if os.Getuid() != 0 {
		r.Skip(unpacking, "umoci needs root to keep owners")
	} else if r.Have(unpacking, "umoci", "mksquashfs") {
		list = append(list, peer{unpacking, func(archive, out, dir string) (cost, error) {
			return unpackAndPack(archive, out, dir, comp, level)
		}})
	}
	if r.Have("apptainer", "apptainer") {
		list = append(list, peer{"apptainer", func(archive, out, dir string) (cost, error) {
			return timed(dir, "apptainer", "-q", "build", out, "oci-archive:"+archive)
		}})
	}
	return list
}

// once runs a peer in a directory of its own.
func once(r *measure.Run, p peer, archive, base string) (cost, error) {
	dir, err := r.TempDir(base)
	if err != nil {
		return cost{}, err
	}
	defer os.RemoveAll(dir)
	out := filepath.Join(dir, "out.sif")
	c, err := p.make(archive, out, dir)
	if err != nil {
		return cost{}, err
	}
	fi, err := os.Stat(out)
	if err != nil {
		return cost{}, err
	}
	c.size = fi.Size()
	return c, nil
}

// unpackAndPack is what people do without us. The layout that umoci reads is made of the
// archive beforehand, and does not count.
func unpackAndPack(archive, out, dir, comp, level string) (cost, error) {
	layout, bundle := filepath.Join(dir, "layout"), filepath.Join(dir, "bundle")
	if err := os.Mkdir(layout, 0o755); err != nil {
		return cost{}, err
	}
	if _, err := timed(dir, "tar", "-C", layout, "-xf", archive); err != nil {
		return cost{}, err
	}
	tag, err := onlyTag(layout)
	if err != nil {
		return cost{}, err
	}
	unpack, err := timed(dir, "umoci", "unpack", "--image", layout+":"+tag, bundle)
	if err != nil {
		return cost{}, err
	}
	args := []string{filepath.Join(bundle, "rootfs"), out, "-noappend", "-no-progress", "-quiet", "-b", "128k", "-comp", comp}
	if level != "" {
		args = append(args, "-Xcompression-level", level)
	}
	pack, err := timed(dir, "mksquashfs", args...)
	if err != nil {
		return cost{}, err
	}
	both := measure.Cost{Wall: unpack.Wall + pack.Wall, CPU: unpack.CPU + pack.CPU, Peak: max(unpack.Peak, pack.Peak)}
	return cost{Cost: both, scratch: measure.Used(bundle)}, nil
}

func onlyTag(layout string) (string, error) {
	out, err := exec.Command("umoci", "ls", "--layout", layout).Output()
	if tags := strings.Fields(string(out)); err == nil && len(tags) == 1 {
		return tags[0], nil
	}
	return "", fmt.Errorf("the archive does not have one tag: %q, %v", out, err)
}

// timed runs a command with its temporary files in dir.
func timed(dir, name string, args ...string) (cost, error) {
	cmd := exec.Command(name, args...)
	cmd.Env = append(os.Environ(), "TMPDIR="+dir, "APPTAINER_TMPDIR="+dir, "APPTAINER_CACHEDIR="+filepath.Join(dir, "cache"),
		"CORACLE_CACHEDIR="+filepath.Join(dir, "cache/coracle"))
	c, err := measure.Time(cmd)
	return cost{Cost: c}, err
}
