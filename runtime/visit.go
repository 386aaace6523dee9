package runtime

import (
	"coracle/runtime/env"
	"coracle/runtime/instance"
)

// NewVisit decides how a command runs in a running instance: what the container is made of is settled, but the command,
// its environment and its directory are the request's. It is pure.
func NewVisit(req *Request, facts *Facts, s *instance.State) *Plan {
	p := &Plan{
		Program: req.Program, Action: req.Action, User: facts.User,
		UIDs: []IDRange{{facts.UID, facts.UID, 1}}, GIDs: []IDRange{{facts.GID, facts.GID, 1}},
		Fakeroot: Fakeroot(s.Fakeroot),
		Instance: s.Name, Visit: true, Of: s.Image, PID: true,
		Home: s.Home, Umask: -1,
		Quiet: req.Quiet, Timing: req.Timing, WarningPrefix: warningPrefix(req.Program), NotePrefix: notePrefix(req.Program),
	}
	if p.Fakeroot != "" {
		p.UIDs[0].Inside, p.GIDs[0].Inside, p.FakerootWhy = 0, 0, "as the instance was started"
	}
	if req.NoUmask {
		p.Umask = 0o022
	}
	if req.Pwd != "" {
		p.Dir = []string{req.Pwd}
	} else {
		p.Dir = append(p.Dir, req.Cwd)
		if s.Home != "" {
			p.Dir = append(p.Dir, s.Home)
		}
		p.Dir = append(p.Dir, "/")
	}
	host := req.Env
	if p.Fakeroot != "" {
		host = rootEnv(host)
	}
	app := req.App
	if app == "" {
		app = s.App
	}
	p.Env, p.Warnings = env.New(env.Options{
		Program: req.Program, Action: string(req.Action), Args: req.Args, Host: host,
		CleanEnv: req.CleanEnv, NoEnv: req.NoEnv, SetEnv: req.SetEnv, NoEval: req.NoEval,
		App: app, Shell: req.ShellBin,
		ImageName: s.ImageName, ImagePath: s.Image, Binds: s.Binds, Home: s.Home, Instance: s.Name,
	})
	return p
}
