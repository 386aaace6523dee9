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
//
// Where the launch looks simple its constructor does not even start a Go runtime, but calls the standby first, as it would call a server
// that runs (callers.go), with one descriptor more, for the answer: a standby that can plan the launch knows by itself what to serve.

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
func (c *Config) await(sock int, plan Planner) (ends, error) {
	c.memory = findMemory()
	go c.memory() // who decodes ahead waits for it
	buf, oob := make([]byte, userns.CallLen+1), make([]byte, unix.CmsgSpace((userns.CallAnswer+1)*4))
	for {
		n, oobn, err := receive(sock, buf, oob, 0)
		if err != nil || n == 0 {
			return noEnds(), errDropped
		}
		fds, err := descriptors(oob[:oobn])
		if err != nil {
			return noEnds(), fmt.Errorf("receive the configuration: %w", unix.EPROTO)
		}
		if !userns.IsCall(buf[:n]) {
			return c.configure(buf[:n], fds)
		}
		if e, ok := c.called(buf[:n], fds, plan); ok {
			return e, nil
		}
	}
}

// configure reads the message that goes with descriptors, a letter for each.
func (c *Config) configure(letters []byte, fds []int) (ends, error) {
	e := noEnds()
	if len(fds) != len(letters) {
		return e, fmt.Errorf("receive the configuration: %w", unix.EPROTO)
	}
	var err error
	for i, letter := range letters {
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

// called plans the launch of the process that has started us, and has the same root. False: it plans by itself.
func (c *Config) called(message []byte, fds []int, plan Planner) (e ends, ok bool) {
	e = noEnds()
	answer := -1
	defer func() {
		for _, fd := range fds {
			if fd != e.pidfd && fd != answer {
				unix.Close(fd)
			}
		}
	}()
	call, err := userns.DecodeCall(message)
	if err != nil || plan == nil || len(fds) != userns.CallAnswer+1 || unix.Fchdir(fds[userns.CallDirectory]) != nil {
		return e, false
	}
	conf := Config{memory: c.memory}
	before := unix.Umask(call.Umask)
	planned, ok := plan.try(call, "", Offer{}, &conf)
	unix.Umask(before)
	c.foreseen = conf.foreseen
	if unix.Chdir("/") != nil || !ok {
		return e, false
	}
	if conf.Key != "" {
		if e.listener = listen(unix.Getuid(), conf.Key); e.listener < 0 {
			unix.Close(planned.Plan)
			return e, false // another launch was faster: ours joins its server
		}
	}
	*c, e.pidfd, answer = conf, fds[userns.CallPidfd], fds[userns.CallAnswer]
	e.release = func() {
		unix.Sendmsg(answer, []byte{sentConfig}, unix.UnixRights(planned.Plan), nil, unix.MSG_NOSIGNAL) // a client that is gone is found out by its pidfd
		unix.Close(answer)
		unix.Close(planned.Plan)
	}
	return e, true
}

// descriptors are those that came along with a message.
func descriptors(oob []byte) ([]int, error) {
	messages, err := unix.ParseSocketControlMessage(oob)
	if err != nil || len(messages) != 1 {
		return nil, unix.EPROTO
	}
	return unix.ParseUnixRights(&messages[0])
}
