// Command convert measures making an image file of an OCI archive side by side with
// umoci unpack followed by mksquashfs with the same compressor, level and block size, and
// with apptainer build where there is one. It prints medians of wall time, processor
// time, peak memory, bytes written and output size, and ratios; the peers take turns.
//
//	convert -archive app.tar [-runs 3] [-compression zstd:3] [-coracle bin/coracle] [-dir DIR]
//
// umoci needs root to keep owners as the layers record them, and so does this program.
package main

import (
	"cmp"
	"flag"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"syscall"
	"time"
)

func main() {
	if err := run(); err != nil {
		fmt.Fprintln(os.Stderr, "convert:", err)
		os.Exit(1)
	}
}

// A cost is what a run took.
type cost struct {
	wall, cpu time.Duration
	peak      int64 // KiB, the largest process
	scratch   int64 // bytes on disk beside the output
	size      int64 // bytes of output
}

// A peer makes out of archive, and may use dir.
type peer struct {
	name string
	make func(archive, out, dir string) (cost, error)
}

func run() error {
	archive := flag.String("archive", "", "OCI `archive` with one image")
	runs := flag.Int("runs", 3, "how often each peer runs")
	compression := flag.String("compression", "zstd:3", "compressor and level, as for build")
	coracle := flag.String("coracle", "bin/coracle", "our `binary`")
	base := flag.String("dir", os.TempDir(), "where the peers work")
	flag.Parse()
	if *archive == "" {
		fmt.Println("skipped: no -archive FILE, an OCI archive of about 1 GB with one image")
		return nil
	}
	peers := peers(*coracle, *compression)
	costs := map[string][]cost{}
	for range *runs {
		for _, p := range peers {
			c, err := once(p, *archive, *base)
			if err != nil {
				return fmt.Errorf("%s: %w", p.name, err)
			}
			costs[p.name] = append(costs[p.name], c)
		}
	}
	report(peers, costs)
	return nil
}

// peers returns those whose programs are there, ours first.
func peers(coracle, compression string) []peer {
	comp, level, _ := strings.Cut(compression, ":")
	list := []peer{{"coracle", func(archive, out, dir string) (cost, error) {
		return timed(dir, coracle, "-q", "build", "--disable-cache", "--compression", compression, out, "oci-archive:"+archive)
	}}}
	if has("umoci") && has("mksquashfs") {
		list = append(list, peer{"umoci + mksquashfs", func(archive, out, dir string) (cost, error) { return unpackAndPack(archive, out, dir, comp, level) }})
	}
	if isApptainer() {
		list = append(list, peer{"apptainer", func(archive, out, dir string) (cost, error) {
			return timed(dir, "apptainer", "-q", "build", out, "oci-archive:"+archive)
		}})
	}
	return list
}

func has(name string) bool { _, err := exec.LookPath(name); return err == nil }

// isApptainer reports whether the apptainer on PATH is that, and not a link to us.
func isApptainer() bool {
	out, err := exec.Command("apptainer", "--version").Output()
	return err == nil && !strings.Contains(string(out), "coracle")
}

// once runs a peer in a directory of its own.
func once(p peer, archive, base string) (cost, error) {
	dir, err := os.MkdirTemp(base, "convert-")
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
	return cost{
		wall: unpack.wall + pack.wall, cpu: unpack.cpu + pack.cpu, peak: max(unpack.peak, pack.peak), scratch: used(bundle),
	}, nil
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
	cmd.Env = append(os.Environ(), "TMPDIR="+dir, "APPTAINER_TMPDIR="+dir, "APPTAINER_CACHEDIR="+filepath.Join(dir, "cache"))
	cmd.Stderr = os.Stderr
	begin := time.Now()
	if err := cmd.Run(); err != nil {
		return cost{}, fmt.Errorf("%s: %w", name, err)
	}
	usage := cmd.ProcessState.SysUsage().(*syscall.Rusage)
	return cost{wall: time.Since(begin), cpu: cmd.ProcessState.UserTime() + cmd.ProcessState.SystemTime(), peak: usage.Maxrss}, nil
}

// used returns the bytes on disk below dir.
func used(dir string) (n int64) {
	filepath.WalkDir(dir, func(path string, _ os.DirEntry, err error) error {
		var st syscall.Stat_t
		if err == nil && syscall.Lstat(path, &st) == nil {
			n += st.Blocks * 512
		}
		return nil
	})
	return n
}

func report(peers []peer, costs map[string][]cost) {
	fmt.Printf("%-20s %9s %9s %9s %9s %9s %12s\n", "", "wall s", "cpu s", "peak MiB", "scratch", "size MiB", "wall ÷ ours")
	ours := median(costs[peers[0].name])
	for _, p := range peers {
		c := median(costs[p.name])
		fmt.Printf("%-20s %9.2f %9.2f %9d %9d %9.1f %12.2f\n", p.name, c.wall.Seconds(), c.cpu.Seconds(), c.peak>>10, c.scratch>>20,
			float64(c.size)/(1<<20), c.wall.Seconds()/ours.wall.Seconds())
	}
}

// median returns the medians of each figure.
func median(list []cost) cost {
	mid := len(list) / 2
	return cost{
		wall: sorted(list, func(c cost) time.Duration { return c.wall })[mid], cpu: sorted(list, func(c cost) time.Duration { return c.cpu })[mid],
		peak: sorted(list, func(c cost) int64 { return c.peak })[mid], scratch: list[mid].scratch, size: list[mid].size,
	}
}

func sorted[T cmp.Ordered](list []cost, field func(cost) T) []T {
	var out []T
	for _, c := range list {
		out = append(out, field(c))
	}
	slices.Sort(out)
	return out
}
