package runtime

import (
	"errors"
	"fmt"
	"io/fs"
	"slices"
	"strings"

	"coracle/bind"
	"coracle/runtime/env"
)

// ErrNoUserNS: the host does not let us create user namespaces.
var ErrNoUserNS = errors.New("this host does not let users create user namespaces")

// A NetworkError is a --network that an ordinary user cannot have.
type NetworkError struct{ Network string }

func (e *NetworkError) Error() string {
	return fmt.Sprintf("network %q: an ordinary user can have the network \"none\"", e.Network)
}

// New decides a launch. data are the images that binds with image-src take their sources from,
// in the order of [DataImages].
//
// It is pure: the same arguments give the same plan. The error is [ErrNoUserNS], a *[RoomError], an *[ExtError], a
// [*NetworkError], [ErrNoOverlay], [ErrWriters], an [*UpperError], or one of package bind's.
func New(req *Request, facts *Facts, root *Root, data []Root) (*Plan, error) {
	if facts.UserNS != nil {
		return nil, fmt.Errorf("%w: %w", ErrNoUserNS, facts.UserNS)
	}
	files, err := planFiles(req, facts, root, data)
	if err != nil {
		return nil, err
	}
	if req.Net && req.Network != "" && req.Network != "none" {
		return nil, &NetworkError{req.Network}
	}
	trees := make([]bind.Tree, len(data))
	for i, d := range data {
		trees[i] = d.Tree
	}
	mounts, err := planMounts(req, facts, root, trees)
	if err != nil {
		return nil, err
	}
	who := identify(req, facts)
	p := &Plan{
		Program: req.Program, Action: req.Action, User: facts.User,
		UIDs: who.uids, GIDs: who.gids, Fakeroot: who.way, FakerootWhy: who.why,

		Instance: req.Instance,
		PID:      req.PID, Init: req.PID && !req.NoInit, IPC: req.IPC,
		UTS: req.UTS || req.Hostname != "", Net: req.Net, Hostname: req.Hostname,

		Root: *root, Images: slices.Clip(data), Extract: files.extract, ExtMount: files.extMount,
		Underlay: req.Underlay || !facts.Overlay,
		Layout:   mounts.Layout, Dir: mounts.Dirs, Home: mounts.Home,
		Umask: -1,
		Quiet: req.Quiet, Timing: req.Timing, WarningPrefix: warningPrefix(req.Program), NotePrefix: notePrefix(req.Program),
		ServerLog: lookup(req.Env, "CORACLE_LOG"),
	}
	if req.NoUmask {
		p.Umask = 0o022
	}
	if req.Fakeroot {
		p.Drop = req.Drop
	}
	if who.way == FakerootIDs {
		p.Helpers = [2]string{facts.SubIDs.NewUIDMap, facts.SubIDs.NewGIDMap}
	}
	if err := p.stack(req, facts); err != nil {
		return nil, err
	}
	p.Join = files.any || p.Upper.onDisk()
	p.limit(req, facts)
	if files.any {
		p.Share, p.Private = shareKey(req, facts, p)
	} else if p.Join {
		p.Private = p.Upper.Why
	}
	var warnings []string
	p.Env, warnings = env.New(envOptions(req, root, mounts.Home))
	p.Layout.Warnings = nil
	p.Warnings = slices.Concat(mounts.Warnings, p.Warnings, gpuWarnings(req, facts), warnings)
	if who.warning != "" {
		p.Warnings = append(p.Warnings, who.warning)
	}
	if cmd, ok := p.Env.Early(viewFiles{mounts.View}, p.Dir[0]); ok {
		p.Command = &cmd
	}
	return p, nil
}

// shown is how the image files of a launch are shown.
type shown struct {
	any      bool // there are some, and so there is an image server
	extract  Extract
	extMount string // the program that mounts ext file systems, where there are some
}

// planFiles decides how image files are shown. The error is a *[RoomError] or an *[ExtError].
func planFiles(req *Request, facts *Facts, root *Root, data []Root) (f shown, err error) {
	count := countKinds(root, facts, data)
	f.any = count[Squashfs]+count[Ext] > 0
	if count[Squashfs] > 0 {
		if f.extract, err = extract(req, facts); err != nil {
			return f, err
		}
	}
	if count[Ext] > 0 {
		f.extMount = facts.ExtMount
		err = canMountExt(facts)
	}
	return f, err
}

// gpuWarnings names the drivers that were asked for and are not there.
func gpuWarnings(req *Request, facts *Facts) (list []string) {
	if req.GPUIfAny {
		return nil
	}
	for _, name := range facts.NoGPUs {
		list = append(list, "Could not find any "+name+" files on this host!")
	}
	return list
}

// limit puts the launch under limits of its own, where there is a place for them. It goes on without: the batch system's
// limits hold anyhow. Its image server is under them, too, and so is nobody else's.
func (p *Plan) limit(req *Request, facts *Facts) {
	switch {
	case req.Limits.Zero():
	case facts.Group.Why != "":
		p.Warnings = append(p.Warnings, "the container has no limits of its own: "+facts.Group.Why)
	default:
		p.Limits, p.Group = req.Limits, facts.Group
	}
}

// viewFiles is the planned container as package env looks at it.
type viewFiles struct{ *bind.View }

// Mode implements env.Files.
func (v viewFiles) Mode(name string) (fs.FileMode, error) {
	e, err := v.Stat(name)
	mode := fs.FileMode(e.Perm & 0o777)
	switch e.Kind {
	case bind.Directory:
		mode |= fs.ModeDir
	case bind.Other:
		mode |= fs.ModeIrregular
	}
	return mode, err
}

func envOptions(req *Request, root *Root, home string) env.Options {
	var binds []string
	for _, b := range req.Binds {
		binds = append(binds, b.Target)
	}
	host := req.Env
	if req.Fakeroot {
		host = rootEnv(host)
	}
	return env.Options{
		Program: req.Program, Action: string(req.Action), Args: req.Args, Host: host,
		CleanEnv: req.CleanEnv, NoMPIEnv: req.NoMPIEnv, NoEnv: req.NoEnv, SetEnv: req.SetEnv, NoEval: req.NoEval,
		App: req.App, Shell: req.ShellBin,
		ImageName: req.Image, ImagePath: root.Path, Binds: binds, Home: home, Instance: req.Instance,
	}
}

// DataImages lists the image files that the request's binds take their sources from, each once.
func DataImages(req *Request) []bind.Spec { return bindImages(req.Binds) }

// warningPrefix is how a warning begins in the style of the name that we were called by.
func warningPrefix(program string) string {
	if program == "apptainer" || program == "singularity" {
		return "WARNING: "
	}
	return "coracle: warning: "
}

// notePrefix is the same for a remark.
func notePrefix(program string) string {
	if program == "apptainer" || program == "singularity" {
		return "INFO:    "
	}
	return "coracle: note: "
}

// lookup returns the value of a variable in a list of "K=V", or "".
func lookup(list []string, name string) string {
	for _, kv := range list {
		if v, ok := strings.CutPrefix(kv, name+"="); ok {
			return v
		}
	}
	return ""
}
