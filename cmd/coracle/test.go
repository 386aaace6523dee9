package main

import "coracle/runtime"

func testCommand() command {
	return command{
		name: "test", args: "IMAGE [ARG…]", short: "run the tests that an image brings",
		about: "Exit status 0 as well where the image has no tests.",
		examples: []string{
			`test app.sif`,
			`test -C app.sif`,
			`test --dry-run app.sif`,
		},
		min: 1, max: -1, payload: true, image: true,
		build: buildAction(runtime.Test),
	}
}
