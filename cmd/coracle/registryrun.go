//go:build !lean

package main

import (
	"bufio"
	"encoding/base64"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"maps"
	"os"
	"slices"
	"strings"
	"text/tabwriter"

	"coracle/image/oci"
)

// login keeps a login, once the registry has accepted it.
func (c *cli) login(registry string, f *registryFlags) error {
	host, err := oci.ParseRegistry(registry)
	if err != nil {
		return err
	}
	cred, err := f.ask(c)
	if err != nil {
		return err
	}
	ctx, ended := interruptible()
	err = oci.CheckLogin(ctx, host, oci.Options{Login: cred, NoHTTPS: f.noHTTPS, CertDirs: oci.CertDirs(c.getenv)})
	if err != nil {
		return ended(&loginError{host, err})
	}
	path, err := oci.LoginFile(oci.AuthFiles(f.authFile, c.getenv), host)
	if err != nil {
		return err
	}
	if err := oci.SaveLogin(path, host, cred); err != nil {
		return err
	}
	if !c.global.quiet && !c.global.silent {
		fmt.Fprintf(c.err, "logged in to %s as %s; kept in %s\n", host, cred.Username, path)
	}
	return nil
}

// ask returns the login: from flags, standard input or the terminal.
func (f *registryFlags) ask(c *cli) (oci.Credential, error) {
	cred := oci.Credential{Username: f.user, Password: f.password}
	switch {
	case f.stdin && (f.password != "" || f.user == ""):
		return cred, usageErrorf("registry login: --password-stdin goes with --username, and without --password")
	case f.stdin:
		line, err := bufio.NewReader(c.in).ReadString('\n')
		if err != nil && err != io.EOF {
			return cred, fmt.Errorf("read the password: %w", err)
		}
		cred.Password = strings.TrimRight(line, "\r\n")
	case f.password == "":
		return askLogin("registry login", f.user, "name the user, and give the password on standard input: --username USER --password-stdin")
	case f.user == "":
		return cred, usageErrorf("registry login: --password goes with --username")
	}
	if cred.Password == "" {
		return cred, errors.New("the password is empty")
	}
	return cred, nil
}

// logout forgets a login, wherever it is kept.
func (c *cli) logout(registry string, f *registryFlags) error {
	host, err := oci.ParseRegistry(registry)
	if err != nil {
		return err
	}
	found := false
	for _, path := range oci.AuthFiles(f.authFile, c.getenv) {
		was, err := oci.RemoveLogin(path, host)
		if err != nil {
			return err
		}
		if was && !c.global.quiet && !c.global.silent {
			fmt.Fprintf(c.err, "login to %s removed from %s\n", host, path)
		}
		found = found || was
	}
	if !found {
		return fmt.Errorf("there is no login to %s", host)
	}
	return nil
}

// listLogins shows registries, users and files.
func (c *cli) listLogins(f *registryFlags) error {
	w := tabwriter.NewWriter(c.out, 0, 8, 2, ' ', 0)
	fmt.Fprintln(w, "REGISTRY\tUSER\tFILE")
	for _, path := range oci.AuthFiles(f.authFile, c.getenv) {
		file, err := oci.ReadAuthFile(path)
		if errors.Is(err, fs.ErrNotExist) || errors.Is(err, os.ErrPermission) && f.authFile == "" {
			continue
		}
		if err != nil {
			return err
		}
		for _, name := range slices.Sorted(maps.Keys(file.Auths)) {
			fmt.Fprintf(w, "%s\t%s\t%s\n", oneLine(name), oneLine(userOf(file.Auths[name])), path)
		}
	}
	return w.Flush()
}

func userOf(e oci.AuthEntry) string {
	if e.Username != "" {
		return e.Username
	}
	text, _ := base64.StdEncoding.DecodeString(e.Auth)
	user, _, _ := strings.Cut(string(text), ":")
	return user
}
