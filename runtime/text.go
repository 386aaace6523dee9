package runtime

import (
	"bytes"
	"fmt"
	"io"
	"strings"
	"text/tabwriter"

	"coracle/bind"
	"coracle/runtime/env"
	"coracle/userns"
)

// WriteText prints the plan for people, one step a line: what, from where to where, and why.
func (p *Plan) WriteText(w io.Writer) error {
	var table bytes.Buffer
	t := tabwriter.NewWriter(&table, 0, 0, 2, ' ', 0)
	row := func(what, how, attr, why string) {
		fmt.Fprintf(t, "%s\t%s\t%s\t%s\n", what, how, attr, why)
	}
	row("user", fmt.Sprintf("uid %s, gid %s", ranges(p.UIDs), ranges(p.GIDs)), "", p.FakerootWhy)
	if p.Fakeroot != "" {
		row("privileges", p.privileges(), "", "--fakeroot")
	}
	if p.Fakeroot == FakerootFilter {
		row("seccomp", "chown, setuid, mknod and their kin do nothing and succeed", "", "--fakeroot")
	}
	if ns := p.namespaceNames(); ns != "" {
		row("namespace", ns, "", "")
	}
	if !p.Limits.Zero() {
		row("limits", p.Limits.String(), "", "below "+p.Group.Dir)
	}
	if p.Visit {
		row("instance", p.Instance, "", p.Of)
		p.processRows(row)
	} else {
		p.treeRows(row)
	}
	for _, warning := range p.Warnings {
		fmt.Fprintf(t, "warning\t%s\n", warning) // however long: no cell of the table
	}
	t.Flush() // a buffer takes everything
	for line := range strings.Lines(table.String()) {
		if _, err := io.WriteString(w, strings.TrimRight(line, " \n")+"\n"); err != nil {
			return err
		}
	}
	return nil
}

// treeRows prints what the container is made of.
func (p *Plan) treeRows(row func(what, how, attr, why string)) {
	for _, pt := range p.Layout.Make {
		row("mkdir", pt.Path, "", "on the host, unless it is there")
	}
	root := p.Root.Path
	if p.Root.Detail != "" {
		root += " (" + p.Root.Detail + ")"
	}
	if p.Writable {
		row("root", root, "rw", "--writable")
	} else {
		row("root", root, "ro", p.sharing())
	}
	for i, im := range p.Images {
		attr := "ro"
		if p.Upper.Image == i+1 {
			attr = "rw"
		}
		row("image", im.Path, attr, fmt.Sprintf("number %d, %s", i+1, im.Detail))
	}
	if p.Extract.Dir != "" {
		row("extract", "image files → "+p.Extract.Dir, "", p.Extract.Why)
	}
	p.layerRows(row)
	for _, pt := range p.Layout.Points {
		kind := "directory"
		if pt.Kind == bind.File {
			kind = "file"
		}
		row("point", pt.Path, kind, p.pointsBy())
	}
	for _, op := range p.Layout.Ops {
		row(opRow(op))
	}
	if p.Hostname != "" {
		row("hostname", p.Hostname, "", "")
	}
	p.processRows(row)
}

// processRows prints what runs in it.
func (p *Plan) processRows(row func(what, how, attr, why string)) {
	for _, list := range [][]env.Var{p.Env.Own, p.Env.User} {
		for _, v := range list {
			row("env", string(v.Name)+"="+v.Value.Quoted(), "", v.From)
		}
	}
	row(string(p.Action), p.command(), "", "in "+strings.Join(p.Dir, ", else "))
}

// layerRows prints what lies over the root, from below to the top.
func (p *Plan) layerRows(row func(what, how, attr, why string)) {
	for i := range p.Layers {
		l := p.Layers[len(p.Layers)-1-i]
		detail := l.Why
		if l.Image > 0 {
			detail += fmt.Sprintf(", image %d", l.Image)
		}
		row("overlay", l.Path, "ro", detail)
	}
	switch u := p.Upper; u.Kind {
	case UpperTmpfs:
		size := "half of the memory"
		if u.Size > 0 {
			size = fmt.Sprintf("%d MiB", u.Size>>20)
		}
		row("overlay", "tmpfs", "rw "+size, u.Why+", gone with the last process")
	case UpperScratch:
		row("overlay", u.Path+"/"+scratchPrefix()+"…", "rw", u.Why+", gone with the last process")
	case UpperDir:
		row("overlay", u.Path+"/upper", "rw", u.Why)
	case UpperImage:
		row("overlay", u.Path, "rw", fmt.Sprintf("%s, image %d, through %s", u.Why, u.Image, p.ExtMount))
	}
}

func opRow(op bind.Op) (what, how, attr, why string) {
	how = op.Target
	if op.Source != "" && op.Source != op.Target {
		how = op.Source + " → " + op.Target
	}
	var attrs []string
	if op.ReadOnly {
		attrs = append(attrs, "ro")
	}
	if op.Size > 0 {
		attrs = append(attrs, fmt.Sprintf("%d MiB", op.Size>>20))
	}
	if op.Optional {
		attrs = append(attrs, "if possible")
	}
	return string(op.Type), how, strings.Join(attrs, " "), op.Why
}

func (p *Plan) pointsBy() string {
	if p.Writable {
		return "missing in the image, made in it"
	}
	if p.Underlay {
		return "missing in the image, made by underlay"
	}
	return "missing in the image, made by overlay"
}

func (p *Plan) namespaceNames() string {
	names := []string{"user", "mount"}
	for _, n := range []struct {
		on   bool
		name string
	}{{p.PID, "pid"}, {p.IPC, "ipc"}, {p.UTS, "uts"}, {p.Net, "net"}} {
		if n.on {
			names = append(names, n.name)
		}
	}
	if p.Init {
		names = append(names, "(PID 1 is appinit)")
	}
	return strings.Join(names, " ")
}

func ranges(list []IDRange) string {
	var s []string
	for _, r := range list {
		s = append(s, r.String())
	}
	return strings.Join(s, " and ")
}

// command is what the action runs, as one would type it.
func (p *Plan) command() string {
	var words []string
	switch {
	case p.Env.App != "":
		words = append(words, "(app "+string(p.Env.App)+")")
	case p.Action == Run:
		words = append(words, "(the image's runscript)")
	case p.Action == Start:
		words = append(words, "(the image's start script)")
	case p.Action == Test:
		words = append(words, "(the image's test)")
	case p.Action == Shell && p.Env.Shell == "":
		words = append(words, "(the image's shell)")
	case p.Action == Shell:
		words = append(words, p.Env.Shell.Quoted())
	}
	for _, arg := range p.Env.Args {
		words = append(words, arg.Quoted())
	}
	return strings.Join(words, " ")
}

// privileges says what root inside has.
func (p *Plan) privileges() string {
	var without []string
	for _, n := range p.Drop {
		without = append(without, userns.CapabilityName(n))
	}
	switch {
	case len(without) == 0:
		return "all capabilities inside"
	case len(without) == len(userns.Capabilities()):
		return "no capabilities"
	}
	return "all capabilities inside but " + strings.Join(without, " ")
}

// sharing says whose image server serves the image, and why.
func (p *Plan) sharing() string {
	switch {
	case p.Share != "" && p.Running == 1:
		return "shared with 1 running container"
	case p.Share != "" && p.Running > 1:
		return fmt.Sprintf("shared with %d running containers", p.Running)
	case p.Share != "":
		return "shared, as yet with nobody"
	case p.Join:
		return "private: " + p.Private
	}
	return ""
}
