package runtime

import (
	"fmt"
	"os"
	"time"

	"coracle/bind"
	"coracle/runtime/cgroup"
	"coracle/runtime/env"
	"coracle/runtime/server"
	"coracle/runtime/stage"
	"coracle/squash"
	"coracle/userns"

	"golang.org/x/sys/unix"
)

// Launch carries the plan out: this process becomes the payload. It must be called on
// the process's first thread (lock it in an init function) and returns only on failure. waiting is told about a
// long wait for images that are extracted ([waitForImages]); nil: nobody is.
func Launch(p *Plan, waiting func(took time.Duration)) error {
	if !p.Limits.Zero() {
		userns.DropStandby() // it is outside of the limits
		if err := cgroup.Enter(p.Group, p.Limits); err != nil {
			warn(p, "the container has no limits of its own: "+err.Error())
		}
	}
	up, err := openUpper(&p.Upper)
	if err != nil {
		return err
	}
	if p.Upper.Kind == UpperImage {
		p.Images[p.Upper.Image-1].Descriptor = up.dir
	}
	sock := -1
	var left server.LeftImages
	if p.Extract.Dir != "" {
		left = server.FindLeftImages(p.Extract.Dir)
	}
	if p.Root.served() || len(p.Images) > 0 || p.Upper.onDisk() {
		if sock, err = server.Start(serverConfig(p), p.header()); err != nil {
			return err
		}
		userns.Mark("image server found, or started")
	}
	if err := up.handOver(sock, &p.Upper); err != nil {
		return err
	}
	left.Discard(sock)
	if waiting != nil && sock >= 0 && p.Extract.Dir != "" {
		waitForImages(sock, waiting)
	}
	h := p.entry(provided{})
	h.Sock = sock
	if p.Instance != "" {
		if err := inheritReport(&h); err != nil {
			return err
		}
	}
	fd, err := p.write(&h)
	if err != nil {
		return err
	}
	userns.Mark("plan written down")
	if p.Instance != "" {
		return stage.Become(fd, p.Timing, "instance", p.Instance)
	}
	return stage.Become(fd, p.Timing, "enter")
}

// entry is what the second stage is to do.
func (p *Plan) entry(from provided) userns.Header {
	h := p.header()
	h.Role, h.Namespaces, h.Steps = userns.Enter, p.namespaces(), p.steps(from)
	if p.Fakeroot == "" {
		h.Flags |= userns.Lock
	}
	if !p.Join {
		h.Flags |= userns.NewUser
	}
	if p.Init {
		h.Flags |= userns.Init
	}
	if p.Timing {
		h.Flags |= userns.Noted
	}
	return h
}

// write makes the memfd of the second stage.
func (p *Plan) write(h *userns.Header) (int, error) {
	travels := *p
	if p.Command != nil {
		travels.Env = env.Spec{} // it has come down to the command
	}
	return stage.File(h, &travels)
}

// WriteFor makes the memfd of a launch that another process carries out, which finds the image server with the key running. ok is
// false when that process has more to do.
func (p *Plan) WriteFor(key string, has server.Offer) (w server.Planned, ok bool) {
	if p.Share == "" || p.Share != key || !p.callable() {
		return w, false
	}
	if l := p.layer(); l != nil && has.Layer(l.Name) {
		w.Layer = l
	}
	h := p.entry(provided{points: w.Layer != nil, tree: has.Tree})
	if len(h.Steps) == 0 {
		w.Layer = nil // Go mounts its own
	}
	fd, err := p.write(&h)
	w.Plan = fd
	return w, err == nil
}

// layer is the one with the missing mount points, if the image server can mount it: it mounts overlays.
func (p *Plan) layer() *server.Layer {
	l := &p.Layout
	if len(l.Points) == 0 || p.Underlay || !p.Root.served() {
		return nil
	}
	return &server.Layer{Name: fmt.Sprintf("%#v", [][]bind.Point{l.Parents, l.Points}), Make: func(dir string) error { return makePoints(dir, l) }}
}

// WriteFirst makes the memfd of a launch that another process carries out, and the configuration of its image server, which has the caller's
// own ids alone.
func (p *Plan) WriteFirst(config *server.Config) (w server.Planned, ok bool) {
	if !p.callable() || !p.Root.served() || len(p.UIDs) != 1 || len(p.GIDs) != 1 || p.UIDs[0].Inside != p.UIDs[0].Outside || p.GIDs[0].Inside != p.GIDs[0].Outside {
		return w, false
	}
	c := serverConfig(p)
	for _, im := range c.Images {
		if im.Sent || im.Ext {
			return w, false
		}
	}
	config.Set(c)
	h := p.entry(provided{})
	fd, err := p.write(&h)
	w.Plan = fd
	return w, err == nil
}

// callable tells whether there is nothing to be done before the second stage.
func (p *Plan) callable() bool {
	return p.Limits.Zero() && p.Upper.Kind == "" && p.Extract.Dir == "" && p.Instance == "" && p.Fakeroot == ""
}

// header is what the user namespaces of the launch and of its image server have in common.
func (p *Plan) header() userns.Header {
	h := userns.Header{Sock: -1, Pidfd: -1, Listener: -1, UIDMap: mapText(p.UIDs), GIDMap: mapText(p.GIDs)}
	if p.Fakeroot == FakerootIDs {
		h.Flags, h.NewUIDMap, h.NewGIDMap = userns.Helpers, p.Helpers[0], p.Helpers[1]
	}
	return h
}

// namespaces returns what the constructor unshares besides the user namespace.
func (p *Plan) namespaces() uintptr {
	flags := uintptr(unix.CLONE_NEWNS)
	for _, n := range []struct {
		on   bool
		flag uintptr
	}{{p.PID, unix.CLONE_NEWPID}, {p.IPC, unix.CLONE_NEWIPC}, {p.UTS, unix.CLONE_NEWUTS}, {p.Net, unix.CLONE_NEWNET}} {
		if n.on {
			flags |= n.flag
		}
	}
	return flags
}

func serverConfig(p *Plan) *server.Config {
	c := &server.Config{Timing: p.Timing, Uid: p.UIDs[0].Inside, Gid: p.GIDs[0].Inside, Key: p.Share, Dir: p.Extract.Dir, ExtMount: p.ExtMount, Log: p.ServerLog}
	if p.Fakeroot == FakerootIDs {
		c.UIDs, c.GIDs = reach(p.UIDs), reach(p.GIDs)
	}
	roots := p.Images
	if p.Root.served() {
		roots = append([]Root{p.Root}, p.Images...)
	}
	for i, r := range roots {
		writable := p.Upper.Image > 0 && i == len(roots)-len(p.Images)+p.Upper.Image-1
		im := r.toServe()
		im.Writable = writable
		c.Images = append(c.Images, im)
	}
	if p.Root.Kind == Squashfs && p.Command != nil {
		c.Images[0].Programs = []string{p.Command.Path}
	}
	return c
}

// toServe is what an image server has to know of an image.
func (r *Root) toServe() server.Image {
	return server.Image{Path: r.Path, Offset: r.Offset, Size: r.Size, Device: r.Device, Inode: r.Inode, Length: r.Length, ModTime: r.ModTime, Descriptor: r.Descriptor, Sent: r.Descriptor > 0, Ext: r.Kind == Ext}
}

// Foresee tells a standby, which is about to plan a launch from an image that reader reads, what it may come to.
func Foresee(config *server.Config, root *Root, reader *squash.Reader, req *Request) {
	if root.Kind != Squashfs || root.Descriptor > 0 {
		return
	}
	im := root.toServe()
	if req.Action == Exec && len(req.Args) > 0 {
		im.Programs = env.Candidates(req.Args[0])
	}
	config.Foresee(im, reader)
}

// A StageError is a failure inside the container's namespaces, before the payload runs.
type StageError struct {
	Plan *Plan // nil: it could not even be read
	Err  error

	// Report tells whoever starts an instance; nil: it is our own standard error that is read.
	Report func(status int, text string)
}

func (e *StageError) Error() string { return e.Err.Error() }

// Unwrap returns what went wrong.
func (e *StageError) Unwrap() error { return e.Err }

// RunStage plays this process's part if it is a stage of a launch, and tells whether it is. Call it first in main. A server
// ends the process; the last stage of a launch becomes the payload or returns its failure
// as a [StageError]. plan is for a server.
func RunStage(plan server.Planner) (isStage bool, err error) {
	userns.ShowFiles()
	userns.LiftAddressSpace()
	o := userns.Stage()
	switch o.Role {
	case userns.Serve, userns.Standby:
		os.Exit(server.Main(o, plan))
	case userns.Enter:
		var p Plan
		if err := stage.Read(o.FD, o.Plan, &p); err != nil {
			return true, &StageError{Err: err}
		}
		if p.Again != nil {
			return true, &StageError{&p, again(&p, o), nil}
		}
		err := enter(&p, o)
		return true, &StageError{&p, err, p.reporter()}
	case userns.Detach:
		return true, detached(o)
	}
	return false, nil
}

// enter does what is left once the process is in its namespaces, and becomes the payload.
func enter(p *Plan, o userns.Outcome) error {
	if err := o.Err(); err != nil {
		p.Upper.abandon()
		return err
	}
	if p.Visit {
		dir, err := enterDirectory(p.Dir)
		if err != nil {
			return err
		}
		return become(p, dir)
	}
	if o.Small {
		warn(p, p.settle(o.Step))
	}
	userns.Mark("Go runtime")
	if !o.Built {
		if err := buildTree(p, o); err != nil {
			return err
		}
		userns.Mark("tree of mounts")
	}
	if p.Hostname != "" {
		if err := unix.Sethostname([]byte(p.Hostname)); err != nil {
			return fmt.Errorf("set the host name %q: %w", p.Hostname, err)
		}
	}
	if p.Net {
		if err := loopbackUp(); err != nil {
			return err
		}
	}
	dir, err := enterDirectory(p.Dir)
	if err != nil {
		return err
	}
	if p.Instance != "" {
		if err := begin(o.Confirm); err != nil {
			return err
		}
	}
	return become(p, dir)
}

// enterDirectory changes to the first of the directories that can be entered and returns it.
func enterDirectory(dirs []string) (string, error) {
	var first error
	for _, dir := range dirs {
		err := os.Chdir(dir)
		if err == nil {
			return dir, nil
		}
		if first == nil {
			first = err
		}
	}
	return "", first
}
