//go:build !lean

package main

import (
	"bufio"
	"errors"
	"fmt"
	"io"
	"os"
	"os/signal"
	"strings"
	"sync"

	"coracle/image/oci"

	"golang.org/x/sys/unix"
)

// A loginError says why a login to a registry is not kept.
type loginError struct {
	host string
	err  error
}

func (e *loginError) Error() string { return fmt.Sprintf("log in to %s: %v", e.host, e.err) }

// Unwrap returns the reason.
func (e *loginError) Unwrap() error { return e.err }

// A noTerminalError says that there is no terminal to ask on.
type noTerminalError struct {
	what string // what asks
	cure string // the way without
}

func (e *noTerminalError) Error() string {
	return e.what + ": there is no terminal to ask for the password on"
}

// askLogin asks for password and, unless it is known, user on the terminal, whatever standard input is.
// what asks is named in errors, and cure is the way without a terminal.
func askLogin(what, user, cure string) (oci.Credential, error) {
	tty, err := os.OpenFile("/dev/tty", os.O_RDWR, 0)
	if err != nil {
		return oci.Credential{}, &noTerminalError{what, cure}
	}
	defer tty.Close()
	if user == "" {
		fmt.Fprint(tty, "User: ")
		if user, err = bufio.NewReader(tty).ReadString('\n'); err != nil {
			return oci.Credential{}, fmt.Errorf("%s: %w", what, err)
		}
	}
	password, err := readPassword(tty)
	fmt.Fprintln(tty)
	if password == "" && (err == nil || err == io.EOF) {
		err = errors.New("no password was given")
	}
	if err != nil {
		return oci.Credential{}, fmt.Errorf("%s: %w", what, err)
	}
	return oci.Credential{Username: strings.TrimSpace(user), Password: password}, nil
}

// readPassword asks for a line that is not shown. A signal that ends us leaves the terminal as it was.
func readPassword(tty *os.File) (string, error) {
	fd := int(tty.Fd())
	before, err := unix.IoctlGetTermios(fd, unix.TCGETS)
	if err != nil {
		return "", err
	}
	var changing sync.Mutex // whoever restores the terminal to end us keeps it
	signals := make(chan os.Signal, 1)
	signal.Notify(signals, unix.SIGINT, unix.SIGTERM, unix.SIGHUP, unix.SIGQUIT)
	defer close(signals) // ends the goroutine
	defer signal.Stop(signals)
	go func() {
		s, ok := (<-signals).(unix.Signal)
		if !ok {
			return
		}
		changing.Lock()
		unix.IoctlSetTermios(fd, unix.TCSETS, before)
		fmt.Fprintln(tty)
		signal.Reset(s)
		unix.Kill(os.Getpid(), s)
	}()
	quiet := *before
	quiet.Lflag = quiet.Lflag&^unix.ECHO | unix.ICANON | unix.ISIG
	quiet.Iflag |= unix.ICRNL
	changing.Lock()
	err = unix.IoctlSetTermios(fd, unix.TCSETS, &quiet)
	changing.Unlock()
	if err != nil {
		return "", err
	}
	defer func() {
		changing.Lock()
		defer changing.Unlock()
		unix.IoctlSetTermios(fd, unix.TCSETS, before)
	}()
	fmt.Fprint(tty, "Password: ")
	line, err := bufio.NewReader(tty).ReadString('\n')
	return strings.TrimRight(line, "\r\n"), err
}
