package main

import "coracle/image"

// buildFlags are the flags of build.
type buildFlags struct {
	source sourceFlags
	writer writerFlags
	force  bool

	sandbox, fixPerms, fakeroot bool
}

func buildCommand() command {
	return command{
		name: "build", args: "IMAGE SOURCE", short: "make an image file of a container image", group: "Images",
		about: "SOURCE is docker://NAME, oci:DIR[:TAG], oci-archive:FILE, docker-archive:FILE (- for standard input),\n" +
			"docker-daemon:NAME, containers-storage:NAME (of Podman), oras://NAME, the http(s):// address of an image file,\n" +
			"an image file or a directory.",
		examples: []string{
			`build app.sif docker://registry.example/app:1`,
			`build --compression gzip:9 app.sif oci-archive:app.tar`,
			`build app.sif docker-archive:- < app.tar`,
		},
		min: 2, max: 2,
		build: func() ([]flag, action) {
			f := &buildFlags{}
			t := []flag{
				{name: "force", short: 'F', on: &f.force, group: "Output", help: "replace an image that is there"},
				{name: "sandbox", short: 's', on: &f.sandbox, help: "a directory in place of a file"},
				{name: "fakeroot", short: 'f', on: &f.fakeroot, help: "owners in a directory are real, with the ids of /etc/subuid"},
				{name: "fix-perms", on: &f.fixPerms, hidden: true}, // it is always so
			}
			t = append(append(t, f.writer.table()...), f.source.table(false)...)
			return t, func(c *cli, args []string) error {
				if f.fakeroot && (f.sandbox || isDir(args[1])) { // elsewhere owners are real anyhow
					if err := c.asRootIfAny(); err != nil {
						return err
					}
				}
				if f.sandbox {
					return c.makeSandbox(args[0], args[1], f.force, &f.source)
				}
				return c.makeFile(args[0], args[1], f.force, &f.source, &f.writer)
			}
		},
	}
}

// pullFlags are the flags of pull.
type pullFlags struct {
	buildFlags
	name, dir string
}

func pullCommand() command {
	return command{
		name: "pull", args: "[IMAGE] SOURCE", short: "fetch an image into a file", group: "Images",
		about: "SOURCE as for build. Without IMAGE, the file is named after it: docker://debian:12 becomes debian_12.sif.",
		examples: []string{
			`pull docker://debian:12`,
			`pull --arch arm64 app.sif docker://registry.example/app:1`,
			`pull --dir /scratch/images oras://registry.example/app.sif:1`,
		},
		min: 1, max: 2,
		build: func() ([]flag, action) {
			f := &pullFlags{}
			t := []flag{
				{name: "name", arg: "FILE", str: &f.name, group: "Output", keys: []string{}, help: "name of the image file"},
				{name: "dir", arg: "DIR", str: &f.dir, keys: []string{"PULLDIR", "PULLFOLDER"}, help: "and where to put it"},
				{name: "force", short: 'F', on: &f.force, help: "replace an image file that is there"},
			}
			t = append(append(t, f.writer.table()...), f.source.table(false)...)
			return t, f.pull
		},
	}
}

func (f *pullFlags) pull(c *cli, args []string) error {
	ref, name := args[len(args)-1], f.name
	if len(args) == 2 {
		name = args[0]
	}
	if !image.IsReference(ref) {
		return usageErrorf("pull: %q says not where the image is; as in docker://%s", ref, ref)
	}
	if name == "" {
		name = image.DefaultName(ref)
	}
	if f.dir != "" {
		name = f.dir + "/" + name
	}
	return c.makeFile(name, ref, f.force, &f.source, &f.writer)
}
