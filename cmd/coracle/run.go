package main

import "coracle/runtime"

func runCommand() command {
	return command{
		name: "run", args: "IMAGE [ARG…]", short: "run what an image was made for",
		about: "Runs the image's runscript; for OCI images entrypoint and command, which arguments replace.",
		examples: []string{
			`run app.sif --help`,
			`run -B /scratch:/data app.sif /data/input.txt`,
			`run --dry-run app.sif`,
		},
		min: 1, max: -1, payload: true, image: true,
		build: buildAction(runtime.Run),
	}
}
