package main

import (
	"context"
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
	run    func(ctx context.Context, root string) (bytes int64, err error)
}

var treeWorks = []work{
	{"walk", 3, []string{"walk with stat, first touch", "walk with stat, again"}, func(_ context.Context, root string) (int64, error) { return 0, walk(root, true, nil) }},
	{"names", 3, []string{"names only, first touch", "names only, again"}, func(_ context.Context, root string) (int64, error) { return 0, walk(root, false, nil) }},
	{"all", 1, []string{"all files once"}, readAll},
	{"python", 2, []string{"python imports"}, python},
}

var bigWorks = []work{
	{"big", 2, []string{"one big file"}, readAll},
	{"random", 2, []string{"3000 random 4 KiB reads"}, random},
}

// walk lists a tree with as little of its own work as can be: names and types
// from getdents, and fstatat for each entry if stat is set. file is called
// with the directory's descriptor for each regular file.
func walk(root string, stat bool, file func(dir int, name string) error) error {
	fd, err := unix.Open(root, unix.O_RDONLY|unix.O_DIRECTORY, 0)
	if err != nil {
		return err
	}
	return walkDir(fd, stat, file)
}

func walkDir(fd int, stat bool, file func(dir int, name string) error) error {
	defer unix.Close(fd)
	buf := make([]byte, 32<<10)
	var st unix.Stat_t
	var dirs []string
	for {
		n, err := unix.Getdents(fd, buf)
		if err != nil {
			return err
		}
		if n == 0 {
			break
		}
		for _, e := range parseDirents(buf[:n]) {
			if stat {
				if err := unix.Fstatat(fd, e.name, &st, unix.AT_SYMLINK_NOFOLLOW); err != nil {
					return err
				}
			}
			switch {
			case e.typ == unix.DT_DIR:
				dirs = append(dirs, e.name)
			case e.typ == unix.DT_REG && file != nil:
				if err := file(fd, e.name); err != nil {
					return err
				}
			}
		}
	}
	for _, d := range dirs {
		sub, err := unix.Openat(fd, d, unix.O_RDONLY|unix.O_DIRECTORY|unix.O_NOFOLLOW, 0)
		if err != nil {
			return err
		}
		if err := walkDir(sub, stat, file); err != nil {
			return err
		}
	}
	return nil
}

type direntry struct {
	name string
	typ  byte
}

// parseDirents takes linux_dirent64 records apart, without "." and "..".
func parseDirents(b []byte) []direntry {
	var out []direntry
	for len(b) >= 19 {
		n := int(b[16]) | int(b[17])<<8
		name := unix.ByteSliceToString(b[19:n])
		if name != "." && name != ".." {
			out = append(out, direntry{name, b[18]})
		}
		b = b[n:]
	}
	return out
}

// readAll reads every regular file in pieces of 128 KiB.
func readAll(ctx context.Context, root string) (bytes int64, err error) {
	buf := make([]byte, 128<<10)
	err = walk(root, false, func(dir int, name string) error {
		if err := ctx.Err(); err != nil {
			return err
		}
		fd, err := unix.Openat(dir, name, unix.O_RDONLY|unix.O_NOFOLLOW, 0)
		if err != nil {
			return err
		}
		defer unix.Close(fd)
		for {
			n, err := unix.Read(fd, buf)
			if err != nil {
				return fmt.Errorf("%s: %w", name, err)
			}
			if n == 0 {
				return nil
			}
			bytes += int64(n)
		}
	})
	return bytes, err
}

// python imports three big packages with the image's own interpreter.
func python(_ context.Context, root string) (int64, error) {
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
func random(_ context.Context, root string) (int64, error) {
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
	buf := make([]byte, 4096)
	for range 3000 {
		if _, err := f.ReadAt(buf, rng.Int64N(st.Size()>>12)<<12); err != nil {
			return 0, err
		}
	}
	return 0, nil
}
