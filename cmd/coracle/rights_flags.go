package main

import (
	"fmt"
	"strings"

	"coracle/userns"
)

// rightsFlags are about privileges, encryption and file systems that a runtime with root's rights could give. Here they
// work as far as a user namespace goes.
type rightsFlags struct {
	addCaps, dropCaps            []string
	keepPrivs, noPrivs, setuid   bool
	passphrase                   bool
	pemPath                      string
	security, fuse, networkWords []string
}

func (f *rightsFlags) table() []flag {
	return []flag{
		{name: "add-caps", arg: "NAME", list: &f.addCaps, comma: true, hidden: true},
		{name: "drop-caps", arg: "NAME", list: &f.dropCaps, comma: true, hidden: true, help: "with --fakeroot: without these capabilities"},
		{name: "keep-privs", on: &f.keepPrivs, hidden: true},
		{name: "no-privs", on: &f.noPrivs, hidden: true, help: "with --fakeroot: without any capability"},
		{name: "allow-setuid", on: &f.setuid, hidden: true},
		{name: "passphrase", on: &f.passphrase, hidden: true},
		{name: "pem-path", arg: "FILE", str: &f.pemPath, hidden: true},
		{name: "security", arg: "WHAT:VALUE", list: &f.security, hidden: true},
		{name: "fusemount", arg: "TYPE:COMMAND", list: &f.fuse, hidden: true},
		{name: "network-args", arg: "ARGS", list: &f.networkWords, hidden: true},
	}
}

// An unsupportedError is a flag whose promise cannot be kept, where going on without it would be wrong.
type unsupportedError struct{ flag, why, cure string }

func (e *unsupportedError) Error() string { return e.flag + " is not supported: " + e.why }

// resolve returns the capabilities that --fakeroot goes without. The warnings name what has no effect. The error is an
// [*unsupportedError], or a usage error.
func (f *rightsFlags) resolve(fakeroot bool) (drop []int, warnings []string, err error) {
	if len(f.security) > 0 {
		return nil, nil, &unsupportedError{"--security " + f.security[0], "no profile would be in force",
			"leave it out: payloads have no capabilities and no_new_privs anyhow"}
	}
	if len(f.fuse) > 0 {
		return nil, nil, &unsupportedError{"--fusemount " + f.fuse[0], "no process of ours stays to look after it",
			"mount it on the host and show it inside with --bind"}
	}
	for _, n := range f.dropCaps {
		if strings.EqualFold(n, "all") {
			f.noPrivs = true
			continue
		}
		number, ok := userns.Capability(n)
		if !ok {
			return nil, nil, usageErrorf("--drop-caps %s: there is no such capability", n)
		}
		drop = append(drop, number)
	}
	for _, n := range f.addCaps {
		if _, ok := userns.Capability(n); !ok && !strings.EqualFold(n, "all") {
			return nil, nil, usageErrorf("--add-caps %s: there is no such capability", n)
		}
	}
	for _, idle := range []struct {
		on        bool
		flag, why string
	}{
		{len(f.addCaps) > 0 && !fakeroot, "--add-caps", "an ordinary user has no capabilities to give; --fakeroot has them all, inside"},
		{f.keepPrivs && !fakeroot, "--keep-privs", "an ordinary user has no privileges to keep"},
		{f.setuid && !fakeroot, "--allow-setuid", "setuid programs work with --fakeroot alone"},
		{f.passphrase, "--passphrase", encrypted},
		{f.pemPath != "", "--pem-path", encrypted},
		{len(f.networkWords) > 0, "--network-args", "the network of an ordinary user is none or the host's"},
	} {
		if idle.on {
			warnings = append(warnings, fmt.Sprintf("%s has no effect: %s", idle.flag, idle.why))
		}
	}
	switch {
	case !fakeroot:
		return nil, warnings, nil
	case f.noPrivs:
		return userns.Capabilities(), warnings, nil
	}
	return drop, warnings, nil
}

// encrypted says why keys are not asked for.
const encrypted = "encrypted images are not supported, others need no key"
