package main

// registryFlags are the flags of the parts of registry.
type registryFlags struct {
	user, password, authFile string
	stdin, noHTTPS           bool
}

func registryCommand() command {
	return command{
		name: "registry", args: "login|logout|list …", short: "log in to a registry of images", group: "Images",
		about: "login keeps user and password, or a token in its place, for pull, build and the others, after asking the\n" +
			"registry whether they are right; logout forgets them. Podman, Docker's and Apptainer's logins count as well.",
		examples: []string{
			`registry login docker://registry.example.org`,
			`registry login -u ada --password-stdin registry.example.org <token`,
			`registry list`,
		},
		min: 1, max: 0,
		build: func() ([]flag, action) {
			return nil, func(*cli, []string) error { return nil } // never without a part
		},
		parts: func() []command { return []command{loginCommand(), logoutCommand(), loginsCommand()} },
	}
}

func loginCommand() command {
	return command{
		name: "registry login", args: "REGISTRY", short: "keep a login",
		examples: []string{`registry login -u ada docker://registry.example.org`},
		min:      1, max: 1,
		build: func() ([]flag, action) {
			f, none := &registryFlags{}, []string{}
			return []flag{
				{name: "username", short: 'u', arg: "USER", str: &f.user, keys: none, help: "the user; asked for when it is not given"},
				{name: "password", short: 'p', arg: "WORD", str: &f.password, keys: none, help: "the password; others may see it in ps"},
				{name: "password-stdin", on: &f.stdin, keys: none, help: "the first line of standard input is the password"},
				{name: "no-https", on: &f.noHTTPS, keys: []string{"NOHTTPS", "NO_HTTPS"}, help: "talk to the registry without encryption"},
				f.file(),
			}, func(c *cli, args []string) error { return c.login(args[0], f) }
		},
	}
}

func logoutCommand() command {
	return command{
		name: "registry logout", args: "REGISTRY", short: "forget a login",
		examples: []string{`registry logout docker://registry.example.org`},
		min:      1, max: 1,
		build: func() ([]flag, action) {
			f := &registryFlags{}
			return []flag{f.file()}, func(c *cli, args []string) error { return c.logout(args[0], f) }
		},
	}
}

func loginsCommand() command {
	return command{
		name: "registry list", short: "show where there are logins, without passwords",
		examples: []string{`registry list`},
		build: func() ([]flag, action) {
			f := &registryFlags{}
			return []flag{f.file()}, func(c *cli, _ []string) error { return c.listLogins(f) }
		},
	}
}

func (f *registryFlags) file() flag {
	return flag{name: "authfile", arg: "FILE", str: &f.authFile, help: "this file of logins (REGISTRY_AUTH_FILE)"}
}
