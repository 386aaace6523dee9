package main

import (
	"fmt"
	"strconv"
	"strings"

	"coracle/squash"
)

// sourceFlags say how an image is found that is not a file yet.
type sourceFlags struct {
	disableCache, noHTTPS, login bool
	authFile, arch, platform     string
	user, password               string
	dockerHost, tmpDir, maxSize  string
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

// writerFlags say how an image file is written.
type writerFlags struct {
	compression, blockSize, mksquashfs string
}

func (w *writerFlags) table() []flag {
	return []flag{
		{name: "compression", arg: "NAME[:LEVEL]", str: &w.compression, group: "Image file", help: "zstd (the default), gzip, none"},
		{name: "block-size", arg: "SIZE", str: &w.blockSize, help: "4K to 1M (128K)"},
		{name: "mksquashfs-args", arg: "ARGS", str: &w.mksquashfs, help: "-comp, -Xcompression-level, -b and others"},
	}
}

// options returns the settings of the squashfs writer.
func (w *writerFlags) options() (squash.WriterOptions, error) {
	var o squash.WriterOptions
	if err := mksquashfsArgs(&o, strings.Fields(w.mksquashfs)); err != nil {
		return o, err
	}
	if w.compression != "" {
		var err error
		if o.Compression, err = squash.ParseCompression(w.compression); err != nil {
			return o, usageErrorf("--compression: %v", err)
		}
	}
	if w.blockSize != "" {
		n, err := parseSize(w.blockSize)
		if err != nil {
			return o, usageErrorf("--block-size: %v", err)
		}
		o.BlockSize = int(min(n, 1<<30))
	}
	if bs := o.BlockSize; bs != 0 && (bs < squash.MinBlockSize || bs > squash.MaxBlockSize || bs&(bs-1) != 0) {
		return o, usageErrorf("block size %d: want a power of two from 4K to 1M", bs)
	}
	return o, nil
}

// mksquashfsArgs understands arguments of mksquashfs that say something that our writer
// can do, and those that it does anyway.
func mksquashfsArgs(o *squash.WriterOptions, args []string) error {
	comp, level := "", ""
	for i := 0; i < len(args); i++ {
		value := func() string {
			if i++; i < len(args) {
				return args[i]
			}
			return ""
		}
		switch arg := args[i]; arg {
		case "-comp":
			comp = value()
		case "-Xcompression-level":
			level = value()
		case "-b":
			n, err := parseSize(value())
			if err != nil {
				return usageErrorf("--mksquashfs-args: -b: %v", err)
			}
			o.BlockSize = int(min(n, 1<<30))
		case "-processors":
			n, err := strconv.Atoi(value())
			if err != nil || n < 1 {
				return usageErrorf("--mksquashfs-args: -processors needs a number")
			}
			o.Workers = n
		case "-noD", "-no-compression":
			comp = "none"
		case "-no-fragments":
			o.NoFragments = true
		case "-always-use-fragments":
			o.AlwaysFragments = true
		case "-no-duplicates":
			o.NoDuplicates = true
		case "-no-exports":
			o.NoExport = true
		case "-mem", "-mem-percent":
			value()
		case "-noappend", "-no-progress", "-progress", "-quiet", "-no-recovery", "-exports", "-xattrs":
		default:
			return usageErrorf("--mksquashfs-args: %q is not understood", arg)
		}
	}
	if comp == "" && level != "" {
		comp = "zstd"
	}
	if comp == "" {
		return nil
	}
	if level != "" {
		comp += ":" + level
	}
	c, err := squash.ParseCompression(comp)
	if err != nil {
		return usageErrorf("--mksquashfs-args: %v", err)
	}
	o.Compression = c
	return nil
}

// parseSize reads a number of bytes: "4096", "128K", "1M", "20G", "1T".
func parseSize(s string) (int64, error) {
	digits := strings.TrimRight(strings.TrimSuffix(strings.ToUpper(s), "B"), "KMGTI")
	n, err := strconv.ParseInt(digits, 10, 64)
	unit := strings.TrimSuffix(strings.TrimSuffix(strings.ToUpper(s)[len(digits):], "B"), "I")
	shift, ok := map[string]uint{"": 0, "K": 10, "M": 20, "G": 30, "T": 40}[unit]
	if err != nil || !ok || n < 0 || n > 1<<62>>shift {
		return 0, fmt.Errorf("%q is no size (as 128K, 20G)", s)
	}
	return n << shift, nil
}
