package server

import (
	"errors"
	"fmt"
	"os"
	"os/exec"
	"sync"
	"testing"
	"time"

	"golang.org/x/sys/unix"
)

// key is a key that no other test uses.
func key(t *testing.T) string {
	return fmt.Sprintf("%s %d %d", t.Name(), os.Getpid(), time.Now().UnixNano())
}

func selfPidfd(t *testing.T) int {
	t.Helper()
	fd, err := unix.PidfdOpen(os.Getpid(), 0)
	if err != nil {
		t.Skipf("no pidfd: %v", err)
	}
	t.Cleanup(func() { unix.Close(fd) })
	return fd
}

// serve answers greetings on the listener until its last client is gone.
func serve(listener int, key string) *clients {
	return &clients{listener: listener, work: -1, key: key, uid: os.Getuid(), welcome: func(h *held) error {
		return unix.Sendmsg(h.sock, []byte("reply"), nil, nil, unix.MSG_NOSIGNAL)
	}}
}

// Of many launches at once exactly one is to start the server, and all others are its clients.
func TestJoinRace(t *testing.T) {
	k, pidfd := key(t), selfPidfd(t)
	var mu sync.Mutex
	var starters, clientsIn int
	var wg sync.WaitGroup
	for range 32 {
		wg.Go(func() {
			sock, listener, err := join(os.Getuid(), k, pidfd)
			if err != nil {
				t.Errorf("join: %v", err)
				return
			}
			mu.Lock()
			defer mu.Unlock()
			if listener >= 0 {
				starters++
				// This test process is every client, and lives on: the server is left to the process's end.
				go serve(listener, k).wait2(t)
				return
			}
			var buf [16]byte
			n, err := unix.Read(sock, buf[:])
			if err != nil || string(buf[:n]) != "reply" {
				t.Errorf("client read %q, %v; want the reply", buf[:n], err)
			}
			clientsIn++
			unix.Close(sock)
		})
	}
	wg.Wait()
	if starters != 1 || clientsIn != 31 {
		t.Errorf("%d launches start a server and %d join; want 1 and 31", starters, clientsIn)
	}
}

// wait2 serves like a server whose first client is this process.
func (c *clients) wait2(t *testing.T) {
	fd, err := unix.PidfdOpen(os.Getpid(), 0)
	if err != nil {
		t.Error(err)
		return
	}
	c.pidfds = append(c.pidfds, fd)
	c.wait()
}

// A socket whose owner expects another key is left alone, and the next name is taken.
func TestJoinForeign(t *testing.T) {
	k, pidfd := key(t), selfPidfd(t)
	squatter, err := unix.Socket(unix.AF_UNIX, unix.SOCK_SEQPACKET|unix.SOCK_CLOEXEC, 0)
	if err != nil {
		t.Fatal(err)
	}
	if err := errors.Join(unix.Bind(squatter, &unix.SockaddrUnix{Name: socketName(os.Getuid(), k, 0)}), unix.Listen(squatter, 8)); err != nil {
		t.Fatal(err)
	}
	go serve(squatter, "another key").wait2(t)
	_, listener, err := join(os.Getuid(), k, pidfd)
	if err != nil || listener < 0 {
		t.Fatalf("join beside a foreign socket = listener %d, %v; want the next name", listener, err)
	}
	name, err := unix.Getsockname(listener)
	if un, ok := name.(*unix.SockaddrUnix); err != nil || !ok || un.Name != socketName(os.Getuid(), k, 1) {
		t.Errorf("join listens on %v, %v; want the second name", name, err)
	}
	unix.Close(listener)
}

// A stale listener, bound by a launch that died before it started its server, does not hold anybody up.
func TestJoinDeadStarter(t *testing.T) {
	k, pidfd := key(t), selfPidfd(t)
	_, listener, err := join(os.Getuid(), k, pidfd)
	if err != nil {
		t.Fatal(err)
	}
	done := make(chan error, 1)
	go func() {
		_, l, err := join(os.Getuid(), k, pidfd)
		if err == nil && l < 0 {
			err = errors.New("joined a server that nobody started")
		}
		unix.Close(l)
		done <- err
	}()
	time.Sleep(20 * time.Millisecond) // it is in the backlog now
	unix.Close(listener)
	if err := <-done; err != nil {
		t.Error(err)
	}
}

// A server ends when its last client has.
func TestClientsEnd(t *testing.T) {
	cmd := exec.Command("sleep", "0.1")
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	fd, err := unix.PidfdOpen(cmd.Process.Pid, 0)
	if err != nil {
		t.Skipf("no pidfd: %v", err)
	}
	c := clients{listener: -1, pidfds: []int{fd}}
	ended := make(chan bool)
	go func() { c.wait(); close(ended) }()
	cmd.Wait()
	select {
	case <-ended:
	case <-time.After(5 * time.Second):
		t.Error("the server waits for a client that has ended")
	}
}

// What is no greeting is answered with a refusal, and costs nobody a descriptor.
func TestGreetingRefused(t *testing.T) {
	null, err := unix.Open("/dev/null", unix.O_RDONLY|unix.O_CLOEXEC, 0)
	if err != nil {
		t.Fatal(err)
	}
	defer unix.Close(null)
	for name, send := range map[string]func(fd int){
		"nothing":         func(fd int) { unix.Sendmsg(fd, []byte("k"), nil, nil, 0) },
		"no pidfd":        func(fd int) { unix.Sendmsg(fd, []byte("k"), unix.UnixRights(null), nil, 0) },
		"two descriptors": func(fd int) { unix.Sendmsg(fd, []byte("k"), unix.UnixRights(null, null), nil, 0) },
		"wrong key":       func(fd int) { unix.Sendmsg(fd, []byte("x"), unix.UnixRights(selfPidfd(t)), nil, 0) },
	} {
		pair, err := unix.Socketpair(unix.AF_UNIX, unix.SOCK_SEQPACKET|unix.SOCK_CLOEXEC, 0)
		if err != nil {
			t.Fatal(err)
		}
		send(pair[0])
		if got := serve(-1, "k").greeting(&held{sock: pair[1], served: true}); got != -1 {
			t.Errorf("%s: taken in as %d", name, got)
		}
		var buf [64]byte
		if n, err := unix.Read(pair[0], buf[:]); err != nil || string(buf[:n]) != refusal {
			t.Errorf("%s: answered %q, %v; want a refusal", name, buf[:n], err)
		}
		unix.Close(pair[0])
		unix.Close(pair[1])
	}
}

// A socket of somebody else that has no room for another connection holds nobody up.
func TestJoinFull(t *testing.T) {
	k, pidfd := key(t), selfPidfd(t)
	name := &unix.SockaddrUnix{Name: socketName(os.Getuid(), k, 0)}
	squatter, err := dial()
	if err != nil {
		t.Fatal(err)
	}
	defer unix.Close(squatter)
	if err := errors.Join(unix.Bind(squatter, name), unix.Listen(squatter, 0)); err != nil {
		t.Fatal(err)
	}
	first, err := dial()
	if err != nil {
		t.Fatal(err)
	}
	defer unix.Close(first)
	if err := unix.Connect(first, name); err != nil {
		t.Fatal(err)
	}
	done := make(chan error, 1)
	go func() {
		_, listener, err := join(os.Getuid(), k, pidfd)
		if err == nil && listener < 0 {
			err = errors.New("joined a server that nobody started")
		}
		unix.Close(listener)
		done <- err
	}()
	select {
	case err := <-done:
		if err != nil {
			t.Error(err)
		}
	case <-time.After(patience):
		t.Error("a full backlog holds a launch up")
	}
}

// A question is answered with the number of clients, whoever asks does not become one, and nothing stays.
func TestCount(t *testing.T) {
	k, pidfd := key(t), selfPidfd(t)
	if n := Count(os.Getuid(), k); n != 0 {
		t.Errorf("no server has %d clients", n)
	}
	_, listener, err := join(os.Getuid(), k, pidfd)
	if err != nil || listener < 0 {
		t.Fatal(err)
	}
	go serve(listener, k).wait2(t)
	for range 3 {
		if n := Count(os.Getuid(), k); n != 1 {
			t.Errorf("%d clients, want 1", n)
		}
	}
	if n := Count(os.Getuid(), k+"x"); n != 0 {
		t.Errorf("another key: %d clients", n)
	}
}
