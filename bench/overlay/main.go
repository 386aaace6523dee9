// Command overlay measures writing through a container's overlay side by side with the kernel's overlay over
// the same tree unpacked, mounted in a user namespace (unshare -rm). The two take turns; the upper directories are
// on the same disk. What starting takes is not in the figures.
//
//	overlay [-runs 5] [-image fixtures/files3.sif] [-tree fixtures/files3]
package main

import (
	"bytes"
	"errors"
	"flag"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"time"

	"coracle/bench/measure"
	"coracle/bench/report"
)

// phases are what a run does, in this order.
var phases = []string{"10 000 new files of 1 KiB", "change 1 000 files of the image", "read and remove all of them"}

func main() {
	if len(os.Args) == 3 && os.Args[1] == "work" {
		if err := work(os.Args[2]); err != nil {
			fmt.Fprintln(os.Stderr, "work:", err)
			os.Exit(1)
		}
		return
	}
	runs := flag.Int("runs", 0, "how often each writes; 0: 5, or 1 with -quick")
	image := flag.String("image", "fixtures/files3.sif", "`image` with the directory /data")
	tree := flag.String("tree", "fixtures/files3", "the same as a `directory`")
	measure.Main("overlay", func(r *measure.Run) error { return run(r, *runs, *image, *tree) })
}

func run(r *measure.Run, runs int, image, tree string) error {
	if runs == 0 {
		runs = r.Times(5, 1)
	}
	self, err := os.Executable()
	if err != nil {
		return err
	}
	dir, err := r.TempDir(".")
	if err != nil {
		return err
	}
	// The files have to belong to whoever changes them.
	lower := filepath.Join(dir, "lower")
	if out, err := exec.Command("cp", "-r", tree, lower).CombinedOutput(); err != nil {
		return fmt.Errorf("copy %s: %w: %s", tree, err, out)
	}
	for i := range r.Rounds(runs) {
		for _, peer := range []string{"coracle", "kernel"} {
			up := filepath.Join(dir, fmt.Sprintf("%s%d", peer, i))
			if err := errors.Join(os.MkdirAll(up+"/upper", 0o755), os.MkdirAll(up+"/work", 0o755), os.MkdirAll(up+"/root", 0o755)); err != nil {
				return err
			}
			cmd := exec.Command("./coracle", "exec", "--overlay", up, image, self, "work", "/data")
			if peer == "kernel" {
				cmd = exec.Command("unshare", "-rm", "sh", "-c", `mount -t overlay -o userxattr,lowerdir="$1",upperdir="$2/upper",workdir="$2/work" none "$2/root" && exec "$3" work "$2/root/data"`,
					"sh", lower, up, self)
			}
			took, err := phaseTimes(cmd)
			if err != nil {
				return fmt.Errorf("%s: %w", peer, err)
			}
			for i, phase := range phases {
				r.Add(report.Key{Work: phase, Unit: "ms"}, peer, measure.Milliseconds(took[i]))
			}
		}
	}
	return nil
}

// phaseTimes runs a command that prints what each phase took.
func phaseTimes(cmd *exec.Cmd) ([]time.Duration, error) {
	var out, errs bytes.Buffer
	cmd.Stdout, cmd.Stderr = &out, &errs
	if err := cmd.Run(); err != nil {
		return nil, fmt.Errorf("%w: %s", err, errs.String())
	}
	var took []time.Duration
	for field := range strings.FieldsSeq(out.String()) {
		d, err := time.ParseDuration(field)
		if err != nil {
			return nil, err
		}
		took = append(took, d)
	}
	if len(took) != len(phases) {
		return nil, fmt.Errorf("it printed %q", out.String())
	}
	return took, nil
}

// work writes below dir and prints what each phase took.
func work(dir string) error {
	old, err := filepath.Glob(dir + "/*/*.txt")
	if err != nil || len(old) == 0 {
		return fmt.Errorf("no files in %s: %w", dir, err)
	}
	for _, phase := range []func(string, []string) error{create, change, remove} {
		begin := time.Now()
		if err := phase(dir, old); err != nil {
			return err
		}
		fmt.Println(time.Since(begin))
	}
	return nil
}

func newFile(dir string, i int) string { return fmt.Sprintf("%s/new%02d/%d", dir, i/100, i) }

func create(dir string, _ []string) error {
	data := make([]byte, 1024)
	for i := range 10000 {
		if i%100 == 0 {
			if err := os.Mkdir(filepath.Dir(newFile(dir, i)), 0o755); err != nil {
				return err
			}
		}
		if err := os.WriteFile(newFile(dir, i), data, 0o644); err != nil {
			return err
		}
	}
	return nil
}

func change(_ string, old []string) error {
	for _, name := range old {
		f, err := os.OpenFile(name, os.O_WRONLY|os.O_APPEND, 0)
		if err != nil {
			return err
		}
		_, err = f.WriteString("more\n")
		if err := errors.Join(err, f.Close()); err != nil {
			return err
		}
	}
	return nil
}

func remove(dir string, old []string) error {
	all := slices.Clone(old)
	for i := range 10000 {
		all = append(all, newFile(dir, i))
	}
	for _, name := range all {
		if _, err := os.ReadFile(name); err != nil {
			return err
		}
		if err := os.Remove(name); err != nil {
			return err
		}
	}
	return nil
}
