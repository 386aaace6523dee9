package main

import (
	"encoding/json"
	"fmt"
	"maps"
	"slices"
	"strings"

	"coracle/image"
)

type inspectFlags struct {
	labels, environment, runscript, startscript bool
	deffile, helpfile, test, listApps           bool
	json, all                                   bool
	app                                         string
}

func inspectCommand() command {
	return command{
		name: "inspect", args: "IMAGE", short: "show what an image says about itself",
		about: "Reads the image; nothing in it is run. Without flags: its labels.",
		examples: []string{
			`inspect app.sif`,
			`inspect --deffile app.sif`,
			`inspect --json --all app.sif`,
		},
		min: 1, max: 1, image: true,
		build: func() ([]flag, action) {
			f := &inspectFlags{}
			return f.table(), f.run
		},
	}
}

func (f *inspectFlags) table() []flag {
	none := []string{}
	return []flag{
		{name: "labels", short: 'l', on: &f.labels, keys: none, group: "What to show", help: "labels (the default)"},
		{name: "environment", short: 'e', on: &f.environment, keys: none, help: "scripts that set its environment"},
		{name: "runscript", short: 'r', on: &f.runscript, keys: none, help: "what run runs"},
		{name: "startscript", short: 's', on: &f.startscript, keys: none, help: "what an instance starts"},
		{name: "test", short: 't', on: &f.test, keys: none, help: "what test runs"},
		{name: "deffile", short: 'd', on: &f.deffile, keys: none, help: "the definition file it was built from"},
		{name: "helpfile", short: 'H', on: &f.helpfile, keys: none, help: "its help text"},
		{name: "list-apps", on: &f.listApps, keys: none, help: "names of its applications (SCIF)"},
		{name: "app", arg: "NAME", str: &f.app, keys: none, help: "of this application, not of the image"},
		{name: "json", short: 'j', on: &f.json, keys: none, group: "Output", help: "as JSON"},
		{name: "all", on: &f.all, keys: none, help: "everything, as JSON"},
	}
}

func (f *inspectFlags) run(c *cli, args []string) error {
	img, err := image.Open(args[0])
	if err != nil {
		return err
	}
	defer img.Close()
	meta, err := img.Metadata()
	if err != nil {
		return &image.PathError{Path: args[0], Err: err}
	}
	for _, w := range meta.Warnings {
		c.warn(w)
	}
	if f.app != "" && meta.Apps[f.app] == nil && !f.all {
		return fmt.Errorf("image %q has no app %q", args[0], f.app)
	}
	shown := f.choose(meta.Attributes)
	if f.json || f.all {
		return printInspectJSON(c, shown)
	}
	_, err = fmt.Fprint(c.out, f.text(shown))
	return err
}

// choose keeps what the flags ask for.
func (f *inspectFlags) choose(in image.Attributes) image.Attributes {
	if f.all {
		return in
	}
	labels := f.labels || !(f.environment || f.runscript || f.startscript || f.test || f.deffile || f.helpfile || f.listApps)
	pick := func(a image.AppAttributes) image.AppAttributes {
		var out image.AppAttributes
		if labels {
			out.Labels = a.Labels
		}
		if f.environment {
			out.Environment = a.Environment
		}
		if f.runscript {
			out.Runscript = a.Runscript
		}
		if f.test {
			out.Test = a.Test
		}
		if f.helpfile {
			out.Helpfile = a.Helpfile
		}
		return out
	}
	var out image.Attributes
	if f.app == "" {
		out.AppAttributes = pick(in.AppAttributes)
		if f.deffile {
			out.Deffile = in.Deffile
		}
		if f.startscript {
			out.Startscript = in.Startscript
		}
	}
	for name, app := range in.Apps {
		if f.listApps || name == f.app {
			if out.Apps == nil {
				out.Apps = map[string]*image.AppAttributes{}
			}
			a := pick(*app)
			out.Apps[name] = &a
		}
	}
	return out
}

// text writes the chosen attributes as Apptainer does, a blank line after each environment script.
func (f *inspectFlags) text(a image.Attributes) string {
	var b strings.Builder
	if f.listApps {
		for _, name := range slices.Sorted(maps.Keys(a.Apps)) {
			fmt.Fprintln(&b, name)
		}
	}
	parts := a.AppAttributes
	if app := a.Apps[f.app]; f.app != "" && app != nil {
		parts = *app
	}
	for _, s := range []string{a.Deffile, parts.Runscript, a.Startscript, parts.Test, parts.Helpfile} {
		if s != "" {
			fmt.Fprintln(&b, s)
		}
	}
	for _, path := range slices.Sorted(maps.Keys(parts.Environment)) {
		fmt.Fprintf(&b, "=== %s ===\n%s\n\n", path, parts.Environment[path])
	}
	for _, k := range slices.Sorted(maps.Keys(parts.Labels)) {
		fmt.Fprintf(&b, "%s: %s\n", k, parts.Labels[k])
	}
	return b.String()
}

// printInspectJSON writes Apptainer's shape, which workflow engines parse.
func printInspectJSON(c *cli, a image.Attributes) error {
	var doc struct {
		Data struct {
			Attributes image.Attributes `json:"attributes"`
		} `json:"data"`
		Type string `json:"type"`
	}
	doc.Data.Attributes = a
	doc.Type = "container"
	enc := json.NewEncoder(c.out)
	enc.SetIndent("", "\t")
	enc.SetEscapeHTML(false)
	return enc.Encode(doc)
}
