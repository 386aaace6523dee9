package main

// cacheFlags are the flags of the parts of cache.
type cacheFlags struct {
	json, dryRun, force bool
	kinds, days, into   string
	source              sourceFlags
}

func cacheCommand() command {
	return command{
		name: "cache", args: "list | clean [NAME…] | path SOURCE", short: "show, clean or use what has been fetched", group: "Images",
		about: "list shows the images and blobs that are kept; clean removes them, all or those of some sources; path\n" +
			"prints where the image file of a source is, and makes it when it is not there.",
		examples: []string{
			`cache list`,
			`cache clean --days 30 --dry-run`,
			`cache path docker://debian:12`,
		},
		min: 1, max: -1,
		build: func() ([]flag, action) {
			f := &cacheFlags{}
			none := []string{}
			t := []flag{
				{name: "type", short: 'T', arg: "TYPE", str: &f.kinds, keys: none, group: "Which", help: "image, blob or layer"},
				{name: "days", short: 'D', arg: "N", str: &f.days, keys: none, help: "not used for N days"},
				{name: "dry-run", short: 'n', on: &f.dryRun, keys: none, group: "Output", help: "say what clean would remove"},
				{name: "json", short: 'j', on: &f.json, keys: none, help: "list as JSON"},
				{name: "force", short: 'f', on: &f.force, keys: none, hidden: true},
				{name: "into", arg: "FD", str: &f.into, keys: none, hidden: true}, // a launch without the cache
			}
			return append(t, f.source.table(true)...), f.run
		},
	}
}

func (f *cacheFlags) run(c *cli, args []string) error {
	switch what := args[0]; {
	case what == "list" && len(args) == 1:
		return c.listCache(f)
	case what == "clean":
		return c.cleanCache(f, args[1:])
	case what == "path" && len(args) == 2:
		return c.printCached(args[1], f)
	case what == "list", what == "path":
		return usageErrorf("cache %s: wrong number of arguments", what)
	default:
		return usageErrorf("cache: %q is none of list, clean, path", what)
	}
}
