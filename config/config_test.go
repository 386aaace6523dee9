package config

import (
	"io/fs"
	"reflect"
	"strings"
	"testing"
)

// files reads from a map.
func files(m map[string]string) func(string) ([]byte, error) {
	return func(name string) ([]byte, error) {
		if m[name] == "forbidden" {
			return nil, &fs.PathError{Op: "open", Path: name, Err: fs.ErrPermission}
		}
		if s, ok := m[name]; ok {
			return []byte(s), nil
		}
		return nil, &fs.PathError{Op: "open", Path: name, Err: fs.ErrNotExist}
	}
}

func env(key string) string { return map[string]string{"USER": "ada", "HOME": "/home/ada"}[key] }

const user = "/home/ada/.config/coracle/coracle.toml"

func TestLoad(t *testing.T) {
	for _, tt := range []struct {
		name  string
		files map[string]string
		want  Config
		err   string
	}{
		{name: "none"},
		{name: "both", files: map[string]string{
			SiteFile: "bind = [\"/scratch\", '/cvmfs:/cvmfs:ro']\ncache_dir = \"/scratch/$USER/c\"\ngpu = \"nv\"\nimage_owners = [\"root\"]\n",
			user:     "bind = ['/data']\ngpu = 'none'\nscratch_dir = '/local/${SLURM_JOB_ID}'\n", // no such variable: does not count
		}, want: Config{
			Bind:        []Value{{"/scratch", SiteFile}, {"/cvmfs:/cvmfs:ro", SiteFile}, {"/data", user}},
			CacheDir:    Value{"/scratch/ada/c", SiteFile},
			GPU:         Value{"none", user},
			ImageOwners: []Value{{"root", SiteFile}},
		}},
		{name: "Apptainer's", files: map[string]string{
			apptainerFile: "# bind path = /no\nbind path = /etc/localtime\nbind path = /gpfs\nmount home = no\nmount tmp = yes\nmount hostfs = no\nmax loop devices = 256\n",
		}, want: Config{Bind: []Value{{"/gpfs", apptainerFile}}, NoMount: []Value{{"home", apptainerFile}}}},
		{name: "ours in place of Apptainer's", files: map[string]string{apptainerFile: "bind path = /gpfs\n", SiteFile: ""}},
		{name: "a home of somebody else's", files: map[string]string{user: "forbidden"}},
		{name: "a site's file that cannot be read", files: map[string]string{SiteFile: "forbidden"}, err: "coracle.toml: permission denied"},
		{name: "a rule with a variable that is not set forbids all the more", files: map[string]string{
			SiteFile: "image_paths = ['/apps/$NOBODY']\nimage_owners = ['$NOBODY']\nbind = ['/apps/$NOBODY']\n",
		}, want: Config{ImagePaths: []Value{{"/apps/$NOBODY", SiteFile}}, ImageOwners: []Value{{"$NOBODY", SiteFile}}}},
		{name: "what a flag may not say", files: map[string]string{SiteFile: "forbid = ['--bind']\n", user: "bind = ['/x']\n"},
			err: "coracle.toml: bind: --bind is not allowed here (" + SiteFile + ")"},
		{name: "nor by another name", files: map[string]string{SiteFile: "forbid = ['mount']\n", user: "bind = ['/x']\n"}, err: "coracle.toml: bind: --mount is not"},
		{name: "driver", files: map[string]string{SiteFile: "forbid = ['nv']\n", user: "gpu = 'rocm,nv'\n"}, err: "coracle.toml: gpu: --nv is not"},
		{name: "no driver", files: map[string]string{SiteFile: "forbid = ['nv']\ngpu = 'nv'\n", user: "gpu = 'none'\n"},
			want: Config{Forbid: []Value{{"nv", SiteFile}}, GPU: Value{"none", user}}},
		{name: "size", files: map[string]string{SiteFile: "forbid = ['writable-tmpfs']\n", user: "session_size = '1G'\n"}, err: "coracle.toml: session_size: --writable-tmpfs"},
		{name: "unknown key", files: map[string]string{SiteFile: "binds = []\n"}, err: `coracle.toml: unknown key "binds"; the keys are bind `},
		{name: "no TOML", files: map[string]string{SiteFile: "\nbind = [\n\n"}, err: "coracle.toml: line "},
		{name: "wrong kind", files: map[string]string{SiteFile: "bind = 3\n"}, err: "coracle.toml: "},
		{name: "relative", files: map[string]string{SiteFile: "cache_dir = 'x'\n"}, err: "no absolute path"},
		{name: "gpu", files: map[string]string{SiteFile: "gpu = 'intel'\n"}, err: "want nv, rocm or none"},
		{name: "a user's allow-list", files: map[string]string{user: "image_paths = ['/']\n"}, err: "for the site's file"},
	} {
		got, err := Load(user, env, files(tt.files))
		switch {
		case tt.err != "":
			if err == nil || !strings.Contains(err.Error(), tt.err) {
				t.Errorf("%s: %v, want %q", tt.name, err, tt.err)
			}
		case err != nil || !reflect.DeepEqual(got, tt.want):
			t.Errorf("%s: %+v, %v; want %+v", tt.name, got, err, tt.want)
		}
	}
}

func FuzzLoad(f *testing.F) {
	f.Add("bind = ['/x']\n", "bind path = /y\n")
	f.Fuzz(func(_ *testing.T, a, b string) {
		Load(user, env, files(map[string]string{user: a, apptainerFile: b}))
	})
}

func TestForbids(t *testing.T) {
	c := Config{Forbid: []Value{{"bind", SiteFile}, {"--nvccli", SiteFile}}}
	for flag, want := range map[string]bool{"bind": true, "mount": true, "nvccli": true, "nv": false, "home": false, "": false} {
		if _, got := c.Forbids(flag); got != want {
			t.Errorf("Forbids(%q) = %v, want %v", flag, got, want)
		}
	}
}
