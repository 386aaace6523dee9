package server

import (
	"fmt"
	"os"
	"testing"
	"time"

	"golang.org/x/sys/unix"
)

// A thread that plans lives through a time in which no descriptor is left; one that cannot begin leaves nobody waiting.
func TestCallersWithoutDescriptors(t *testing.T) {
	socket := func() int {
		t.Helper()
		fd, err := unix.Socket(unix.AF_UNIX, unix.SOCK_SEQPACKET|unix.SOCK_CLOEXEC, 0)
		if err != nil {
			t.Fatal(err)
		}
		t.Cleanup(func() { unix.Close(fd) })
		return fd
	}
	listening := func(name string) (fd int, at *unix.SockaddrUnix) {
		t.Helper()
		fd, at = socket(), &unix.SockaddrUnix{Name: fmt.Sprintf("@%s %d", name, os.Getpid())}
		if err := unix.Bind(fd, at); err != nil {
			t.Fatal(err)
		}
		if err := unix.Listen(fd, backlog); err != nil {
			t.Fatal(err)
		}
		return fd, at
	}
	var before unix.Rlimit
	if err := unix.Getrlimit(unix.RLIMIT_NOFILE, &before); err != nil {
		t.Fatal(err)
	}
	limit := func(soft uint64) {
		t.Helper()
		if err := unix.Setrlimit(unix.RLIMIT_NOFILE, &unix.Rlimit{Cur: soft, Max: before.Max}); err != nil {
			t.Fatal(err)
		}
	}
	t.Cleanup(func() { limit(before.Cur) })

	fd, at := listening("goes on")
	c := callers{listener: fd, procs: 1, clients: &clients{uid: os.Getuid()}}
	c.threads.Store(1)
	done := make(chan bool)
	go func() {
		c.work()
		done <- true
	}()
	for c.idle.Load() == 0 {
		time.Sleep(time.Millisecond)
	}
	hangUp := func(caller int) { // as soon as it is connected
		t.Helper()
		if err := unix.Connect(caller, at); err != nil {
			t.Fatal(err)
		}
		if err := unix.Shutdown(caller, unix.SHUT_WR); err != nil {
			t.Fatal(err)
		}
		if n, err := unix.Read(caller, make([]byte, 1)); n != 0 || err != nil && err != unix.ECONNRESET {
			t.Errorf("read = %d, %v; want the end of the connection", n, err)
		}
	}
	first, second := socket(), socket()
	limit(0)
	hangUp(first) // whose descriptor was taken before
	time.Sleep(50 * time.Millisecond)
	limit(before.Cur)
	hangUp(second)
	unix.Shutdown(fd, unix.SHUT_RDWR)
	<-done

	fd, at = listening("cannot begin")
	caller := socket()
	c = callers{listener: fd, procs: 1, clients: &clients{uid: os.Getuid()}}
	c.threads.Store(1)
	limit(0)
	go func() {
		c.work()
		done <- true
	}()
	<-done
	limit(before.Cur)
	if err := unix.Connect(caller, at); err != unix.ECONNREFUSED {
		t.Errorf("connect = %v, want %v", err, unix.ECONNREFUSED)
	}
}
