package main

func pushCommand() command {
	return command{
		name: "push", args: "IMAGE oras://NAME[:TAG]", short: "store an image file in a registry",
		about:    "The file is an artifact there, as pull oras:// fetches it. What the registry has already is not sent.",
		examples: []string{`push app.sif oras://registry.example/team/app:1`},
		min:      2, max: 2,
		build: func() ([]flag, action) {
			s := &sourceFlags{}
			unsigned := false
			t := append(s.loginTable(), flag{name: "allow-unsigned", short: 'U', on: &unsigned, hidden: true}) // so are all
			return t, func(c *cli, args []string) error { return c.push(args[0], args[1], s) }
		},
	}
}
