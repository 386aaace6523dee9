package e2e

import (
	"errors"
	"fmt"
	"os"
	"os/exec"
	"regexp"
	"strings"
	"syscall"
	"time"

	"github.com/rogpeppe/go-internal/testscript"
	"golang.org/x/sys/unix"
)

// cmdTerm runs a command as the leader of a session on a new terminal, 24 by 80, and
// drives it by the lines of a file:
//
//	> text      type the text and the return key
//	^X          type the control character, C, D, Z, \
//	< regexp    wait until the output since the last match matches
//	size 50 132 change the size of the terminal
//	hangup      close the terminal
//	status N    the command ends with N, as for the command status
//
// Empty lines and lines that start with # are left out.
func cmdTerm(ts *testscript.TestScript, neg bool, args []string) {
	if neg || len(args) < 2 {
		ts.Fatalf("usage: term FILE command...")
	}
	cmd, err := command(ts, args[1:])
	ts.Check(err)
	t, err := start(cmd)
	ts.Check(err)
	defer t.stop()
	for line := range strings.Lines(ts.ReadFile(args[0])) {
		line = strings.TrimRight(line, "\n")
		if line == "" || line[0] == '#' {
			continue
		}
		if err := t.step(line); err != nil {
			ts.Fatalf("%s: %v\nthe terminal shows:\n%s", line, err, t.all)
		}
	}
	ts.Logf("the terminal showed:\n%s", t.all)
}

// A terminal is a command on the slave side of a pseudo-terminal.
type terminal struct {
	master *os.File
	cmd    *exec.Cmd
	output chan []byte
	all    []byte // everything shown
	seen   int    // how much of it has been matched
	ended  bool
}

func start(cmd *exec.Cmd) (*terminal, error) {
	master, err := os.OpenFile("/dev/ptmx", os.O_RDWR|unix.O_NOCTTY, 0)
	if err != nil {
		return nil, err
	}
	var n int
	err = control(master, func(fd int) (err error) {
		if n, err = unix.IoctlGetInt(fd, unix.TIOCGPTN); err != nil {
			return err
		}
		if err := unix.IoctlSetPointerInt(fd, unix.TIOCSPTLCK, 0); err != nil {
			return err
		}
		return unix.IoctlSetWinsize(fd, unix.TIOCSWINSZ, &unix.Winsize{Row: 24, Col: 80})
	})
	if err != nil {
		master.Close()
		return nil, fmt.Errorf("pseudo-terminal: %w", err)
	}
	slave, err := os.OpenFile(fmt.Sprintf("/dev/pts/%d", n), os.O_RDWR|unix.O_NOCTTY, 0)
	if err != nil {
		master.Close()
		return nil, err
	}
	defer slave.Close()
	cmd.Stdin, cmd.Stdout, cmd.Stderr = slave, slave, slave
	cmd.SysProcAttr = &syscall.SysProcAttr{Setsid: true, Setctty: true}
	cmd.Env = append(cmd.Env, "TERM=dumb", "PS1=% ")
	if err := cmd.Start(); err != nil {
		master.Close()
		return nil, err
	}
	t := &terminal{master: master, cmd: cmd, output: make(chan []byte)}
	go t.read()
	return t, nil
}

// control calls do with the descriptor of f. Unlike f.Fd it leaves f in the care of the
// poller, so that closing f ends a read that is under way.
func control(f *os.File, do func(fd int) error) error {
	conn, err := f.SyscallConn()
	if err != nil {
		return err
	}
	var result error
	if err := conn.Control(func(fd uintptr) { result = do(int(fd)) }); err != nil {
		return err
	}
	return result
}

func (t *terminal) read() {
	defer close(t.output)
	for {
		buf := make([]byte, 4096)
		n, err := t.master.Read(buf)
		if n > 0 {
			t.output <- buf[:n]
		}
		if err != nil {
			return
		}
	}
}

func (t *terminal) step(line string) error {
	word, rest, _ := strings.Cut(line, " ")
	switch {
	case word == ">":
		_, err := t.master.WriteString(rest + "\r")
		return err
	case word[0] == '^' && len(word) == 2:
		_, err := t.master.Write([]byte{word[1] & 0x1f})
		return err
	case word == "<":
		return t.expect(rest)
	case word == "size":
		var ws unix.Winsize
		if _, err := fmt.Sscan(rest, &ws.Row, &ws.Col); err != nil {
			return err
		}
		return control(t.master, func(fd int) error { return unix.IoctlSetWinsize(fd, unix.TIOCSWINSZ, &ws) })
	case word == "hangup":
		return t.master.Close()
	case word == "status":
		return t.wait(rest)
	}
	return errors.New("unknown line")
}

// expect waits for output that matches, ten seconds long.
func (t *terminal) expect(pattern string) error {
	re, err := regexp.Compile("(?m)" + pattern)
	if err != nil {
		return err
	}
	timeout := time.After(10 * time.Second)
	for {
		text := []byte(strings.ReplaceAll(string(t.all[t.seen:]), "\r", " "))
		if at := re.FindIndex(text); at != nil {
			t.seen += at[1]
			return nil
		}
		select {
		case data, ok := <-t.output:
			if !ok {
				return errors.New("the terminal was closed")
			}
			t.all = append(t.all, data...)
		case <-timeout:
			return errors.New("not within 10 s")
		}
	}
}

// wait lets the command end by itself.
func (t *terminal) wait(want string) error {
	done := make(chan error, 1)
	go func() { done <- t.cmd.Wait() }()
	output := t.output
	for {
		select {
		case data, ok := <-output:
			if !ok {
				output = nil
			}
			t.all = append(t.all, data...)
		case err := <-done:
			t.ended = true
			if got := outcome(err); got != want {
				return fmt.Errorf("ended with %s", got)
			}
			return nil
		case <-time.After(10 * time.Second):
			return errors.New("still running after 10 s")
		}
	}
}

// stop ends a command that a failed script left behind.
func (t *terminal) stop() {
	t.master.Close()
	if !t.ended {
		t.cmd.Process.Kill()
		t.cmd.Wait()
	}
	go func() {
		for range t.output { // let read come to its end
		}
	}()
}
