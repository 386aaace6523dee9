package main

import (
	"bufio"
	"fmt"
	"strings"
)

// printMan writes the manual page, section 1, in the man macros. It is made from the
// same tables as everything else.
func (c *cli) printMan() error {
	m := manWriter{w: bufio.NewWriter(c.out), program: c.program}
	fmt.Fprintf(m.w, ".TH %s 1 \"\" \"coracle %s\"\n", strings.ToUpper(c.program), version)
	m.section("NAME")
	m.text(c.program + " - run container images as an ordinary user")
	m.section("SYNOPSIS")
	m.text(c.program + " [GLOBAL FLAGS] COMMAND [FLAGS] [ARG…]")
	m.section("GLOBAL FLAGS")
	m.flags(globals())
	m.section("COMMANDS")
	for _, cmd := range withParts(commands()) {
		if cmd.hidden {
			continue
		}
		fmt.Fprintf(m.w, ".SS %s\n", roff(c.program+" "+cmd.usage()))
		m.text(capital(cmd.short) + ". " + cmd.about)
		m.flags(visible(first(cmd.build())))
		m.examples(cmd.examples)
	}
	m.section("EXIT STATUS")
	m.text("The command's own; 255 when the container could not be started; 1 when the command line is wrong.")
	m.section("ENVIRONMENT")
	m.text("Every long flag of exec, run, shell and test can be set as CORACLE_FLAG, APPTAINER_FLAG or SINGULARITY_FLAG, the first of them counting: " +
		"CORACLE_BIND, for example. CORACLEENV_X, APPTAINERENV_X and SINGULARITYENV_X set X inside.")
	return m.w.Flush()
}

type manWriter struct {
	w       *bufio.Writer
	program string
}

func (m *manWriter) section(name string) { fmt.Fprintf(m.w, ".SH %s\n", name) }

func (m *manWriter) text(s string) { fmt.Fprintln(m.w, roff(strings.TrimSpace(s))) }

func (m *manWriter) flags(flags []flag) {
	for _, f := range flags {
		fmt.Fprintf(m.w, ".TP\n.B %s\n%s\n", roff(f.label()), roff(f.help))
	}
}

func (m *manWriter) examples(list []string) {
	if len(list) == 0 {
		return
	}
	fmt.Fprint(m.w, ".PP\n.EX\n")
	for _, e := range list {
		fmt.Fprintln(m.w, roff(m.program+" "+e))
	}
	fmt.Fprint(m.w, ".EE\n")
}

// roff escapes what the macros would take for their own.
func roff(s string) string {
	s = strings.NewReplacer(`\`, `\e`, `-`, `\-`, `"`, `\(dq`, `'`, `\(aq`).Replace(s)
	if strings.HasPrefix(s, ".") {
		s = `\&` + s
	}
	return s
}

// withParts puts the commands of two words behind those that they begin with.
func withParts(list []command) []command {
	var all []command
	for _, cmd := range list {
		all = append(all, cmd)
		if cmd.parts != nil {
			all = append(all, cmd.parts()...)
		}
	}
	return all
}

func first[A, B any](a A, _ B) A { return a }
