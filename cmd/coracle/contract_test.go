package main

import (
	"slices"
	"strings"
	"testing"
)

// actionContract are the flags that Apptainer's users have for exec, run, shell and test: the short name or -, the long
// one, and the environment keys where they are not made of it.
const actionContract = `
B bind BIND BINDPATH
- mount
H home
- no-home
- no-mount
- cwd CWD TARGET_CWD
- pwd PWD TARGET_PWD
c contain
C containall
e cleanenv
- env none
- env-file
- no-env NO_ENV NOENV
W workdir
S scratch SCRATCH SCRATCHDIR
- nv
- rocm
- nvccli
- device
- cdi-dirs
o overlay OVERLAY OVERLAYIMAGE
- writable-tmpfs
u userns USERNS UNSHARE_USERNS
f fakeroot
p pid PID UNSHARE_PID
- no-pid
- no-init NO_INIT NOSHIMINIT
i ipc IPC UNSHARE_IPC
- uts UTS UNSHARE_UTS
- hostname
- dns
n net NET UNSHARE_NET
- network
- network-args
- compat
- no-eval
- no-umask
- sharens
- unsquash
- underlay
- app APP APPNAME
- disable-cache
- authfile
- docker-login
- no-https NOHTTPS NO_HTTPS
- memory
- memory-swap
- memory-reservation
- cpus
- cpu-shares
- cpuset-cpus
- cpuset-mems
- pids-limit
- blkio-weight
- oom-kill-disable
- apply-cgroups
- security
- add-caps
- drop-caps
- keep-privs
- no-privs
- allow-setuid
- passphrase
- pem-path
- fusemount
`

func TestActionContract(t *testing.T) {
	var a actionFlags
	table := a.table(false)
	for line := range strings.Lines(strings.TrimPrefix(actionContract, "\n")) {
		words := strings.Fields(line)
		short, name, keys := words[0], words[1], words[2:]
		i := slices.IndexFunc(table, func(f flag) bool { return f.name == name })
		if i < 0 {
			t.Errorf("--%s is not there", name)
			continue
		}
		f := table[i]
		if got := string(f.short); short != "-" && got != short || short == "-" && f.short != 0 {
			t.Errorf("--%s has the short name %q, want %s", name, got, short)
		}
		want := keys
		switch {
		case len(keys) == 0:
			want = []string{strings.ToUpper(strings.ReplaceAll(name, "-", "_"))}
		case keys[0] == "none":
			want = nil
		}
		if got := f.envKeys(); !slices.Equal(got, want) && len(got)+len(want) > 0 {
			t.Errorf("--%s has the keys %v, want %v", name, got, want)
		}
	}
	var shell actionFlags
	if !slices.ContainsFunc(shell.table(true), func(f flag) bool { return f.name == "shell" && f.short == 's' }) {
		t.Error("shell has no -s, --shell")
	}
}

// Whatever the name of the flag says and its key says is one.
func TestKeysOfFlags(t *testing.T) {
	for _, prefix := range envPrefixes {
		var a actionFlags
		var vars []string
		table := a.table(false)
		for _, f := range table {
			for _, key := range f.envKeys() {
				value := "1"
				if f.on == nil && f.count == nil {
					value = "value"
				}
				vars = append(vars, prefix+key+"="+value)
			}
		}
		if err := fromEnvironment(table, vars); err != nil {
			t.Fatal(err)
		}
		for _, f := range table {
			if len(f.envKeys()) > 0 && !f.set {
				t.Errorf("no %s variable sets --%s", prefix, f.name)
			}
		}
	}
}

func TestRights(t *testing.T) {
	for _, tt := range []struct {
		flags    rightsFlags
		fakeroot bool
		drop     int // how many capabilities are gone
		warnings int
		err      string
	}{
		{flags: rightsFlags{noPrivs: true}}, // there are none anyhow
		{flags: rightsFlags{noPrivs: true}, fakeroot: true, drop: 41},
		{flags: rightsFlags{dropCaps: []string{"CAP_NET_RAW", "chown"}}, fakeroot: true, drop: 2},
		{flags: rightsFlags{dropCaps: []string{"ALL"}}, fakeroot: true, drop: 41},
		{flags: rightsFlags{dropCaps: []string{"net_raw"}}},
		{flags: rightsFlags{dropCaps: []string{"CAP_RAW"}}, err: "--drop-caps CAP_RAW: there is no such capability"},
		{flags: rightsFlags{addCaps: []string{"CAP_RAW"}}, err: "--add-caps CAP_RAW: there is no such capability"},
		{flags: rightsFlags{addCaps: []string{"sys_admin"}, keepPrivs: true, setuid: true}, warnings: 3},
		{flags: rightsFlags{addCaps: []string{"sys_admin"}, keepPrivs: true, setuid: true}, fakeroot: true},
		{flags: rightsFlags{passphrase: true, pemPath: "k", networkWords: []string{"x"}}, warnings: 3},
		{flags: rightsFlags{security: []string{"uid:0"}}, err: "--security uid:0 is not supported"},
		{flags: rightsFlags{fuse: []string{"host:sshfs"}}, err: "--fusemount host:sshfs is not supported"},
	} {
		drop, warnings, err := tt.flags.resolve(tt.fakeroot)
		if tt.err != "" {
			if err == nil || !strings.HasPrefix(err.Error(), tt.err) {
				t.Errorf("%+v: %v, want %s", tt.flags, err, tt.err)
			}
			continue
		}
		if err != nil || len(drop) != tt.drop || len(warnings) != tt.warnings {
			t.Errorf("%+v, fakeroot %v: %v, %q, %v; want %d capabilities and %d warnings", tt.flags, tt.fakeroot, drop, warnings, err, tt.drop, tt.warnings)
		}
	}
}
