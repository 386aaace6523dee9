package env

import (
	"errors"
	"io/fs"
	"os"
	"path/filepath"
	"reflect"
	"testing"
)

// dirFiles looks into a tree of the host as the planner would into an image.
type dirFiles struct {
	root string
	bad  string // a path of which nothing can be told
}

func (d dirFiles) Mode(name string) (fs.FileMode, error) {
	if name == d.bad {
		return 0, errors.New("who knows")
	}
	fi, err := os.Stat(filepath.Join(d.root, name))
	if err != nil {
		return 0, err
	}
	return fi.Mode(), nil
}

func (d dirFiles) ReadFile(name string, max int64) ([]byte, error) {
	return os.ReadFile(filepath.Join(d.root, name))
}

func (d dirFiles) ReadDir(name string) (names []string, err error) {
	list, err := os.ReadDir(filepath.Join(d.root, name))
	for _, e := range list {
		names = append(names, e.Name())
	}
	return names, err
}

// What can be told early is what the container would say; everything else is left to it.
func TestEarly(t *testing.T) {
	for _, tt := range []struct {
		name   string
		image  tree
		action string
		args   []string
		bad    string
		want   bool
	}{
		{"plain scripts", tree{"bin/ls": "ELF", ".singularity.d/env/90-environment.sh": "export A=\"${A:-b}\"\n"}, Exec, []string{"ls", "-l"}, "", true},
		{"no scripts", tree{"bin/ls": "ELF"}, Exec, []string{"/bin/ls"}, "", true},
		{"runscript", tree{"bin/sh": "ELF", ".singularity.d/runscript": "#!/bin/sh\necho hi\n"}, Run, []string{"x"}, "", true},
		{"a script with conditions", tree{"bin/ls": "ELF", ".singularity.d/labels.json": "{}", ".singularity.d/env/90-environment.sh": "if [ -r /.singularity.d/labels.json ]; then export A=\"$(printf '%s %s' a b)\"; fi\ncase \"$A\" in a*) export B=1;; esac\n"}, Exec, []string{"ls"}, "", true},
		{"a script that sources another", tree{"bin/ls": "ELF", "etc/more": "export M=1\nfor i in 1 2; do M=$M$i; done\n", ".singularity.d/env/90-environment.sh": "if true; then . /etc/more; fi\n"}, Exec, []string{"ls"}, "", true},
		{"a script that prints", tree{"bin/ls": "ELF", ".singularity.d/env/90-environment.sh": "if true; then echo hello; fi\n"}, Exec, []string{"ls"}, "", false},
		{"a script that reads", tree{"bin/ls": "ELF", ".singularity.d/env/90-environment.sh": "if true; then read x || true; fi\n"}, Exec, []string{"ls"}, "", false},
		{"a script that writes a file", tree{"bin/ls": "ELF", ".singularity.d/env/90-environment.sh": "if true; then : >/tmp/coracle-early; fi\n"}, Exec, []string{"ls"}, "", false},
		{"a script that asks for a size", tree{"bin/ls": "ELF", ".singularity.d/env/90-environment.sh": "if [ -s /bin/ls ]; then export A=1; fi\n"}, Exec, []string{"ls"}, "", false},
		{"a script that asks for a terminal", tree{"bin/ls": "ELF", ".singularity.d/env/90-environment.sh": "if [ -t 0 ]; then export A=1; fi\n"}, Exec, []string{"ls"}, "", false},
		{"the same in brackets", tree{"bin/ls": "ELF", ".singularity.d/env/90-environment.sh": "if [[ -t 0 ]]; then export A=1; fi\n"}, Exec, []string{"ls"}, "", false},
		{"a script that looks around", tree{"bin/ls": "ELF", ".singularity.d/env/90-environment.sh": "for f in /bin/*; do export A=$f; done\n"}, Exec, []string{"ls"}, "", false},
		{"a script that runs a command", tree{"bin/ls": "ELF", ".singularity.d/env/90-environment.sh": "export A=$(ls)\n"}, Exec, []string{"ls"}, "", false},
		{"a runscript without its shell", tree{"bin/ls": "ELF", ".singularity.d/runscript": "#!/bin/sh\nexec ls\n"}, Run, nil, "", true},
		{"command not found", tree{"bin/ls": "ELF"}, Exec, []string{"nosuch"}, "", false},
		{"a path that cannot be told", tree{"bin/ls": "ELF"}, Exec, []string{"ls"}, "/usr/bin/ls", false},
	} {
		in := tt.image.inside(t)
		spec, _ := New(Options{Action: tt.action, Args: tt.args, Host: []string{"H=1"}})
		got, ok := spec.Early(dirFiles{in.Root, tt.bad}, "/")
		if ok != tt.want {
			t.Errorf("%s: Early says %v; want %v", tt.name, ok, tt.want)
			continue
		}
		if !ok {
			continue
		}
		want, err := spec.Resolve(in)
		if err != nil || !reflect.DeepEqual(got, want) {
			t.Errorf("%s: Early = %+v; Resolve = %+v, %v", tt.name, got, want, err)
		}
	}
}
