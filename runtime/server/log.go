package server

import (
	"fmt"
	"os"
	"sync"
	"time"

	"golang.org/x/sys/unix"
)

// A logger writes lines about damaged images to a file, or to the system log where the host
// has one. It is opened when there is a line, or before the server leaves the host's tree.
type logger struct {
	path   string // of the file; "" none
	once   sync.Once
	fd     int // -1: there is nowhere to write
	syslog bool
}

// priority is facility user, severity error, in syslog's terms (RFC 3164, section 4.1.1).
const priority = 1<<3 | 3

// open finds the file or the system log, once.
func (l *logger) open() { l.once.Do(l.find) }

func (l *logger) find() {
	l.fd = -1
	if l.path != "" {
		fd, err := unix.Open(l.path, unix.O_WRONLY|unix.O_APPEND|unix.O_CREAT|unix.O_CLOEXEC|unix.O_NOFOLLOW, 0o600)
		if err == nil {
			l.fd = fd
			return
		}
	}
	fd, err := unix.Socket(unix.AF_UNIX, unix.SOCK_DGRAM|unix.SOCK_CLOEXEC|unix.SOCK_NONBLOCK, 0)
	if err != nil {
		return
	}
	if err := unix.Connect(fd, &unix.SockaddrUnix{Name: "/dev/log"}); err != nil {
		unix.Close(fd)
		return
	}
	l.fd, l.syslog = fd, true
}

// print writes one line. A log that is full or gone loses it: serving goes on.
func (l *logger) print(line string) {
	if l.open(); l.fd < 0 {
		return
	}
	if l.syslog {
		line = fmt.Sprintf("<%d>coracle[%d]: %s", priority, os.Getpid(), line)
	} else {
		line = time.Now().Format(time.RFC3339) + " " + line + "\n"
	}
	unix.Write(l.fd, []byte(line))
}
