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

// askLogin asks for password and, unless it is known, user on the terminal, whatever standard input is.
// what asks is named in errors.
func askLogin(what, user string) (oci.Credential, error) {
	tty, err := os.OpenFile("/dev/tty", os.O_RDWR, 0)
	if err != nil {
		return oci.Credential{}, fmt.Errorf("%s: no terminal to ask on: %w", what, err)
	}
	defer tty.Close()
	if user == "" {
		fmt.Fprint(tty, "User: ")
		if user, err = bufio.NewReader(tty).ReadString('\n'); err != nil {
			return oci.Credential{}, fmt.Errorf("%s: %w", what, err)
		}
	}
	fmt.Fprint(tty, "Password: ")
	password, err := term.ReadPassword(int(tty.Fd()))
	fmt.Fprintln(tty)
	if err != nil {
		return oci.Credential{}, fmt.Errorf("%s: %w", what, err)
	}
	return oci.Credential{Username: strings.TrimSpace(user), Password: string(password)}, nil
}
