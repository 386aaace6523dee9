// Package stage starts the parts of a launch: the same binary again, with what it is to do in a memfd.
//
// The memfd holds a header for the C constructor (package userns), which is done before the Go
// runtime starts, and behind it a document for Go.
package stage

import (
	"fmt"
	"io"
	"os"
	"strconv"

	"coracle/userns"

	"golang.org/x/sys/unix"
)

// maxDocument caps what Read accepts, in bytes: a plan with a full argument list is a few MiB.
const maxDocument = 64 << 20

// maxMarks caps the marks of a stage, in bytes.
const maxMarks = 8 << 10

// self is this program, whatever its name and place.
const self = "/proc/self/exe"

// File makes a memfd of the header and the document and returns its descriptor, which is
// inherited by what is executed next.
func File(h *userns.Header, document any) (int, error) {
	head, err := h.Encode()
	if err != nil {
		return -1, err
	}
	doc, err := marshal(document)
	if err != nil {
		return -1, fmt.Errorf("encode the plan: %w", err)
	}
	fd, err := memfd()
	if err != nil {
		return -1, fmt.Errorf("create a memory file for the plan: %w", err)
	}
	for _, part := range [][]byte{head, doc} {
		for len(part) > 0 {
			n, err := unix.Write(fd, part)
			if err != nil {
				unix.Close(fd)
				return -1, fmt.Errorf("write the plan: %w", err)
			}
			part = part[n:]
		}
	}
	return fd, nil
}

// memfd makes an anonymous file. It holds data, so that it is marked as never executed where
// the kernel knows such a mark and may insist on it (vm.memfd_noexec).
func memfd() (int, error) {
	const noexecSeal = 0x8
	fd, err := unix.MemfdCreate("coracle", noexecSeal)
	if err == unix.EINVAL {
		fd, err = unix.MemfdCreate("coracle", 0)
	}
	return fd, err
}

// Read decodes the document that begins at the byte begin of the memfd fd and closes it.
func Read(fd, begin int, document any) error {
	f := os.NewFile(uintptr(fd), "plan")
	defer f.Close()
	doc, err := io.ReadAll(io.NewSectionReader(f, int64(begin), maxDocument))
	if err != nil {
		return fmt.Errorf("read the plan: %w", err)
	}
	if err := unmarshal(doc, document); err != nil {
		return fmt.Errorf("read the plan: %w", err)
	}
	return nil
}

// Become executes this program again as the stage that the memfd fd describes. It must be called on
// the process's first thread and returns only on failure. ps shows it as name, with the titles behind, for as long as it is none of the payload's.
// With timing, the marks of this process go along.
func Become(fd int, timing bool, name string, titles ...string) error {
	env := brief()
	if timing {
		env = append(env, userns.MarksVariable+userns.EncodeMarks(maxMarks))
	}
	err := userns.Exec(self, append(args(name, fd), titles...), env, userns.Recorded())
	if err == unix.ENOENT {
		return fmt.Errorf("execute %s again: %w (is /proc mounted?)", self, err)
	}
	return fmt.Errorf("execute %s again: %w", self, err)
}

// Start starts this program as a process of its own. ps shows it as name, with the title behind.
func Start(fd int, name, title string) error {
	if err := userns.Spawn(self, append(args(name, fd), title), serving()); err != nil {
		return fmt.Errorf("start the %s: %w", name, err)
	}
	return nil
}

func args(name string, fd int) []string { return []string{userns.StagePrefix + name, strconv.Itoa(fd)} }

// The environments of the stages are the Go runtime's settings alone; neither kind wants it to read
// cgroup files and the time zone at start.

// brief is for a stage that lives for a few milliseconds: no second processor, no garbage collection.
func brief() []string { return []string{"GOMAXPROCS=1", "GOGC=off", "TZ="} }

// serving is for an image server.
func serving() []string { return []string{"GODEBUG=containermaxprocs=0,updatemaxprocs=0", "TZ="} }
