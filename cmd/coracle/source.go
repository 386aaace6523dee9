package main

// sourceFlags say how an image is found that is not a file yet.
type sourceFlags struct {
	disableCache, noHTTPS, login bool
	authFile, arch, platform     string
	user, password               string
	dockerHost, tmpDir, maxSize  string
}

// temp is where files go that are of no use afterwards.
func (s *sourceFlags) temp(c *cli) string {
	if s.tmpDir != "" {
		return s.tmpDir
	}
	if dir := getenv(c.env, "TMPDIR"); dir != "" {
		return dir
	}
	return "/tmp"
}

// table returns the rows; brief ones, for commands whose subject is another, hide most.
func (s *sourceFlags) table(brief bool) []flag {
	group := "Source"
	if brief {
		group = ""
	}
	return []flag{
		{name: "disable-cache", on: &s.disableCache, hidden: brief, group: group, help: "keep nothing of what is fetched"},
		{name: "arch", arg: "ARCH", str: &s.arch, hidden: brief, help: "of images for several: amd64, arm64, …"},
		{name: "platform", arg: "OS/ARCH", str: &s.platform, hidden: brief, help: "the same with variant: linux/arm/v7"},
		{name: "authfile", arg: "FILE", str: &s.authFile, hidden: brief, help: "logins, instead of those of Docker and Podman"},
		{name: "docker-login", on: &s.login, hidden: brief, help: "ask for user and password"},
		{name: "docker-username", arg: "USER", str: &s.user, hidden: true},
		{name: "docker-password", arg: "WORD", str: &s.password, hidden: true},
		{name: "no-https", on: &s.noHTTPS, keys: []string{"NOHTTPS", "NO_HTTPS"}, hidden: brief, help: "talk to the registry without encryption"},
		{name: "docker-host", arg: "SOCKET", str: &s.dockerHost, hidden: brief, help: "of docker-daemon: (DOCKER_HOST)"},
		{name: "tmpdir", arg: "DIR", str: &s.tmpDir, hidden: brief, help: "for archives that come through a pipe (TMPDIR)"},
		{name: "max-size", arg: "SIZE", str: &s.maxSize, hidden: brief, help: "refuse images that unpack to more (1T)"},
	}
}

// loginTable returns the rows that say how to talk to a registry.
func (s *sourceFlags) loginTable() []flag {
	return []flag{
		{name: "authfile", arg: "FILE", str: &s.authFile, group: "Registry", help: "logins, instead of those of Docker and Podman"},
		{name: "docker-login", on: &s.login, help: "ask for user and password"},
		{name: "docker-username", arg: "USER", str: &s.user, hidden: true},
		{name: "docker-password", arg: "WORD", str: &s.password, hidden: true},
		{name: "no-https", on: &s.noHTTPS, keys: []string{"NOHTTPS", "NO_HTTPS"}, help: "talk to the registry without encryption"},
	}
}

// writerFlags say how an image file is written.
type writerFlags struct {
	compression, blockSize, mksquashfs string
}

func (w *writerFlags) table() []flag {
	return []flag{
		{name: "compression", arg: "NAME[:LEVEL]", str: &w.compression, group: "Image file", help: "zstd (the default), gzip, xz, lz4, none"},
		{name: "block-size", arg: "SIZE", str: &w.blockSize, help: "4K to 1M (128K)"},
		{name: "mksquashfs-args", arg: "ARGS", str: &w.mksquashfs, help: "-comp, -Xcompression-level, -b and others"},
	}
}
