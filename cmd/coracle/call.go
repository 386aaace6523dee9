package main

import (
	"bytes"
	"errors"
	"strings"

	"coracle/image"
	"coracle/runtime"
	"coracle/runtime/probe"
	"coracle/runtime/server"
	"coracle/userns"
)

// A call is a launch of another process that an image server plans: the same code plans it, on a thread that stands where that process
// stands, and what it decides is written down and sent. Whatever is out of the ordinary is left to that process.
type call struct {
	*userns.Call
	kept *image.Kept
	key  string         // of the server
	has  server.Offer   // what that provides
	conf *server.Config // of a standby, to be filled in; nil: the launch joins the server
	plan server.Planned
	done bool         // there is a plan
	said bytes.Buffer // what is to be printed
}

// called are the commands that are planned so.
var called = [...]string{"exec", "run", "shell", "test"}

// errNotCalled: the other process has to plan by itself.
var errNotCalled = errors.New("no launch to plan for another process")

// A planner plans for other processes.
type planner struct{ kept image.Kept }

// planFor is a [server.Planner].
func (p *planner) planFor(from *userns.Call, key string, has server.Offer, conf *server.Config) (plan server.Planned, ok bool) {
	program, args := programName(from.Argv)
	call := &call{Call: from, kept: &p.kept, key: key, has: has, conf: conf}
	c := &cli{program: program, env: from.Env, in: strings.NewReader(""), out: &call.said, err: &call.said, call: call}
	if c.dispatch(args) != nil { // it comes to the same failure, and says so
		return plan, false
	}
	return call.plan, call.done
}

// planCall is the rest of [cli.launch] for another process.
func (c *cli) planCall(req *runtime.Request, a *actionFlags) error {
	if a.bundle != nil || !callable(req) || image.IsReference(req.Image) && !exists(req.Image) {
		return errNotCalled
	}
	if len(c.conf.ImageOwners) > 0 { // in the server's user namespace others' files belong to nobody
		return errNotCalled
	}
	return c.carryOut(req, a, func(p *runtime.Plan) error {
		if c.call.said.Len() > 0 { // that process has to say it
			return errNotCalled
		}
		if c.call.conf != nil {
			c.call.plan, c.call.done = p.WriteFirst(c.call.conf)
		} else {
			c.call.plan, c.call.done = p.WriteFor(c.call.key, c.call.has)
		}
		if !c.call.done {
			return errNotCalled
		}
		return nil
	})
}

// callable tells whether a request is one that makes nothing and asks nobody.
func callable(r *runtime.Request) bool {
	writes := r.Writable || r.WritableTmpfs || r.ScratchOverlay != "" || len(r.Overlays) > 0
	return !writes && !r.DryRun && !r.Fakeroot && !r.Unsquash && r.Limits.Zero() && !strings.HasPrefix(r.Image, instancePrefix)
}

// caller describes the process whose launch it is.
func (c *cli) caller() probe.Caller {
	if c.call != nil {
		return probe.Other(c.call.Call)
	}
	return probe.Self(c.env)
}
