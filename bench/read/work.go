package main

// #include "reader.h"
import "C"

import (
	"fmt"
	"math/rand/v2"
	"os"
	"os/exec"
	"path/filepath"

	"golang.org/x/sys/unix"
)

// A work is what a peer's mount is put through: run, once for each phase. It
// returns the bytes that were read of files, where that is what it is about.
type work struct {
	name   string
	times  int // it is run so many times as often as the longest ones
	phases []string
	run    func(root string) (bytes int64, err error)
}

var treeWorks = []work{
	{"walk", 3, []string{"walk with stat, first touch", "walk with stat, again"}, walkWith(true, false)},
	{"names", 3, []string{"names only, first touch", "names only, again"}, walkWith(false, false)},
	{"all", 1, []string{"all files once"}, walkWith(false, true)},
	{"python", 2, []string{"python imports"}, python},
}

var bigWorks = []work{
	{"big", 2, []string{"one big file"}, walkWith(false, true)},
	{"random", 2, []string{"3000 random 4 KiB reads"}, random},
}

// walk lists a tree with as little of its own work as can be.
func walk(root string, stat, data bool) (bytes int64, err error) {
	fd, err := unix.Open(root, unix.O_RDONLY|unix.O_DIRECTORY|unix.O_CLOEXEC, 0)
	if err != nil {
		return 0, err
	}
	n := C.bench_walk(C.int(fd), C.bool(stat), C.bool(data))
	if n < 0 {
		return 0, fmt.Errorf("%s: %w", C.GoString(&C.bench_failed[0]), unix.Errno(-n))
	}
	return int64(n), nil
}

// walkWith is a walk as a workload.
func walkWith(stat, data bool) func(string) (int64, error) {
	return func(root string) (int64, error) { return walk(root, stat, data) }
}

// python imports three big packages with the image's own interpreter.
func python(root string) (int64, error) {
	pythons, _ := filepath.Glob(filepath.Join(root, "usr/bin/python3.[0-9]*[0-9]"))
	if len(pythons) == 0 {
		return 0, fmt.Errorf("the image has no usr/bin/python3.*")
	}
	lib := filepath.Join(root, "usr/lib/x86_64-linux-gnu")
	path := lib + ":" + lib + "/blas:" + lib + "/lapack"
	c := exec.Command(filepath.Join(lib, "ld-linux-x86-64.so.2"), "--library-path", path,
		pythons[0], "-c", "import numpy, scipy, scipy.linalg, scipy.optimize, sympy")
	c.Env = []string{"PYTHONHOME=" + filepath.Join(root, "usr"), "PYTHONDONTWRITEBYTECODE=1",
		"PYTHONPATH=" + filepath.Join(root, "usr/lib/python3/dist-packages"), "OPENBLAS_NUM_THREADS=1"}
	if out, err := c.CombinedOutput(); err != nil {
		return 0, fmt.Errorf("python: %w: %s", err, out)
	}
	return 0, nil
}

// random reads 4 KiB at 3000 places of the first file, the same for every peer.
func random(root string) (int64, error) {
	all, err := filepath.Glob(filepath.Join(root, "*"))
	if err != nil || len(all) == 0 {
		return 0, fmt.Errorf("the image has no file in its root: %w", err)
	}
	f, err := os.Open(all[0])
	if err != nil {
		return 0, err
	}
	defer f.Close()
	st, err := f.Stat()
	if err != nil {
		return 0, err
	}
	rng := rand.New(rand.NewPCG(1, 2))
	var places [3000]C.int64_t
	for i := range places {
		places[i] = C.int64_t(rng.Int64N(st.Size()>>12) << 12)
	}
	if n := C.bench_read_at(C.int(f.Fd()), &places[0], C.int(len(places))); n < 0 {
		return 0, fmt.Errorf("%s: %w", all[0], unix.Errno(-n))
	}
	return 0, nil
}
