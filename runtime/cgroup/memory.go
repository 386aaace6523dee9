package cgroup

import (
	"path"
	"strconv"
	"strings"

	"golang.org/x/sys/unix"
)

// Memory returns how many bytes of memory the caller's job may use: the smallest limit of its cgroup and of
// those above, or what the host has. 0 where nothing can be read.
func Memory(root string) int64 { return memory(root, hostMemory()) }

// memory is [Memory] on a host that has so much.
func memory(root string, limit int64) int64 {
	for line := range strings.Lines(readLine(root+"/proc/self/cgroup") + "\n") {
		// Source: cgroups(7), /proc/PID/cgroup: hierarchy:controllers:path.
		f := strings.SplitN(strings.TrimSpace(line), ":", 3)
		if len(f) != 3 {
			continue
		}
		switch {
		case f[0] == "0" && f[1] == "":
			for _, mount := range []string{"/sys/fs/cgroup", "/sys/fs/cgroup/unified"} {
				limit = smallest(limit, root+mount, f[2], "memory.max")
			}
		case f[1] == "memory":
			limit = smallest(limit, root+"/sys/fs/cgroup/memory", f[2], "memory.limit_in_bytes")
		}
	}
	return limit
}

// smallest returns the smallest of limit and the limits in the files called name from dir below mount up to mount.
func smallest(limit int64, mount, dir, name string) int64 {
	for dir = path.Clean("/" + dir); ; dir = path.Dir(dir) {
		n, err := strconv.ParseInt(readLine(mount+dir+"/"+name), 10, 64) // "max" is none
		if err == nil && n > 0 && (limit == 0 || n < limit) {
			limit = n
		}
		if dir == "/" {
			return limit
		}
	}
}

// hostMemory returns the size of the memory; 0: unknown. The kernel takes long to write /proc/meminfo.
func hostMemory() int64 {
	var info unix.Sysinfo_t
	if unix.Sysinfo(&info) != nil {
		return 0
	}
	return int64(uint64(info.Totalram) * uint64(info.Unit))
}

// readLine returns what a small file holds, "" if it cannot be read. It does without
// os.File, which would start the Go runtime's poller in every image server.
func readLine(path string) string {
	fd, err := unix.Open(path, unix.O_RDONLY|unix.O_CLOEXEC, 0)
	if err != nil {
		return ""
	}
	defer unix.Close(fd)
	text := make([]byte, 0, 8<<10)
	for len(text) < cap(text) {
		n, err := unix.Read(fd, text[len(text):cap(text)])
		if n <= 0 || err != nil {
			break
		}
		text = text[:len(text)+n]
	}
	return strings.TrimSpace(string(text))
}
