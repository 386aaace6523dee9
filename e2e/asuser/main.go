// Command asuser runs a command as an ordinary user, in a directory of its own that
// holds the files named by -stage:
//
//	asuser [-stage PATH | -stage PATH=NAME]... -- COMMAND [ARGUMENT]...
//
// Root gets the account of package user; an ordinary user stays who they are. The exit
// status is the command's.
package main

import (
	"errors"
	"flag"
	"fmt"
	"os"
	"os/exec"
	"os/signal"

	"coracle/e2e/user"
)

func main() {
	var stage []string
	flag.Func("stage", "file or directory to put beside the command, under its base name or NAME (repeat)", func(s string) error {
		stage = append(stage, s)
		return nil
	})
	flag.Parse()
	status, err := run(stage, flag.Args())
	if err != nil {
		fmt.Fprintln(os.Stderr, "asuser:", err)
		status = 1
	}
	os.Exit(status)
}

func run(stage, command []string) (status int, err error) {
	if len(command) == 0 {
		return 0, errors.New("no command")
	}
	account, err := user.Ordinary()
	if err != nil {
		return 0, err
	}
	if err := user.OpenFuse(); err != nil {
		return 0, err
	}
	unlock, err := account.Lock()
	if err != nil {
		return 0, err
	}
	defer unlock()
	dir, err := account.Stage(stage...)
	if err != nil {
		return 0, err
	}
	defer os.RemoveAll(dir)
	cmd := account.Command(command[0], command[1:]...)
	cmd.Dir = dir
	signal.Notify(make(chan os.Signal, 1), os.Interrupt) // the command ends by it, then we tidy up
	err = cmd.Run()
	var exit *exec.ExitError
	if errors.As(err, &exit) {
		return exit.ExitCode(), nil
	}
	return 0, err
}
