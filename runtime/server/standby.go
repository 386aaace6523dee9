package server

import (
	"errors"
	"fmt"

	"coracle/runtime/stage"
	"coracle/userns"

	"golang.org/x/sys/unix"
)

// A standby is an image server that the constructor of a launch has started on a guess (userns/standby.c), so that
// its Go runtime starts beside that of the launch. It waits for one message:
//
//	launch                                    standby
//	                                     ◀──  (its user namespace, as every server's first word)
//	a letter for each descriptor,
//	and the descriptors: the memfd with
//	the Config, pidfd, listener          ──▶  goes on as if it had been started now
//	or the end of the connection         ──▶  ends

// errDropped: the launch needs no server.
var errDropped = errors.New("no server is needed")

// The descriptors of the message, a letter for each.
const (
	sentConfig   = 'c'
	sentPidfd    = 'p'
	sentListener = 'l'
)

// send hands the config to a standby behind sock.
func (c *Config) send(sock, pidfd, listener int) error {
	fd, err := stage.File(&userns.Header{Role: userns.Standby}, c)
	if err != nil {
		return err
	}
	defer unix.Close(fd)
	letters, fds := []byte{sentConfig}, []int{fd}
	if pidfd >= 0 {
		letters, fds = append(letters, sentPidfd), append(fds, pidfd)
	}
	if listener >= 0 {
		letters, fds = append(letters, sentListener), append(fds, listener)
	}
	if err := unix.Sendmsg(sock, letters, unix.UnixRights(fds...), nil, unix.MSG_NOSIGNAL); err != nil {
		return err
	}
	return c.sendFiles(sock)
}

// await is the other side of send. errDropped: the launch does not need a server, or has failed.
func (c *Config) await(sock int) (ends, error) {
	e := ends{-1, -1}
	c.memory = findMemory()
	letters, oob := make([]byte, 4), make([]byte, unix.CmsgSpace(3*4))
	n, oobn, err := receive(sock, letters, oob, 0)
	if err != nil || n == 0 {
		return e, errDropped
	}
	fds, err := descriptors(oob[:oobn])
	if err != nil || len(fds) != n {
		return e, fmt.Errorf("receive the configuration: %w", unix.EPROTO)
	}
	for i, letter := range letters[:n] {
		switch letter {
		case sentConfig:
			err = stage.Read(fds[i], userns.HeaderLen, c)
		case sentPidfd:
			e.pidfd = fds[i]
		case sentListener:
			e.listener = fds[i]
		}
	}
	return e, err
}

// descriptors are those that came along with a message.
func descriptors(oob []byte) ([]int, error) {
	messages, err := unix.ParseSocketControlMessage(oob)
	if err != nil || len(messages) != 1 {
		return nil, unix.EPROTO
	}
	return unix.ParseUnixRights(&messages[0])
}
