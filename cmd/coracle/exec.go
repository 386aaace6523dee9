package main

import "coracle/runtime"

func execCommand() command {
	return command{
		name: "exec", args: "IMAGE COMMAND [ARG…]", short: "run a command in an image", group: "Run",
		examples: []string{
			`exec app.sif python3 train.py`,
			`exec -B /scratch:/data:ro app.sif ls -l /data`,
			`exec -C -H "$PWD" app.sif sh -c 'pwd; env'`,
		},
		min: 1, max: -1, payload: true, image: true,
		build: buildAction(runtime.Exec),
	}
}

// buildAction returns the flags of an action and what carries it out.
func buildAction(act runtime.Action) func() ([]flag, action) {
	return func() ([]flag, action) {
		a := &actionFlags{}
		t := a.table(act == runtime.Shell)
		if act == runtime.Exec {
			t = append(t, a.ociFlag())
		}
		return t, func(c *cli, args []string) error {
			if a.bundle != nil {
				if err := a.bundle.permitted(&c.conf); err != nil {
					return err
				}
				args[0] = a.bundle.goThere(args[0], c.env)
			}
			return c.launch(act, a, args)
		}
	}
}
