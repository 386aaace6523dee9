package main

import (
	"bufio"
	"fmt"
	"io"
	"strings"
	"unicode/utf8"
)

// labelWidth is the column at which a flag's explanation starts.
const labelWidth = 30

// A printer writes help, with headings in bold where the terminal takes colour.
type printer struct {
	w       *bufio.Writer
	bold    bool
	program string
}

func (c *cli) printer(w io.Writer) *printer {
	return &printer{w: bufio.NewWriter(w), bold: c.colour, program: c.program}
}

func (p *printer) heading(s string) {
	if p.bold {
		s = "\x1b[1m" + s + "\x1b[0m"
	}
	fmt.Fprintf(p.w, "%s:\n", s)
}

func (p *printer) row(label, help string) {
	pad := max(1, labelWidth-utf8.RuneCountInString(label))
	fmt.Fprintf(p.w, "  %s%s%s\n", label, strings.Repeat(" ", pad), help)
}

func (p *printer) examples(list []string) {
	if len(list) == 0 {
		return
	}
	p.heading("Examples")
	for _, e := range list {
		fmt.Fprintf(p.w, "  %s %s\n", p.program, e)
	}
}

func (p *printer) flags(list []flag) {
	for _, f := range list {
		if f.group != "" {
			p.heading(f.group)
		}
		if f.hidden {
			continue
		}
		label := f.label()
		if f.short == 0 {
			label = "    " + label
		}
		p.row(label, f.help)
	}
}

// printHelp prints the help of one command.
func (c *cli) printHelp(cmd command) error {
	flags, _ := cmd.build()
	p := c.printer(c.out)
	fmt.Fprintf(p.w, "Usage: %s %s\n%s.\n", c.program, cmd.usage(), capital(cmd.short))
	if cmd.about != "" {
		fmt.Fprintln(p.w, cmd.about)
	}
	p.examples(cmd.examples)
	p.flags(flags)
	return p.w.Flush()
}

// printTopHelp prints the overview.
func (c *cli) printTopHelp() error {
	p := c.printer(c.out)
	fmt.Fprintf(p.w, "%s runs container images as an ordinary user.\n", c.program)
	fmt.Fprintf(p.w, "Usage: %s [GLOBAL FLAGS] COMMAND [FLAGS] [ARG…]\n", c.program)
	p.examples([]string{"run app.sif", "exec -B /scratch:/data app.sif ls /data", "doctor"})
	group := ""
	for _, cmd := range commands() {
		if cmd.group != "" && cmd.group != group {
			group = cmd.group
			p.heading(group)
		}
		if !cmd.hidden {
			p.row(cmd.name, cmd.short)
		}
	}
	p.flags(c.global.table())
	fmt.Fprintf(p.w, "More about a command: %s COMMAND --help\n", c.program)
	return p.w.Flush()
}

// capital begins s with a capital letter.
func capital(s string) string { return strings.ToUpper(s[:1]) + s[1:] }

func helpCommand() command {
	return command{
		name: "help", args: "[COMMAND]", short: "help about a command",
		examples: []string{"help exec", "help --man > coracle.1"},
		max:      2,
		build: func() ([]flag, action) {
			var man bool
			flags := []flag{{name: "man", on: &man, keys: []string{}, group: "Output", help: "the whole manual page, for man -l"}}
			return flags, func(c *cli, args []string) error {
				if man {
					return c.printMan()
				}
				if len(args) == 0 {
					return c.printTopHelp()
				}
				cmd, ok := findCommand(args[0])
				if !ok {
					return unknownCommand(args[0])
				}
				if len(args) > 1 && cmd.parts != nil {
					var err error
					if cmd, err = cmd.part(args[1]); err != nil {
						return err
					}
				}
				return c.printHelp(cmd)
			}
		},
	}
}
