package main

import (
	"fmt"
	"net/netip"
	"path"
	"path/filepath"
	"strings"

	"coracle/bind"
	"coracle/runtime"
)

// A situation is what a request depends on beside the flags.
type situation struct {
	program string
	action  runtime.Action
	cwd     string   // absolute
	env     []string // the caller's environment
	global  globalFlags

	exists func(path string) bool // an absolute host path is there
	// readFile reads a file of variables.
	readFile func(path string) ([]byte, error)
}

// request resolves flags and arguments to plain data. args are the image and what
// follows it. The warnings are whole sentences.
func (a *actionFlags) request(s situation, args []string) (r runtime.Request, warnings []string, err error) {
	r = runtime.Request{
		Program: s.program, Action: s.action, Image: args[0], Args: args[1:], Cwd: s.cwd, Env: s.env,
		NoHome: a.noHome, Contain: a.contain, Underlay: a.underlay, Unsquash: a.unsquash, NoShare: a.noShare, Compat: a.compat,
		PID: a.pid, NoInit: a.noInit, IPC: a.ipc, UTS: a.uts || a.hostname != "", Hostname: a.hostname,
		Net: a.net || a.network != "", Network: a.network,
		CleanEnv: a.cleanEnv, NoMPIEnv: a.noMPIEnv, NoEnv: a.noEnv, NoEval: a.noEval, App: a.app, ShellBin: a.shell, NoUmask: a.noUmask,
		Fakeroot: a.fakeroot, IgnoreSubUID: a.ignoreSubUID,
		DryRun: a.dryRun, Timing: a.timing, Quiet: s.global.silent, Verbose: s.global.level(),
	}
	if a.source.tmpDir != "" {
		r.TmpDir = absolute(a.source.tmpDir, s.cwd)
	}
	if err := a.layers(&r, s); err != nil {
		return r, nil, err
	}
	a.spread(&r)
	if a.bundle != nil && len(r.Args) == 0 {
		r.Args = a.bundle.Process.Args
	}
	switch s.action {
	case runtime.Exec: // the shell's exec, which Apptainer runs here, drops it
		if len(r.Args) > 0 && r.Args[0] == "--" {
			r.Args = r.Args[1:]
		}
		if len(r.Args) == 0 {
			return r, nil, usageErrorf("exec: no command given; for a shell: %s shell %s", s.program, args[0])
		}
	case runtime.Shell:
		if len(r.Args) > 0 {
			warnings = append(warnings, fmt.Sprintf("shell takes no arguments: %q is ignored", strings.Join(r.Args, " ")))
			r.Args = nil
		}
	}
	if a.json && !a.dryRun {
		return r, nil, usageErrorf("%s: --json goes with --dry-run", s.action)
	}
	if err := a.paths(&r, s); err != nil {
		return r, nil, err
	}
	idle, err := a.host(&r, s)
	if err != nil {
		return r, nil, err
	}
	r.SetEnv, err = a.variables(s)
	return r, append(warnings, idle...), err
}

// host resolves what is asked of the host: limits, devices, rights, name servers. The warnings name what has no effect.
func (a *actionFlags) host(r *runtime.Request, s situation) (warnings []string, err error) {
	if r.Limits, err = a.resources.limits(); err != nil {
		return nil, err
	}
	file, warnings, err := a.resources.fileLimits(s)
	if err != nil {
		return nil, err
	}
	r.Limits = r.Limits.Or(file)
	r.Devices = a.resources.devices
	for _, dir := range a.resources.cdiDirs {
		r.CDIDirs = append(r.CDIDirs, absolute(dir, s.cwd))
	}
	r.NV, r.ROCm = a.resources.nv || a.resources.nvccli, a.resources.rocm
	if a.resources.oomKillDisable {
		warnings = append(warnings, "--oom-kill-disable has no effect: control groups of version 2 have no such switch")
	}
	drop, idle, err := a.rights.resolve(r.Fakeroot)
	if err != nil {
		return nil, err
	}
	r.Drop, warnings = drop, append(warnings, idle...)
	r.DNS, err = nameServers(a.dns)
	return warnings, err
}

// spread turns the flags that stand for several others into those.
func (a *actionFlags) spread(r *runtime.Request) {
	if a.compat {
		r.NoInit, r.NoUmask, r.NoEval = true, true, true
		if !r.WritableTmpfs && r.ScratchOverlay == "" {
			r.WritableTmpfs, r.TmpfsImplied = true, true
		}
	}
	if a.containAll || a.compat {
		r.Contain, r.PID, r.IPC, r.CleanEnv = true, true, true, true
	}
	if a.noPID {
		r.PID = false
	}
}

// paths resolves binds and directories.
func (a *actionFlags) paths(r *runtime.Request, s situation) error {
	var err error
	if r.Binds, err = a.bindSpecs(s); err != nil {
		return err
	}
	if a.home != "" {
		if r.Home, err = bind.ParseHome(a.home, s.cwd, s.exists); err != nil {
			return err
		}
	}
	if a.workdir != "" {
		r.Workdir = absolute(a.workdir, s.cwd)
	}
	if r.Scratch, err = each(a.scratch, bind.ParseScratch); err != nil {
		return err
	}
	if r.NoMount, err = each(a.noMount, bind.ParseNoMount); err != nil {
		return err
	}
	r.Pwd = a.cwd
	if a.pwd != "" && a.cwd == "" {
		r.Pwd = a.pwd
	}
	if r.Pwd != "" && !path.IsAbs(r.Pwd) {
		return usageErrorf("--cwd %s: want an absolute path inside the container", r.Pwd)
	}
	return nil
}

// bindSpecs parses --bind and --mount, in this order, as Apptainer applies them.
func (a *actionFlags) bindSpecs(s situation) ([]bind.Spec, error) {
	specs, err := each(a.binds, func(v string) ([]bind.Spec, error) { return bind.ParseBind(v, s.cwd, s.exists) })
	if err != nil {
		return nil, err
	}
	more, err := each(a.mounts, func(v string) ([]bind.Spec, error) { return bind.ParseMount(v, s.cwd) })
	specs = append(specs, more...)
	if err != nil || a.bundle == nil {
		return specs, err
	}
	more, err = a.bundle.binds()
	return append(specs, more...), err
}

// each parses every value of a flag that may be repeated.
func each[T any](values []string, parse func(string) ([]T, error)) ([]T, error) {
	var all []T
	for _, v := range values {
		list, err := parse(v)
		if err != nil {
			return nil, err
		}
		all = append(all, list...)
	}
	return all, nil
}

// nameServers checks the addresses of --dns.
func nameServers(list []string) ([]string, error) {
	for _, text := range list {
		if _, err := netip.ParseAddr(text); err != nil {
			return nil, usageErrorf("--dns %s: want the address of a name server", text)
		}
	}
	return list, nil
}

// absolute makes p absolute, seen from dir.
func absolute(p, dir string) string {
	if filepath.IsAbs(p) {
		return filepath.Clean(p)
	}
	return filepath.Join(dir, p)
}
