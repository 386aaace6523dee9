//go:build !lean

package main

import (
	"bufio"
	"fmt"
	"os"
	"strings"

	"coracle/image/oci"

	"golang.org/x/term"
)

// askLogin asks for user and password on the terminal, whatever standard input is.
func askLogin() (oci.Credential, error) {
	tty, err := os.OpenFile("/dev/tty", os.O_RDWR, 0)
	if err != nil {
		return oci.Credential{}, fmt.Errorf("--docker-login: no terminal to ask on: %w", err)
	}
	defer tty.Close()
	fmt.Fprint(tty, "User: ")
	user, err := bufio.NewReader(tty).ReadString('\n')
	if err != nil {
		return oci.Credential{}, fmt.Errorf("--docker-login: %w", err)
	}
	fmt.Fprint(tty, "Password: ")
	password, err := term.ReadPassword(int(tty.Fd()))
	fmt.Fprintln(tty)
	if err != nil {
		return oci.Credential{}, fmt.Errorf("--docker-login: %w", err)
	}
	return oci.Credential{Username: strings.TrimSpace(user), Password: string(password)}, nil
}
