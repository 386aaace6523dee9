package main

import (
	"fmt"

	"coracle/image"
)

func runHelpCommand() command {
	return command{
		name: "run-help", args: "IMAGE", short: "show the help text of an image",
		examples: []string{"run-help app.sif", "run-help --app tool app.sif"},
		min:      1, max: 1, image: true,
		build: func() ([]flag, action) {
			var app string
			flags := []flag{{name: "app", arg: "NAME", str: &app, keys: []string{"APP", "APPNAME"},
				group: "What to show", help: "of this application (SCIF) of the image"}}
			return flags, func(c *cli, args []string) error { return c.runHelp(args[0], app) }
		},
	}
}

func (c *cli) runHelp(path, app string) error {
	img, err := image.Open(path)
	if err != nil {
		return err
	}
	defer img.Close()
	meta, err := img.Metadata()
	if err != nil {
		return &image.PathError{Path: path, Err: err}
	}
	help := meta.Helpfile
	if app != "" {
		if meta.Apps[app] == nil {
			return fmt.Errorf("image %q has no app %q", path, app)
		}
		help = meta.Apps[app].Helpfile
	}
	if help == "" {
		_, err = fmt.Fprintln(c.out, "No help sections were defined for this image")
		return err
	}
	_, err = fmt.Fprintln(c.out, help)
	return err
}
