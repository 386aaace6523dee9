package main

// actionFlags are the flags of exec, run, shell and test.
type actionFlags struct {
	binds, mounts, noMount, scratch []string
	home, workdir, cwd, pwd, shell  string
	noHome, contain, containAll     bool
	underlay, unsquash, noShare     bool

	overlays                      []string
	writableTmpfs, scratchOverlay string
	writable                      bool

	env, envFiles, noEnv []string
	cleanEnv, noMPIEnv   bool
	noEval               bool
	app                  string

	pid, noPID, noInit, ipc, uts, net bool
	hostname, network                 string
	compat                            bool

	fakeroot, ignoreSubUID bool
	noUmask                bool
	userns, sharens        bool // what they ask for is always so
	dryRun, json, timing   bool

	dns       []string
	resources resourceFlags
	rights    rightsFlags

	source sourceFlags // of an image that is not a file

	ociConfig string
	bundle    *bundle // what ociConfig says; nil without
}

// table returns the rows in the order of help.
func (a *actionFlags) table(withShell bool) []flag {
	var t []flag
	t = append(t, a.mountFlags()...)
	t = append(t, a.layerFlags()...)
	t = append(t, a.environmentFlags()...)
	if withShell {
		t = append(t, flag{name: "shell", short: 's', arg: "PATH", str: &a.shell, help: "the shell to start"})
	}
	t = append(t, a.isolationFlags()...)
	t = append(t, a.resources.table()...)
	t = append(t, a.rights.table()...)
	t = append(t, a.source.table(true)...)
	return append(t,
		flag{name: "fakeroot", short: 'f', on: &a.fakeroot, group: "Identity", help: "be root inside, with the ids of /etc/subuid if there are any"},
		flag{name: "ignore-subuid", on: &a.ignoreSubUID, hidden: true},
		flag{name: "no-umask", on: &a.noUmask, hidden: true, help: "umask 0022 instead of the caller's"},
		flag{name: "userns", short: 'u', on: &a.userns, keys: []string{"USERNS", "UNSHARE_USERNS"}, hidden: true},
		flag{name: "sharens", on: &a.sharens, hidden: true},
		flag{name: "dry-run", on: &a.dryRun, keys: []string{}, group: "Output", help: "print the plan, and why (--json: as JSON); --timing: what takes how long"},
		flag{name: "timing", on: &a.timing, hidden: true, help: "print how long each part of the launch takes"},
		flag{name: "json", on: &a.json, keys: []string{}, hidden: true},
	)
}

func (a *actionFlags) mountFlags() []flag {
	return []flag{
		{name: "bind", short: 'B', arg: "SRC[:DST[:OPTS]]", list: &a.binds, joins: true, keys: []string{"BIND", "BINDPATH"},
			group: "Mounts", help: "show a host path inside; OPTS ro, rw; repeat, or use commas"},
		{name: "mount", arg: "SPEC", list: &a.mounts, joins: true, help: "the same, as type=bind,src=PATH,dst=PATH[,ro]"},
		{name: "home", short: 'H', arg: "SRC[:DST]", str: &a.home, help: "another home directory (--no-home: none)"},
		{name: "no-home", on: &a.noHome, hidden: true, help: "no home directory"},
		{name: "no-mount", arg: "NAME", list: &a.noMount, help: "leave out home, tmp, proc, sys, dev, devpts, cwd, bind-paths, /PATH"},
		{name: "cwd", arg: "DIR", str: &a.cwd, keys: []string{"CWD", "TARGET_CWD"}, help: "directory to start in, inside (also --pwd)"},
		{name: "pwd", arg: "DIR", str: &a.pwd, keys: []string{"PWD", "TARGET_PWD"}, hidden: true},
		{name: "contain", short: 'c', on: &a.contain, help: "minimal /dev; empty home, /tmp and /var/tmp"},
		{name: "workdir", short: 'W', arg: "DIR", str: &a.workdir, help: "keep those directories below DIR, not in memory"},
		{name: "scratch", short: 'S', arg: "DIR", list: &a.scratch, keys: []string{"SCRATCH", "SCRATCHDIR"}, help: "an empty writable directory at DIR"},
		{name: "underlay", on: &a.underlay, hidden: true, help: "never overlayfs for mount points that the image lacks"},
		{name: "unsquash", on: &a.unsquash, hidden: true, help: "extract the image for as long as it runs, as on hosts without /dev/fuse"},
		{name: "no-share", on: &a.noShare, hidden: true, help: "an image server of its own, not one for the whole job"},
	}
}

func (a *actionFlags) layerFlags() []flag {
	return []flag{
		{name: "overlay", short: 'o', arg: "PATH[:ro]", list: &a.overlays, comma: true, keys: []string{"OVERLAY", "OVERLAYIMAGE"},
			help: "lay a directory, or an image file, over the image; the last one lies on top"},
		{name: "writable", short: 'w', on: &a.writable, help: "what is written goes into the image, a directory"},
		{name: "writable-tmpfs", arg: "SIZE", str: &a.writableTmpfs, bare: "true", help: "what is written goes to memory, half of the job's or SIZE; then it is gone"},
		{name: "scratch-overlay", arg: "DIR", str: &a.scratchOverlay, bare: "true", help: "what is written goes to a new directory in DIR, or $TMPDIR; then it is gone"},
	}
}

func (a *actionFlags) environmentFlags() []flag {
	return []flag{
		{name: "cleanenv", short: 'e', on: &a.cleanEnv, group: "Environment", help: "only the image's variables, TERM, *_proxy and those of MPI launchers, Slurm"},
		{name: "no-mpi-env", on: &a.noMPIEnv, hidden: true, help: "none of those of MPI launchers and Slurm: the command is no rank"},
		{name: "env", arg: "K=V", list: &a.env, keys: []string{}, help: "set variables; repeat, or use commas"},
		{name: "env-file", arg: "FILE", list: &a.envFiles, help: "set the variables of a file"},
		{name: "no-env", arg: "NAME", list: &a.noEnv, comma: true, keys: []string{"NO_ENV", "NOENV"}, help: "do not pass these variables on"},
		{name: "no-eval", on: &a.noEval, help: "take values literally: no $( ) or ` ` in them"},
		{name: "app", arg: "NAME", str: &a.app, keys: []string{"APP", "APPNAME"}, help: "an application (SCIF) of the image"},
	}
}

func (a *actionFlags) isolationFlags() []flag {
	return []flag{
		{name: "containall", short: 'C', on: &a.containAll, group: "Isolation", help: "--contain --pid --ipc --cleanenv"},
		{name: "compat", on: &a.compat, help: "--containall --writable-tmpfs --no-init --no-umask --no-eval"},
		{name: "pid", short: 'p', on: &a.pid, keys: []string{"PID", "UNSHARE_PID"}, help: "own process ids, with an init (not with --no-init)"},
		{name: "no-pid", on: &a.noPID, hidden: true, help: "the host's process ids, even with --containall"},
		{name: "no-init", on: &a.noInit, keys: []string{"NO_INIT", "NOSHIMINIT"}, hidden: true},
		{name: "ipc", short: 'i', on: &a.ipc, keys: []string{"IPC", "UNSHARE_IPC"}, help: "own System V IPC and POSIX message queues"},
		{name: "uts", on: &a.uts, keys: []string{"UTS", "UNSHARE_UTS"}, hidden: true},
		{name: "hostname", arg: "NAME", str: &a.hostname, help: "own host name, this one (--uts: the host's to begin with)"},
		{name: "net", short: 'n', on: &a.net, keys: []string{"NET", "UNSHARE_NET"}, help: "own network: loopback only"},
		{name: "network", arg: "none", str: &a.network, hidden: true},
		{name: "dns", arg: "ADDRESS", list: &a.dns, comma: true, hidden: true, help: "name servers in place of the host's /etc/resolv.conf"},
	}
}
