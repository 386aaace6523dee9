package image

import (
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"path"
	"strings"

	"coracle/bind"
	"coracle/image/sif"
)

// maxMetaFile bounds every file of metadata, in bytes.
const maxMetaFile = 1 << 20

// maxApps bounds how many apps are looked at.
const maxApps = 1000

// AppAttributes are what an image, or one of its apps, says about itself.
// Keys of Environment are paths in the image. Scripts end without a newline.
type AppAttributes struct {
	Environment map[string]string `json:"environment,omitempty"`
	Labels      map[string]string `json:"labels,omitempty"`
	Helpfile    string            `json:"helpfile,omitempty"`
	Runscript   string            `json:"runscript,omitempty"`
	Test        string            `json:"test,omitempty"`
}

// Attributes are what an image says about itself. The JSON names are Apptainer's.
type Attributes struct {
	Apps map[string]*AppAttributes `json:"apps,omitempty"`
	AppAttributes
	Deffile     string `json:"deffile,omitempty"`
	Startscript string `json:"startscript,omitempty"`
}

// Metadata is the outcome of [Image.Metadata].
type Metadata struct {
	Attributes
	Warnings []string // what was there and could not be read; whole sentences
}

// Metadata reads what the image says about itself. Nothing of it is run. What the root
// file system holds counts, because that is what will run; the objects of a SIF file
// fill the gaps and give the definition file.
func (m *Image) Metadata() (*Metadata, error) {
	r := metaReader{tree: m.Tree, meta: &Metadata{}}
	const dir = "/.singularity.d"
	a := &r.meta.Attributes
	r.attributes(&a.AppAttributes, dir)
	r.environment(&a.AppAttributes, dir, "10-docker*.sh")
	a.Startscript = r.text(dir + "/startscript")
	a.Deffile = r.text(dir+"/Singularity", dir+"/Apptainer")
	r.apps(a)
	if m.SIF != nil {
		r.fromSIF(m.SIF)
	}
	return r.meta, r.err
}

// A metaReader collects metadata from a tree. Missing files are no errors; damage is.
type metaReader struct {
	tree bind.Tree
	meta *Metadata
	err  error
}

// attributes reads what images and apps have in common from dir.
func (r *metaReader) attributes(a *AppAttributes, dir string) {
	a.Runscript = r.text(dir + "/runscript")
	a.Test = r.text(dir + "/test")
	a.Helpfile = r.text(dir + "/runscript.help")
	a.Labels = r.labels(dir + "/labels.json")
	r.environment(a, dir, "9*-environment.sh")
}

// environment reads the scripts in dir/env whose names match pattern.
func (r *metaReader) environment(a *AppAttributes, dir, pattern string) {
	env := resolve(r.tree, dir+"/env")
	names, err := r.tree.ReadDir(env)
	if err != nil {
		r.note(err)
		return
	}
	for _, name := range names {
		if ok, _ := path.Match(pattern, name); !ok {
			continue
		}
		if s := r.text(env + "/" + name); s != "" {
			if a.Environment == nil {
				a.Environment = map[string]string{}
			}
			a.Environment[dir+"/env/"+name] = s
		}
	}
}

func (r *metaReader) apps(a *Attributes) {
	const dir = "/scif/apps"
	names, err := r.tree.ReadDir(resolve(r.tree, dir))
	if err != nil {
		r.note(err)
		return
	}
	for _, name := range names[:min(len(names), maxApps)] {
		scif := dir + "/" + name + "/scif"
		if e, err := r.tree.Lstat(resolve(r.tree, scif)); err != nil || e.Kind != bind.Directory {
			continue
		}
		app := &AppAttributes{}
		r.attributes(app, scif)
		if a.Apps == nil {
			a.Apps = map[string]*AppAttributes{}
		}
		a.Apps[name] = app
	}
}

// text returns the contents of the first of paths that has any, without the newlines at its end.
func (r *metaReader) text(paths ...string) string {
	for _, p := range paths {
		b, err := r.tree.ReadFile(resolve(r.tree, p), maxMetaFile)
		if err != nil {
			r.note(err)
			continue
		}
		if s := strings.TrimRight(string(b), "\n"); s != "" {
			return s
		}
	}
	return ""
}

func (r *metaReader) labels(p string) map[string]string {
	b, err := r.tree.ReadFile(resolve(r.tree, p), maxMetaFile)
	if err != nil {
		r.note(err)
		return nil
	}
	labels, err := decodeLabels(b)
	if err != nil {
		r.warn("%s is not valid: %v", p, err)
	}
	return labels
}

// decodeLabels reads an object of strings. Other values are kept as their JSON text.
func decodeLabels(b []byte) (map[string]string, error) {
	var raw map[string]json.RawMessage
	if err := json.Unmarshal(b, &raw); err != nil {
		return nil, err
	}
	labels := make(map[string]string, len(raw))
	for k, v := range raw {
		var s string
		if json.Unmarshal(v, &s) != nil {
			s = string(v)
		}
		labels[k] = s
	}
	return labels, nil
}

// fromSIF fills what the root file system leaves open from the objects of a SIF file.
func (r *metaReader) fromSIF(f *sif.File) {
	if d := f.Find(sif.TypeDeffile, ""); d != nil {
		if b, err := f.Bytes(d, maxMetaFile); err != nil {
			r.warn("definition file: %v", err)
		} else {
			r.meta.Deffile = strings.TrimRight(string(b), "\n\x00")
		}
	}
	if r.meta.Labels == nil {
		if d := f.Find(sif.TypeLabels, ""); d != nil {
			if b, err := f.Bytes(d, maxMetaFile); err == nil {
				r.meta.Labels, _ = decodeLabels(b)
			}
		}
	}
	d := f.Find(sif.TypeGenericJSON, "inspect-metadata.json")
	if d == nil {
		return
	}
	b, err := f.Bytes(d, maxMetaFile)
	var doc struct {
		Data struct {
			Attributes Attributes `json:"attributes"`
		} `json:"data"`
	}
	if err == nil {
		err = json.Unmarshal(b, &doc)
	}
	if err != nil {
		r.warn("inspect-metadata.json: %v", err)
		return
	}
	if r.meta.Labels == nil {
		r.meta.Labels = doc.Data.Attributes.Labels
	}
	if r.meta.Helpfile == "" {
		r.meta.Helpfile = doc.Data.Attributes.Helpfile
	}
}

// note keeps the first error that is neither a missing file nor a file that may not be read.
func (r *metaReader) note(err error) {
	var size *SizeError
	var pe *fs.PathError
	switch {
	case errors.Is(err, fs.ErrNotExist):
	case errors.Is(err, fs.ErrPermission), errors.As(err, &size), errors.As(err, &pe):
		r.warn("%v", err)
	case r.err == nil:
		r.err = err
	}
}

func (r *metaReader) warn(format string, args ...any) {
	r.meta.Warnings = append(r.meta.Warnings, fmt.Sprintf(format, args...))
}

// resolve returns the path that p stands for in t when symlinks are followed as from
// inside, where ".." stops at the root. A path that is missing, or that has more than
// 40 links, comes out as far as it could be resolved.
func resolve(t bind.Tree, p string) string {
	links := 0
	done := "/"
	rest := strings.TrimPrefix(p, "/")
	for rest != "" {
		var name string
		name, rest, _ = strings.Cut(rest, "/")
		next := path.Join(done, name)
		e, err := t.Lstat(next)
		if err != nil || e.Kind != bind.Symlink {
			done = next
			continue
		}
		if links++; links > 40 {
			return next
		}
		if path.IsAbs(e.Target) {
			done = "/"
		}
		rest = strings.TrimPrefix(e.Target+"/"+rest, "/")
	}
	return done
}
