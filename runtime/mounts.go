package runtime

import (
	"path"
	"slices"

	"coracle/bind"
)

// A mountPlan is the container's tree, and where in it the process starts.
type mountPlan struct {
	bind.Layout
	Home string // $HOME in the container; "" when the user has none
	View *bind.View
	Dirs []string // directories to start in: the first that can be entered. One alone has to be (--pwd)
}

// planMounts decides what is mounted where. data are the trees of [bindImages], in that
// order; nil ones count as directories of unknown content.
//
// The order is Apptainer's: devices, bind paths, kernel file systems, home, temporary
// directories, scratch, generated files, what the user asks for, the working directory.
// The error is a *[DirError] or one of [bind.View.Arrange].
func planMounts(req *Request, facts *Facts, root *Root, data []bind.Tree) (mountPlan, error) {
	m := mounter{
		req:   req,
		facts: facts,
		view:  bind.NewView(bind.Trees{Image: root.Tree, Host: facts.Host, Data: data}),
		out:   make([]bind.Mount, 0, 48),
	}
	m.setHome()
	if err := m.checkWorkdir(); err != nil {
		return mountPlan{}, err
	}
	m.devices()
	m.bindPaths()
	m.kernel()
	homeInTmp := bind.Under(m.home, "/tmp") || bind.Under(m.home, "/var/tmp")
	if !homeInTmp {
		m.mountHome()
	}
	m.temporary()
	if homeInTmp { // or it would be hidden
		m.mountHome()
	}
	m.rpmMacros()
	m.scratch()
	m.files()
	m.site()
	m.drivers()
	m.user()
	m.workingDirectory()

	layout, err := m.view.Arrange(m.out)
	if err != nil {
		return mountPlan{}, err
	}
	dirs, err := m.startIn()
	if err != nil {
		return mountPlan{}, err
	}
	layout.Warnings = append(m.warnings, layout.Warnings...)
	return mountPlan{Layout: layout, Home: m.home, View: m.view, Dirs: dirs}, nil
}

// bindImages lists the image files that binds with image-src or id take their sources
// from, each once, in the order of [bind.Op]'s Image numbers: number 1 comes first.
func bindImages(binds []bind.Spec) []bind.Spec {
	var list []bind.Spec
	for _, b := range binds {
		if b.ImageSrc != "" && imageNumber(list, b) == 0 {
			list = append(list, b)
		}
	}
	return list
}

// imageNumber is the number of b's image file in a list of [bindImages]; 0 when it is not there.
func imageNumber(list []bind.Spec, b bind.Spec) int {
	return 1 + slices.IndexFunc(list, func(o bind.Spec) bool { return o.Source == b.Source && o.ID == b.ID })
}

// A mounter collects the mounts of one launch.
type mounter struct {
	req      *Request
	facts    *Facts
	view     *bind.View
	out      []bind.Mount
	home     string // in the container
	warnings []string
}

func (m *mounter) add(op bind.Op) { m.out = append(m.out, bind.Mount{Op: op}) }

// optional adds a bind of the host's own that is left out where it cannot be had.
func (m *mounter) optional(p, why string) {
	m.add(bind.Op{Type: bind.Bind, Source: p, Target: p, NoDev: true, Optional: true, Why: why})
}

// without tells whether --no-mount names name.
func (m *mounter) without(name string) bool { return slices.Contains(m.req.NoMount, name) }

// ours adds a directory of --workdir, which is made when it is missing.
func (m *mounter) ours(sub, target string, perm uint32) {
	m.out = append(m.out, bind.Mount{
		Op:   bind.Op{Type: bind.Bind, Source: path.Join(m.req.Workdir, sub), Target: target, NoDev: true, Why: "--workdir"},
		Make: perm,
	})
}

// checkWorkdir makes sure that --workdir, where it is used, is a directory of the host.
func (m *mounter) checkWorkdir() error {
	dir := m.req.Workdir
	if dir == "" || !m.req.Contain && len(m.req.Scratch) == 0 {
		return nil
	}
	switch _, kind, err := m.view.LookupHost(dir); {
	case err != nil:
		return &bind.SourceError{Source: dir, Why: "--workdir", Err: err}
	case kind != bind.Directory:
		return &bind.ConflictError{Target: dir, Why: "--workdir", At: dir, Through: true}
	}
	return nil
}

// bindPaths are the files of the host that every container sees.
func (m *mounter) bindPaths() {
	if m.without("bind-paths") {
		return
	}
	if !m.without("/etc/hosts") {
		if m.req.Contain && m.req.Net { // the host's names are out of reach
			m.add(bind.Op{Type: bind.Data, Target: "/etc/hosts", Optional: true, Why: "--net",
				Content: []byte("127.0.0.1\tlocalhost\n::1\tlocalhost ip6-localhost ip6-loopback\n")})
		} else {
			m.optional("/etc/hosts", "default")
		}
	}
	if !m.without("/etc/localtime") {
		m.optional("/etc/localtime", "default")
	}
}

// kernel mounts /proc and /sys.
func (m *mounter) kernel() {
	switch {
	case m.without("proc"):
	case m.req.PID:
		m.add(bind.Op{Type: bind.Proc, Target: "/proc", NoDev: true, NoExec: true, Why: "--pid"})
	default:
		m.add(bind.Op{Type: bind.Bind, Source: "/proc", Target: "/proc", NoDev: true, Why: "default"})
	}
	if !m.without("sys") {
		m.optional("/sys", "default")
	}
}

// temporary mounts /tmp and /var/tmp.
func (m *mounter) temporary() {
	if m.without("tmp") {
		return
	}
	for _, t := range [...]struct{ target, sub string }{{"/tmp", "tmp"}, {"/var/tmp", "var_tmp"}} {
		switch {
		case m.without(t.target), slices.Contains(m.req.Scratch, t.target):
		case !m.req.Contain:
			m.optional(t.target, "default")
		case m.req.Workdir != "":
			m.ours(t.sub, t.target, 0o1777)
		default:
			m.add(bind.Op{Type: bind.Tmpfs, Target: t.target, NoDev: true, Perm: 0o1777, Why: "--contain"})
		}
	}
}

// scratch mounts the directories of --scratch.
func (m *mounter) scratch() {
	for i, dir := range m.req.Scratch {
		dir = path.Clean("/" + dir)
		if slices.Contains(m.req.Scratch[:i], dir) {
			continue
		}
		if m.req.Workdir != "" {
			m.ours("scratch"+dir, dir, 0o750)
		} else {
			m.add(bind.Op{Type: bind.Tmpfs, Target: dir, NoDev: true, Perm: 0o750, Why: "--scratch"})
		}
	}
}

// site adds what configuration files want in every container.
func (m *mounter) site() {
	if m.without("bind-paths") {
		return
	}
	for _, b := range m.req.SiteBinds {
		if !m.without(b.Target) {
			m.add(bind.Op{Type: bind.Bind, Source: b.Source, Target: b.Target, ReadOnly: b.ReadOnly,
				NoDev: !bind.Under(b.Source, "/dev"), Optional: true, Why: b.Why})
		}
	}
}

// drivers adds the host's drivers for graphics processors. Their devices are in the host's /dev already,
// where that is what the container has.
func (m *mounter) drivers() {
	for _, found := range m.facts.GPUs {
		for _, b := range found.Binds {
			if bind.Under(b.Source, "/dev") && b.Source == b.Target && !m.req.Contain {
				continue
			}
			m.add(bind.Op{Type: bind.Bind, Source: b.Source, Target: b.Target, ReadOnly: !b.Device && !b.Write, NoDev: !b.Device,
				Optional: !found.Asked, Why: found.Flag})
		}
	}
}

// user adds what the user asks for one by one.
func (m *mounter) user() {
	images := bindImages(m.req.Binds)
	for _, b := range m.req.Binds {
		op := bind.Op{Type: bind.Bind, Source: b.Source, Target: b.Target, ReadOnly: b.ReadOnly, Why: b.Why,
			// devices work where they are bound on purpose, and in a bind of the whole host
			NoDev: b.Source != "/" && !bind.Under(b.Source, "/dev")}
		if b.ImageSrc != "" {
			op.Type, op.Source, op.Image = bind.Image, b.ImageSrc, imageNumber(images, b)
			op.ReadOnly, op.NoDev = true, true
		}
		m.out = append(m.out, bind.Mount{Op: op, User: true, File: b.Source})
	}
}
