package main

import "coracle/runtime"

func shellCommand() command {
	return command{
		name: "shell", args: "IMAGE", short: "a shell in an image",
		examples: []string{
			`shell app.sif`,
			`shell --shell /bin/bash -B /scratch app.sif`,
			`shell -C app.sif`,
		},
		min: 1, max: -1, payload: true, image: true,
		build: buildAction(runtime.Shell),
	}
}
