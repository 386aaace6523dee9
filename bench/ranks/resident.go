package main

import (
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"time"

	"golang.org/x/sys/unix"

	"coracle/bench/measure"
)

// pages are the bytes in the page cache by path below a tree, for files that have any.
type pages map[string]int64

func (p pages) sum() (bytes int64) {
	for _, n := range p {
		bytes += n
	}
	return bytes
}

// residentBelow looks at all regular files of a tree but those below other mount points, of which there are many in a
// container. What the user may not open nobody has brought in. A file with several names counts once.
func residentBelow(root string) (pages, error) {
	mounts, err := mountPoints()
	if err != nil {
		return nil, err
	}
	found, seen := pages{}, map[[2]uint64]bool{}
	err = filepath.WalkDir(root, func(path string, d fs.DirEntry, err error) error {
		switch {
		case errors.Is(err, fs.ErrPermission):
			return nil
		case err != nil:
			return err
		case path != root && mounts[path] && d.IsDir():
			return filepath.SkipDir
		case mounts[path] || !d.Type().IsRegular():
			return nil
		}
		var st unix.Stat_t
		if err := unix.Lstat(path, &st); err != nil {
			return fmt.Errorf("stat %s: %w", path, err)
		}
		id := [2]uint64{st.Dev, st.Ino}
		if st.Nlink > 1 && seen[id] {
			return nil
		}
		seen[id] = st.Nlink > 1
		n, err := measure.Resident(path)
		if errors.Is(err, fs.ErrPermission) {
			return nil
		}
		if name, _ := filepath.Rel(root, path); n > 0 {
			found[name] = n
		}
		return err
	})
	return found, err
}

// residentAt adds up the files of a tree that are in the page cache of another one with the same content: a walk
// through each of 64 mounts would take minutes.
func residentAt(root string, others pages) (bytes int64, err error) {
	for name := range others {
		n, err := measure.Resident(filepath.Join(root, name))
		if err != nil {
			return 0, err
		}
		bytes += n
	}
	return bytes, nil
}

// mountPoints returns those of this mount namespace.
func mountPoints() (map[string]bool, error) {
	data, err := os.ReadFile("/proc/self/mountinfo")
	if err != nil {
		return nil, err
	}
	points := map[string]bool{}
	for line := range strings.Lines(string(data)) {
		if f := strings.Fields(line); len(f) > 4 {
			points[f[4]] = true
		}
	}
	return points, nil
}

// inside looks at an image from one more container of it, with this program as the payload. Its image server is that of
// the others: a file system has one page cache, whoever has mounted it.
func inside(image string) (bytes int64, err error) {
	self, err := os.Executable()
	if err != nil {
		return 0, err
	}
	cmd := exec.Command("./coracle", "exec", image, self, "-resident", "/")
	cmd.Stderr = os.Stderr
	out, err := cmd.Output()
	if err != nil {
		return 0, fmt.Errorf("look at the page cache: %w", err)
	}
	var found pages
	if err := json.Unmarshal(out, &found); err != nil {
		return 0, fmt.Errorf("look at the page cache: %w", err)
	}
	return found.sum(), nil
}

// everyMount looks at all mounts in a directory.
func everyMount(dir string) (bytes int64, err error) {
	mounts, err := filepath.Glob(filepath.Join(dir, "*"))
	if err != nil || len(mounts) == 0 {
		return 0, fmt.Errorf("no mounts in %s: %v", dir, err)
	}
	first, err := residentBelow(mounts[0])
	if err != nil {
		return 0, err
	}
	bytes = first.sum()
	for _, m := range mounts[1:] {
		n, err := residentAt(m, first)
		if err != nil {
			return 0, err
		}
		bytes += n
	}
	return bytes, nil
}

// evict takes a file, or all files of a tree, out of the page cache, and makes sure of it.
func evict(path string) error {
	info, err := os.Stat(path)
	if err != nil {
		return err
	}
	files := pages{".": 0}
	if info.IsDir() {
		if files, err = residentBelow(path); err != nil {
			return err
		}
	}
	for name := range files {
		if err := evictFile(filepath.Join(path, name)); err != nil {
			return err
		}
	}
	return nil
}

// evictFile tries for some seconds: a page that the kernel is doing something with at the moment stays.
func evictFile(path string) error {
	for begin := time.Now(); ; time.Sleep(100 * time.Millisecond) {
		if err := measure.Evict(path); err != nil {
			return err
		}
		switch n, err := measure.Resident(path); {
		case err != nil || n == 0:
			return err
		case time.Since(begin) > 10*time.Second:
			return fmt.Errorf("%d bytes of %s stay in the page cache", n, path)
		}
	}
}

// ownCopy copies a file or tree that belongs to somebody else: the kernel tells only its owner about its pages. What
// the user may not read is left out.
func ownCopy(from, to string) error {
	cmd := exec.Command("cp", "-r", "--", from, to)
	cmd.Env = append(os.Environ(), "LC_ALL=C")
	out, err := cmd.CombinedOutput()
	if err != nil && len(out) == 0 {
		return fmt.Errorf("copy %s: %w", from, err)
	}
	for line := range strings.Lines(string(out)) {
		if !strings.HasSuffix(line, "Permission denied\n") {
			return fmt.Errorf("copy %s: %w: %s", from, err, out)
		}
	}
	return nil
}
