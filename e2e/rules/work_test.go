package rules

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	goruntime "runtime"
	"strconv"
	"strings"
	"testing"

	"coracle/bind/bindtest"
	"coracle/image"
	"coracle/image/build"
	"coracle/image/oci"
	"coracle/runtime"
	"coracle/squash"
)

// TestCounts counts what converting, reading and planning take, on one processor. It is no timed test: the same
// program gives the same numbers, but for what the Go runtime does on the side.
func TestCounts(t *testing.T) {
	layout := smallLayout(t)
	sif := filepath.Join(t.TempDir(), "small.sif")
	got := map[string]float64{}
	countConversion(t, got, layout, sif)
	countReading(t, got, sif)
	countPlanning(t, got)
	checkCounts(t, got)
}

// allocations returns what a call of f allocates, on one processor, with everything warm: objects and bytes.
func allocations(f func()) (objects, size float64) {
	defer goruntime.GOMAXPROCS(goruntime.GOMAXPROCS(1))
	f()
	const runs = 5
	var before, after goruntime.MemStats
	goruntime.ReadMemStats(&before)
	for range runs {
		f()
	}
	goruntime.ReadMemStats(&after)
	return float64((after.Mallocs - before.Mallocs) / runs), float64((after.TotalAlloc - before.TotalAlloc) / runs)
}

// countConversion converts a layout of two layers, a thousand files.
func countConversion(t *testing.T, got map[string]float64, layout, sif string) {
	var result build.Result
	got["conversion/objects"], got["conversion/bytes-allocated"] = allocations(func() {
		img, err := oci.Open(context.Background(), "oci:"+layout, nil)
		if err != nil {
			t.Fatal(err)
		}
		defer img.Close()
		f, err := os.Create(sif)
		if err != nil {
			t.Fatal(err)
		}
		defer f.Close()
		result, err = build.Convert(context.Background(), img, f, &build.Options{})
		if err := errors.Join(err, f.Truncate(result.Size)); err != nil {
			t.Fatal(err)
		}
	})
	got["conversion/image-size"] = float64(result.Size)
}

// countReading opens the image that was made, as planning a launch does, and reads in it as payloads do.
func countReading(t *testing.T, got map[string]float64, sif string) {
	img, err := image.Open(sif)
	if err != nil {
		t.Fatal(err)
	}
	defer img.Close()
	data, err := os.ReadFile(sif)
	if err != nil {
		t.Fatal(err)
	}
	data = data[img.Offset : img.Offset+img.Size]
	open := func() *squash.Reader {
		r, err := squash.Open(bytes.NewReader(data), int64(len(data)), nil)
		if err != nil {
			t.Fatal(err)
		}
		return r
	}
	fresh, _ := allocations(func() { _ = lookUp(t, open(), "/data/05/050") })
	warm := open()
	again, _ := allocations(func() { _ = lookUp(t, warm, "/data/05/050") })
	ino := lookUp(t, warm, "/data/05/050")
	buf := make([]byte, 4096)
	read, _ := allocations(func() {
		if _, err := warm.ReadAt(&ino, buf, 0); err != nil && err != io.EOF {
			t.Fatal(err)
		}
	})
	dir := lookUp(t, warm, "/data/05")
	list, _ := allocations(func() {
		n := 0
		if err := warm.ReadDir(&dir, 0, func(squash.Dirent, squash.Cursor) bool { n++; return true }); err != nil || n != 100 {
			t.Fatalf("%d entries, %v", n, err)
		}
	})
	got["reading/open-and-look-up"], got["reading/look-up"], got["reading/read-4096"], got["reading/list-100"] = fresh, again, read, list
}

func lookUp(t *testing.T, r *squash.Reader, path string) squash.Inode {
	t.Helper()
	ino, err := r.Walk(path)
	if err != nil {
		t.Fatal(err)
	}
	return ino
}

// countPlanning counts what planning allocates.
func countPlanning(t *testing.T, got map[string]float64) {
	got["planning/objects"], _ = allocations(planning(t))
}

// planning returns what decides a launch of an image on a small host.
func planning(t *testing.T) func() {
	tree := bindtest.New(map[string]string{
		"/bin": "-> usr/bin", "/usr/bin/bash": "file:", "/dev": "dir", "/etc/group": "file:root:x:0:\n", "/etc/hosts": "file:",
		"/etc/passwd": "file:root:x:0:0:root:/root:/bin/sh\n", "/etc/resolv.conf": "file:", "/home": "dir", "/proc": "dir", "/root": "dir 700",
		"/sys": "dir", "/tmp": "dir 1777", "/var/tmp": "dir 1777",
	})
	host := bindtest.New(map[string]string{
		"/dev/null": "dev", "/etc/hosts": "file:", "/etc/resolv.conf": "file:", "/home/ada/job": "dir", "/proc": "dir", "/sys": "dir", "/tmp": "dir", "/var/tmp": "dir",
	})
	facts := runtime.Facts{UID: 1500, GID: 1500, Groups: []int{1500}, User: "ada", HomeDir: "/home/ada", LoginSh: "/bin/bash", GroupName: "ada", Host: host, Overlay: true}
	root := runtime.Root{Kind: runtime.Squashfs, Path: "/images/debian.sif", Offset: 32768, Size: 1 << 20, Tree: tree}
	return func() {
		req := runtime.Request{Program: "coracle", Image: "debian.sif", Action: runtime.Exec, Args: []string{"true"}, Cwd: "/home/ada/job"}
		if _, err := runtime.New(&req, &facts, &root, nil); err != nil {
			t.Fatal(err)
		}
	}
}

// fileCalls are the system calls that a conversion is made of. Those of the Go runtime, for threads, clocks and memory,
// differ from run to run.
const fileCalls = "open,openat,openat2,close,read,pread64,readv,preadv,write,pwrite64,writev,pwritev,copy_file_range,sendfile," +
	"lseek,ftruncate,fallocate,stat,lstat,fstat,newfstatat,statx,getdents64,readlinkat,linkat,renameat2,unlinkat,fsync,fdatasync"

// TestCallCounts counts the system calls on files of `coracle build`, which the kernel is asked for and the allocations
// do not show.
func TestCallCounts(t *testing.T) {
	binary, err := filepath.Abs("../../bin/coracle")
	if err != nil {
		t.Fatal(err)
	}
	if _, err := os.Stat(binary); err != nil {
		t.Skipf("%v (`make unit` makes it)", err)
	}
	if err := exec.Command("strace", "-o", os.DevNull, "true").Run(); err != nil {
		if os.Getenv("CORACLE_CI") != "" {
			t.Fatalf("strace: %v", err)
		}
		t.Skipf("strace: %v", err)
	}
	dir := t.TempDir()
	log := filepath.Join(dir, "calls")
	cmd := exec.Command("strace", "-f", "-qq", "-c", "-U", "name,calls", "-e", "trace="+fileCalls, "-o", log,
		binary, "-q", "build", "--disable-cache", filepath.Join(dir, "small.sif"), "oci:"+smallLayout(t))
	cmd.Env = []string{"PATH=" + os.Getenv("PATH"), "HOME=" + dir, "GOMAXPROCS=1"}
	if out, err := cmd.CombinedOutput(); err != nil {
		t.Fatalf("%v\n%s", err, out)
	}
	text, err := os.ReadFile(log)
	if err != nil {
		t.Fatal(err)
	}
	total, err := totalCalls(string(text))
	if err != nil {
		t.Fatalf("%v in\n%s", err, text)
	}
	t.Logf("%s", text)
	checkCounts(t, map[string]float64{"conversion/file-calls": total})
}

// totalCalls adds up the table that `strace -c -U name,calls` makes.
func totalCalls(table string) (total float64, err error) {
	for line := range strings.Lines(table) {
		f := strings.Fields(line)
		if len(f) != 2 || f[0] == "total" {
			continue
		}
		if n, err := strconv.Atoi(f[1]); err == nil {
			total += float64(n)
		}
	}
	if total == 0 {
		return 0, fmt.Errorf("no calls")
	}
	return total, nil
}

func TestTotalCalls(t *testing.T) {
	got, err := totalCalls("syscall              calls\n---------------- ---------\nread                    45\nopenat                  28\n---------------- ---------\ntotal                   73\n")
	if got != 73 || err != nil {
		t.Errorf("totalCalls = %v, %v; want 73", got, err)
	}
	if _, err := totalCalls("strace: no such thing\n"); err == nil {
		t.Error("totalCalls of a message has no error")
	}
}
