package main

import (
	"errors"
	"reflect"
	"strings"
	"testing"

	"coracle/bind"
)

func TestParseBundle(t *testing.T) {
	for _, tt := range []struct {
		text  string
		args  []string
		binds []bind.Spec
		dirs  []string
		err   error
	}{
		{text: `{"process": {"args": ["sh", "-c", "a  b"], "env": ["A=", "PWD=/w", "HOME=x"]}}`, args: []string{"sh", "-c", "a  b"}, dirs: []string{"/w"}},
		{text: `{"process": {"args": ["x"], "cwd": "/", "env": ["SLURM_SUBMIT_DIR=/s", "HOME=/h"]}, "hooks": {}, "root": {"path": "r"}}`, args: []string{"x"}, dirs: []string{"/s", "/h"}},
		// What Slurm asks for in a batch job: the script, and its standard streams.
		{text: `{"process": {"args": ["/tmp/slurm/startup", "1"]}, "mounts": [
			{"destination": "/tmp/slurm/stdout", "type": "none", "source": "/w/job.out", "options": ["bind"]},
			{"destination": "/tmp/slurm/startup", "type": "none", "source": "/spool/job1/slurm_script", "options": ["bind", "ro"]}]}`,
			args:  []string{"/.slurm/startup", "1"},
			binds: []bind.Spec{{Source: "/spool/job1/slurm_script", Target: "/.slurm/startup", ReadOnly: true, Why: "--oci-config"}}},
		// Sources of a bundle are seen from its directory; what every container has is left out.
		{text: `{"process": {"args": ["x"]}, "mounts": [
			{"destination": "/data/", "source": "data", "options": ["rbind"]},
			{"destination": "/proc", "type": "proc", "source": "proc"},
			{"destination": "/dev/shm", "type": "tmpfs", "source": "shm", "options": ["nosuid"]},
			{"destination": "/sys/fs", "source": "/sys/fs", "options": ["rbind", "ro"]}]}`,
			args: []string{"x"}, binds: []bind.Spec{{Source: "/bundle/data", Target: "/data", Why: "--oci-config"}}},
		{text: `{"process": {"args": ["x"]}, "mounts": [{"destination": "data", "source": "/data", "options": ["bind"]}]}`, args: []string{"x"}, err: errBundle},
		{text: `{"process": {"args": ["x"]}, "mounts": [{"destination": "/a/..", "source": "/data", "options": ["bind"]}]}`, args: []string{"x"}, err: errBundle},
		{text: `{"process": {"args": ["x"]}, "mounts": [{"destination": "/data", "options": ["bind"]}]}`, args: []string{"x"}, err: errBundle},
		{text: `{"process": {"args": []}}`, err: errBundle},
		{text: `{"process": {"args": ["x\u0000"]}}`, err: errBundle},
		{text: `{"process": {"args": ["x"], "env": ["=A"]}}`, err: errBundle},
		{text: `{"process": {"args": ["x"], "env": ["A"]}}`, err: errBundle},
		{text: `{"process": {"args": ["x"], "cwd": "tmp"}}`, err: errBundle},
		{text: `[]`, err: errBundle},
		{text: ``, err: errBundle},
	} {
		var args, dirs []string
		var binds []bind.Spec
		b, err := parseBundle([]byte(tt.text), "/bundle")
		if err == nil {
			args, dirs = b.Process.Args, b.startDirs()
			binds, err = b.binds()
		}
		if !errors.Is(err, tt.err) || !reflect.DeepEqual(args, tt.args) || !reflect.DeepEqual(binds, tt.binds) || !reflect.DeepEqual(dirs, tt.dirs) {
			t.Errorf("parseBundle(%s): %q, %+v, %q, %v; want %q, %+v, %q, %v", tt.text, args, binds, dirs, err, tt.args, tt.binds, tt.dirs, tt.err)
		}
	}
}

func FuzzBundle(f *testing.F) {
	f.Add([]byte(`{"process": {"args": ["/tmp/slurm/startup"], "env": ["A=b"], "cwd": "/"}, "mounts": [{"destination": "/x", "source": "x", "options": ["bind"]}]}`))
	f.Fuzz(func(t *testing.T, text []byte) {
		b, err := parseBundle(text, "/bundle")
		if err != nil {
			return
		}
		list, _ := b.binds()
		for _, s := range list {
			if !strings.HasPrefix(s.Source, "/") || !strings.HasPrefix(s.Target, "/") || s.Target == "/" {
				t.Errorf("%q: a bind of %q on %q", text, s.Source, s.Target)
			}
		}
	})
}
