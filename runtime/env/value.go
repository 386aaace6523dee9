package env

import (
	"context"
	"fmt"
	"io"
	"os"
	"strconv"
	"strings"

	"mvdan.cc/sh/v3/expand"
	"mvdan.cc/sh/v3/interp"
	"mvdan.cc/sh/v3/syntax"
)

// expand evaluates a value that the user set for the container as if it stood in a
// here-document: $NAME, ${NAME…}, $(command) and arithmetic are replaced, \$ is a dollar
// sign, quotes are ordinary characters. On an error the value is returned as it is.
func (sh *shell) expand(value string) (string, error) {
	if !strings.ContainsAny(value, "$`\\") {
		return value, nil
	}
	word, err := syntax.NewParser().Document(newShallow(hide([]byte(value))))
	if err != nil {
		return value, err
	}
	result, err := sh.document(word)
	if err != nil {
		return value, err
	}
	return reveal(result), nil
}

// document expands a parsed value. A panic of the library is an error.
func (sh *shell) document(word *syntax.Word) (result string, err error) {
	defer func() {
		if p := recover(); p != nil {
			err = fmt.Errorf("the interpreter gave up: %v", p)
		}
	}()
	return expand.Document(&expand.Config{
		Env: expand.FuncEnviron(func(name string) string {
			return sh.lookup(name)
		}),
		CmdSubst: func(w io.Writer, sub *syntax.CmdSubst) error {
			if err := sh.start(); err != nil {
				return err
			}
			inner := sh.runner.Subshell()
			if err := interp.StdIO(sh.in.input(), w, sh.in.errput())(inner); err != nil {
				return err
			}
			for _, stmt := range sub.Stmts {
				if err := inner.Run(context.Background(), stmt); inner.Exited() {
					return err
				}
			}
			return nil
		},
	}, word)
}

// lookup returns a variable for the expansion of a user's value: one of the shell, or
// one of those that every shell has.
func (sh *shell) lookup(name string) string {
	if text, set := sh.get(name); set {
		return text
	}
	switch name {
	case "UID":
		return strconv.Itoa(os.Getuid())
	case "EUID":
		return strconv.Itoa(os.Geteuid())
	case "GID":
		return strconv.Itoa(os.Getgid())
	case "PWD":
		return sh.in.dir()
	}
	return ""
}
