package build

import (
	"encoding/json"
	"maps"
	"strings"
	"time"

	"coracle/image/layer"
	"coracle/image/oci"
	"coracle/squash"
)

// A file is a generated file of the image.
type file struct {
	path string
	text string
}

// A metadata is what an image says about itself: the files of /.singularity.d, from which
// it runs, and the objects beside the partition.
type metadata struct {
	scripts []file // mode 0755
	texts   []file // mode 0644
	labels  map[string]string
	deffile string
}

// The names in /.singularity.d that hold what an OCI image says.
const (
	dirMeta   = ".singularity.d"
	envDocker = dirMeta + "/env/10-docker2singularity.sh"
	runscript = dirMeta + "/runscript"
)

// describe makes the metadata of an image. from is what the definition file names.
func describe(img *oci.Image, from string, when int64) *metadata {
	m := &metadata{labels: labels(img, from, when), deffile: definition(from, img.Digest)}
	c := &img.Config.Config
	run := runScript(c.Entrypoint, c.Cmd)
	m.scripts = []file{
		{dirMeta + "/actions/exec", actionExec},
		{dirMeta + "/actions/run", actionRun},
		{dirMeta + "/actions/shell", actionShell},
		{dirMeta + "/actions/start", actionStart},
		{dirMeta + "/actions/test", actionTest},
		{dirMeta + "/env/01-base.sh", emptyScript},
		{envDocker, envScript(c.Env)},
		{dirMeta + "/env/90-environment.sh", emptyScript},
		{dirMeta + "/env/94-appsbase.sh", emptyScript},
		{dirMeta + "/env/95-apps.sh", emptyScript},
		{dirMeta + "/env/99-base.sh", envBase},
		{dirMeta + "/env/99-runtimevars.sh", emptyScript},
		{runscript, run},
		{dirMeta + "/startscript", run},
		{dirMeta + "/test", emptyScript},
	}
	m.texts = []file{
		{dirMeta + "/Singularity", m.deffile},
		{dirMeta + "/labels.json", indented(m.labels)},
	}
	return m
}

// links are the names at the root that other runtimes and old habits know, with their targets.
func links() []file {
	return []file{
		{".exec", dirMeta + "/actions/exec"},
		{".run", dirMeta + "/actions/run"},
		{".shell", dirMeta + "/actions/shell"},
		{".test", dirMeta + "/actions/test"},
		{"environment", dirMeta + "/env/90-environment.sh"},
		{"singularity", runscript},
	}
}

// mountPoints are directories and files that runtimes mount on. With them in the image a
// launch needs no overlay.
func mountPoints() []layer.Entry {
	dir := func(name string, perm uint16) layer.Entry {
		return layer.Entry{Name: name, Type: squash.Directory, Perm: perm}
	}
	return []layer.Entry{
		dir("dev", 0o755), dir("etc", 0o755), dir("home", 0o755), dir("proc", 0o755),
		dir("root", 0o700), dir("sys", 0o755), dir("tmp", 0o1777), dir("var", 0o755), dir("var/tmp", 0o1777),
		{Name: "etc/hosts", Type: squash.Regular, Perm: 0o644},
		{Name: "etc/resolv.conf", Type: squash.Regular, Perm: 0o644},
	}
}

// entries returns the generated files as one more layer, number n, and the contents of
// each. What tree has already is not touched, except what is in /.singularity.d.
func (m *metadata) entries(tree *layer.Tree, n int, when int64) (list []*layer.Entry, texts []string) {
	add := func(e layer.Entry, text string) {
		e.Layer, e.Seq, e.MTime, e.Size = int32(n), int32(len(list)), when, int64(len(text))
		list, texts = append(list, &e), append(texts, text)
	}
	for _, e := range mountPoints() {
		if !tree.Occupied(e.Name) {
			add(e, "")
		}
	}
	for _, dir := range []string{dirMeta, dirMeta + "/actions", dirMeta + "/env", dirMeta + "/libs"} {
		add(layer.Entry{Name: dir, Type: squash.Directory, Perm: 0o755}, "")
	}
	for _, f := range m.scripts {
		add(layer.Entry{Name: f.path, Type: squash.Regular, Perm: 0o755}, f.text)
	}
	for _, f := range m.texts {
		add(layer.Entry{Name: f.path, Type: squash.Regular, Perm: 0o644}, f.text)
	}
	for _, f := range links() {
		if !tree.Occupied(f.path) {
			add(layer.Entry{Name: f.path, Type: squash.Symlink, Perm: 0o777, Link: f.text}, "")
			list[len(list)-1].Size = 0
		}
	}
	return list, texts
}

// labels returns the image's own labels and those that its origin adds.
func labels(img *oci.Image, from string, when int64) map[string]string {
	out := map[string]string{
		"org.label-schema.schema-version":                      "1.0",
		"org.label-schema.build-arch":                          img.Platform.Architecture,
		"org.label-schema.build-date":                          time.Unix(when, 0).UTC().Format(time.RFC3339),
		"org.label-schema.usage.singularity.deffile.bootstrap": bootstrap(from),
		"org.label-schema.usage.singularity.deffile.from":      origin(from),
		"org.opencontainers.image.base.digest":                 string(img.Digest),
	}
	maps.Copy(out, img.Config.Config.Labels)
	return out
}

// bootstrap returns the agent of a definition file for a source, and origin what follows.
func bootstrap(from string) string { agent, _, _ := strings.Cut(from, ":"); return agent }
func origin(from string) string {
	_, rest, _ := strings.Cut(from, ":")
	return strings.TrimPrefix(rest, "//")
}

// definition returns a definition file that makes the same image again. Registries
// accept the digest; other sources are found by their name, and the digest is a remark.
func definition(from string, digest oci.Digest) string {
	agent, what := bootstrap(from), origin(from)
	var b strings.Builder
	b.WriteString("bootstrap: " + agent + "\n")
	b.WriteString("from: " + what + "\n\n")
	b.WriteString("# The image had the digest " + string(digest) + "\n")
	return b.String()
}

// inspectData is the object that `inspect` of other runtimes reads.
func (m *metadata) inspectData() []byte {
	type attributes struct {
		Deffile     string            `json:"deffile"`
		Environment map[string]string `json:"environment"`
		Labels      map[string]string `json:"labels"`
		Runscript   string            `json:"runscript"`
		Startscript string            `json:"startscript"`
		Test        string            `json:"test"`
	}
	a := attributes{Deffile: m.deffile, Labels: m.labels, Environment: map[string]string{}}
	for _, f := range m.scripts {
		switch {
		case f.path == runscript:
			a.Runscript = f.text
		case f.path == dirMeta+"/startscript":
			a.Startscript = f.text
		case strings.HasPrefix(f.path, dirMeta+"/env/") && f.text != emptyScript:
			a.Environment["/"+f.path] = f.text
		}
	}
	return []byte(indented(map[string]any{"type": "container", "data": map[string]any{"attributes": a}}))
}

// indented returns v as JSON for people, keys sorted.
func indented(v any) string {
	var b strings.Builder
	e := json.NewEncoder(&b)
	e.SetEscapeHTML(false)
	e.SetIndent("", "\t")
	if err := e.Encode(v); err != nil {
		panic(err) // maps of strings always have a form in JSON
	}
	return b.String()
}
