package server

import (
	"errors"
	"os"
	"path/filepath"
	goruntime "runtime"
	"testing"
	"time"

	"golang.org/x/sys/unix"
)

// A client is killed when it has made what it asked the server to remove. It may have read the server's answer, or not, or be
// killed before there was any.
func TestKilledClient(t *testing.T) {
	for _, tt := range []struct {
		name   string
		answer bool  // there has been one, and nobody has read it
		fail   error // instead of serving
	}{
		{name: "no answer"},
		{name: "an answer that nobody read", answer: true},
		{name: "a server that fails", fail: errors.New("no server")},
		{name: "a server that fails later", answer: true, fail: errors.New("no server")},
	} {
		dir := t.TempDir()
		parent, err := unix.Open(dir, unix.O_RDONLY|unix.O_DIRECTORY|unix.O_CLOEXEC, 0)
		if err != nil {
			t.Fatal(err)
		}
		pair, err := unix.Socketpair(unix.AF_UNIX, unix.SOCK_SEQPACKET|unix.SOCK_CLOEXEC, 0)
		if err != nil {
			t.Fatal(err)
		}
		if err := unix.Sendmsg(pair[1], []byte(sentFile), unix.UnixRights(parent), nil, 0); err != nil {
			t.Fatal(err)
		}
		if err := Remove(pair[1], parent, "made"); err != nil {
			t.Fatal(err)
		}
		unix.Close(parent)
		if err := os.MkdirAll(filepath.Join(dir, "made", "below"), 0o700); err != nil {
			t.Fatal(err)
		}
		if tt.answer {
			if err := answer(pair[0], nil, nil, ""); err != nil {
				t.Fatal(err)
			}
		}
		unix.Close(pair[1])
		c := clients{listener: -1, inotify: -1, work: -1, helds: []*held{{sock: pair[0], served: tt.answer}}}
		if tt.fail != nil {
			c.dismiss(tt.fail)
		} else {
			c.wait()
			c.finish()
		}
		if _, err := os.Lstat(filepath.Join(dir, "made")); !errors.Is(err, os.ErrNotExist) {
			t.Errorf("%s: what the client has made is there still: %v", tt.name, err)
		}
	}
}

// The thread that watches an overlay shares its working directory with no other: one that copied it meanwhile would never let the overlay end.
func TestWatchApart(t *testing.T) {
	home, err := os.Getwd()
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { os.Chdir(home) })
	dir, err := unix.Open(t.TempDir(), unix.O_PATH|unix.O_DIRECTORY|unix.O_CLOEXEC, 0)
	if err != nil {
		t.Fatal(err)
	}
	defer unix.Close(dir)
	c := clients{inotify: -1}
	watched := make(chan int)
	go func() {
		goruntime.LockOSThread() // for ever, as the server's first thread
		wd := c.watch(dir)
		if unix.Fchdir(dir) != nil { // as it does while it watches
			wd = -1
		}
		watched <- wd
	}()
	wd := <-watched
	defer unix.Close(c.inotify)
	if wd <= 0 {
		t.Errorf("watch(a directory) = %d, want a watch descriptor", wd)
	}
	if cwd, err := unix.Getwd(); err != nil || cwd != home {
		t.Errorf("the working directory of another thread is %q, %v, want %q", cwd, err, home)
	}
}

// A client that comes just when the images are ready waits until they are mounted, like those before it.
func TestReadyClient(t *testing.T) {
	var work [2]int
	if err := unix.Pipe2(work[:], unix.O_CLOEXEC); err != nil {
		t.Fatal(err)
	}
	defer unix.Close(work[0])
	unix.Close(work[1])
	pair, err := unix.Socketpair(unix.AF_UNIX, unix.SOCK_SEQPACKET|unix.SOCK_CLOEXEC, 0)
	if err != nil {
		t.Fatal(err)
	}
	defer unix.Close(pair[0])
	defer unix.Close(pair[1])
	me, err := unix.PidfdOpen(os.Getpid(), 0)
	if err != nil {
		t.Fatal(err)
	}
	if err := unix.Sendmsg(pair[1], []byte("key"), unix.UnixRights(me), nil, 0); err != nil {
		t.Fatal(err)
	}
	unix.Close(me)
	c := clients{listener: -1, inotify: -1, work: work[0], key: "key", pending: []pending{{pair[0], time.Now().Add(time.Minute)}}}
	c.bell = -1
	c.welcome = func(*held) error {
		t.Error("it gets images that are not mounted")
		return nil
	}
	c.step()
	if len(c.helds) != 1 || c.helds[0].served || c.work >= 0 {
		t.Errorf("clients %+v, work %d; want one that waits, and -1", c.helds, c.work)
	}
	for _, fd := range c.pidfds {
		unix.Close(fd)
	}
}
