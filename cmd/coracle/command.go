package main

import "strings"

// An action carries out a command whose flags have been parsed.
type action func(c *cli, args []string) error

// A command is one word of the command line. Only the flags of the one that is asked for
// are ever built.
type command struct {
	name     string
	args     string // as usage shows them: "IMAGE COMMAND [ARG…]"
	short    string // one line
	about    string // more lines for its own help; "" none
	examples []string
	group    string // heading in the overview; "" the one of the command before
	hidden   bool

	min, max int  // number of arguments; max -1: any
	payload  bool // flags end at the first argument: the rest is the payload's
	image    bool // the first argument is an image, for completion

	// The configuration is read before it is carried out; what images are for needs it.
	configured bool

	build func() ([]flag, action)
	parts func() []command // commands of two words, which begin with this one; nil none
}

// commands lists what can be asked for, in the order of the overview.
func commands() []command {
	return []command{
		execCommand(), runCommand(), shellCommand(), testCommand(), instanceCommand(),
		buildCommand(), pullCommand(), pushCommand(), overlayCommand(), sandboxCommand(), cacheCommand(), registryCommand(),
		inspectCommand(), sifCommand(), runHelpCommand(),
		doctorCommand(), configCommand(),
		{
			name: "version", short: "print the version number", group: "This program",
			examples: []string{"version", "--version"}, build: buildVersion,
		},
		helpCommand(), completionCommand(),
	}
}

func findCommand(name string) (command, bool) {
	for _, c := range commands() {
		if c.name == name {
			return c, true
		}
	}
	return command{}, false
}

// part returns the command that word makes of c.
func (c *command) part(word string) (command, error) {
	var names []string
	for _, p := range c.parts() {
		if p.name == c.name+" "+word {
			return p, nil
		}
		names = append(names, strings.TrimPrefix(p.name, c.name+" "))
	}
	if n := nearest(word, names); n != "" {
		return command{}, usageErrorf("%s: unknown command %q; did you mean %s?", c.name, word, n)
	}
	return command{}, usageErrorf("%s: %q is none of %s", c.name, word, strings.Join(names, ", "))
}

func unknownCommand(name string) error {
	var names []string
	for _, c := range commands() {
		if !c.hidden {
			names = append(names, c.name)
		}
	}
	if n := nearest(name, names); n != "" {
		return usageErrorf("unknown command %q; did you mean %s?", name, n)
	}
	return usageErrorf("unknown command %q; the commands are %s", name, strings.Join(names, " "))
}

// checkArgs complains about a wrong number of arguments.
func (c *command) checkArgs(n int) error {
	switch {
	case n < c.min && c.image && n == 0:
		return usageErrorf("%s: no image given; usage: %s", c.name, c.usage())
	case n < c.min:
		return usageErrorf("%s: too few arguments; usage: %s", c.name, c.usage())
	case c.max >= 0 && n > c.max:
		return usageErrorf("%s: too many arguments; usage: %s", c.name, c.usage())
	}
	return nil
}

// usage is the command's synopsis without the program's name.
func (c *command) usage() string {
	flags, _ := c.build()
	s := c.name
	if len(flags) > 0 {
		s += " [FLAGS]"
	}
	if c.args != "" {
		s += " " + c.args
	}
	return s
}
