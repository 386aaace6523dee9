package server

import (
	"os"
	"testing"

	"golang.org/x/sys/unix"
)

// connection returns both ends of what joins a launch and its standby.
func connection(t *testing.T) (launch, standby int) {
	t.Helper()
	pair, err := unix.Socketpair(unix.AF_UNIX, unix.SOCK_SEQPACKET|unix.SOCK_CLOEXEC, 0)
	if err != nil {
		t.Fatalf("socketpair: %v", err)
	}
	t.Cleanup(func() {
		unix.Close(pair[0])
		unix.Close(pair[1])
	})
	return pair[0], pair[1]
}

// inode tells descriptors apart.
func inode(t *testing.T, fd int) uint64 {
	t.Helper()
	var st unix.Stat_t
	if err := unix.Fstat(fd, &st); err != nil {
		t.Fatalf("fstat: %v", err)
	}
	return st.Ino
}

// What a launch sends arrives, with the descriptors that there are.
func TestStandby(t *testing.T) {
	for _, with := range []struct{ pidfd, listener bool }{{true, true}, {true, false}, {false, true}, {false, false}} {
		launch, standby := connection(t)
		files := noEnds()
		for i, there := range []bool{with.pidfd, with.listener} {
			if there {
				f, err := os.CreateTemp(t.TempDir(), "")
				if err != nil {
					t.Fatalf("CreateTemp: %v", err)
				}
				defer f.Close()
				*[]*int{&files.pidfd, &files.listener}[i] = int(f.Fd())
			}
		}
		sent := Config{Uid: 1000, Gid: 100, Key: "key", Images: []Image{{Path: "/some/image.sif", Offset: 4096, Programs: []string{"/bin/true"}}}}
		if err := sent.send(launch, files.pidfd, files.listener); err != nil {
			t.Fatalf("send: %v", err)
		}
		var got Config
		e, err := got.await(standby, nil)
		if err != nil {
			t.Fatalf("await: %v", err)
		}
		if got.Uid != 1000 || got.Gid != 100 || got.Key != "key" || len(got.Images) != 1 || got.Images[0].Offset != 4096 || got.Images[0].Programs[0] != "/bin/true" {
			t.Errorf("the standby got %+v, want %+v", got, sent)
		}
		for _, end := range []struct {
			what      string
			got, want int
		}{{"pidfd", e.pidfd, files.pidfd}, {"listener", e.listener, files.listener}} {
			switch {
			case end.want < 0 && end.got >= 0, end.want >= 0 && end.got < 0:
				t.Errorf("%+v: %s %d", with, end.what, end.got)
			case end.want >= 0 && inode(t, end.got) != inode(t, end.want):
				t.Errorf("%+v: the %s is another file", with, end.what)
			}
			if end.got >= 0 {
				unix.Close(end.got)
			}
		}
	}
}

// A launch that goes away, or that says something else, is no launch to serve.
func TestStandbyDropped(t *testing.T) {
	launch, standby := connection(t)
	unix.Shutdown(launch, unix.SHUT_WR)
	var c Config
	if _, err := c.await(standby, nil); err != errDropped {
		t.Errorf("await after the end: %v, want %v", err, errDropped)
	}
	launch, standby = connection(t)
	if err := unix.Sendmsg(launch, []byte{sentConfig}, nil, nil, 0); err != nil {
		t.Fatalf("sendmsg: %v", err)
	}
	if _, err := c.await(standby, nil); err == nil || err == errDropped {
		t.Errorf("await without the descriptor: %v", err)
	}
}

// A launch that is killed when it has said what it needs, and has not read the namespace, is served: it may have something to remove.
func TestStandbyKilled(t *testing.T) {
	launch, standby := connection(t)
	if err := answer(standby, nil, nil, ""); err != nil {
		t.Fatalf("answer: %v", err)
	}
	sent := Config{Key: "key"}
	if err := sent.send(launch, -1, -1); err != nil {
		t.Fatalf("send: %v", err)
	}
	if err := unix.Dup3(standby, launch, unix.O_CLOEXEC); err != nil { // closes the launch's end
		t.Fatalf("dup3: %v", err)
	}
	var got Config
	if _, err := got.await(standby, nil); err != nil || got.Key != "key" {
		t.Errorf("await: %+v, %v", got, err)
	}
}
