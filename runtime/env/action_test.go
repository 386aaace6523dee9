package env

import (
	"errors"
	"fmt"
	"os"
	"reflect"
	"strings"
	"testing"

	"golang.org/x/sys/unix"
)

// ociScript is a runscript as Apptainer writes it for an OCI image, in the form before
// and after --no-eval came.
func ociScript(entrypoint, cmd string, exact ...string) string {
	text := "#!/bin/sh\nOCI_ENTRYPOINT='" + entrypoint + "'\nOCI_CMD='" + cmd + "'\n"
	if exact != nil {
		text += "if [ -n \"$SINGULARITY_NO_EVAL\" ]; then\n"
		if cmd != "" {
			text += "    if [ $# -eq 0 ]; then\n        set -- " + exact[1] + "\n    fi\n"
		}
		text += "    set -- " + exact[0] + " \"$@\"\n    exec \"$@\"\nfi\n"
	}
	return text + `CMDLINE_ARGS=""
for arg in "$@"; do
    CMDLINE_ARGS="${CMDLINE_ARGS} \"$arg\""
done
if [ $# -gt 0 ]; then
    SINGULARITY_OCI_RUN="${OCI_ENTRYPOINT} ${CMDLINE_ARGS}"
else
    SINGULARITY_OCI_RUN="${OCI_ENTRYPOINT} ${OCI_CMD}"
fi
eval "set ${SINGULARITY_OCI_RUN}"
exec "$@"
`
}

func TestActions(t *testing.T) {
	runscript := func(text string) tree { return built.with(tree{".singularity.d/runscript": text}) }
	hard := []string{"-c", "", "a b", "new\nline", "$HOME", `back\slash`, `q"'`, "\xff\xfe", "*", "--", "-e"}
	noSh := tree{"bin/true": "ELF", "bin/echo": "ELF"}
	for _, tt := range []struct {
		name   string
		image  tree
		change func(o *Options)
		path   string
		argv   []string
		err    error
		text   string // part of the error
	}{
		{"exec by name", plain, func(o *Options) { o.Args = []string{"true", "x"} }, "/bin/true", []string{"true", "x"}, nil, ""},
		{"exec by path", plain, func(o *Options) { o.Args = []string{"/bin/true"} }, "/bin/true", []string{"/bin/true"}, nil, ""},
		{"exec by relative path", plain, func(o *Options) { o.Args = []string{"bin/true"} }, "bin/true", []string{"bin/true"}, nil, ""},
		{"exec keeps every byte", plain, func(o *Options) { o.Args = append([]string{"true"}, hard...) }, "/bin/true", append([]string{"true"}, hard...), nil, ""},
		{"exec of nothing", plain, func(o *Options) { o.Args = nil }, "", nil, ErrEmpty, "no command"},
		{"exec of the empty name", plain, func(o *Options) { o.Args = []string{""} }, "", nil, ErrEmpty, "no command"},
		{"exec in the user's PATH", plain.with(tree{"opt/x": "ELF"}), func(o *Options) { o.Args = []string{"x"}; o.SetEnv = []string{"PATH=/opt"} }, "/opt/x", []string{"x"}, nil, ""},
		{"exec in the image's PATH", built.with(tree{"opt/x": "ELF", ".singularity.d/env/90-environment.sh": "PATH=$PATH:/opt\n"}), func(o *Options) { o.Args = []string{"x"} }, "/opt/x", []string{"x"}, nil, ""},
		{"exec of what is missing, no shell", noSh, func(o *Options) { o.Args = []string{"false"} }, "", nil, ErrNotFound, `"false": executable file not found in $PATH`},
		{"exec of a missing path", plain, func(o *Options) { o.Args = []string{"/no/such"} }, "", nil, ErrNoFile, `"/no/such": no such file`},
		{"exec through a file", plain, func(o *Options) { o.Args = []string{"/bin/true/x"} }, "", nil, ErrNoFile, "no such file"},
		{"exec of a directory", plain, func(o *Options) { o.Args = []string{"/bin"} }, "", nil, ErrDirectory, `"/bin": it is a directory`},
		{"exec of a plain file", plain.with(tree{"bin/data": "x"}), func(o *Options) { o.Args = []string{"data"} }, "", nil, ErrNotExecutable, "/bin/data"},
		{"a directory in PATH is passed over", plain.with(tree{"usr/bin/true/": ""}), func(o *Options) { o.Args = []string{"true"} }, "/bin/true", []string{"true"}, nil, ""},
		{"an executable later in PATH wins over a plain file", plain.with(tree{"usr/bin/true": "x"}), func(o *Options) { o.Args = []string{"true"} }, "/bin/true", []string{"true"}, nil, ""},
		{"a script whose interpreter is missing", plain.with(tree{"bin/s": "#!/usr/bin/python3 -u\n"}), func(o *Options) { o.Args = []string{"s"} }, "", nil, ErrInterpreter, `"s": its interpreter is not in the image (/usr/bin/python3)`},
		{"a script with carriage returns", plain.with(tree{"bin/s": "#!/bin/sh\r\ntrue\r\n"}), func(o *Options) { o.Args = []string{"s"} }, "", nil, ErrInterpreter, `($'/bin/sh\x0d')`},
		{"a user's shell script without a shell", noSh.with(tree{"s": "#!/bin/sh\ntrue\n"}), func(o *Options) { o.Args = []string{"/s"} }, "", nil, ErrInterpreter, "/bin/sh"},

		{"run", built, func(o *Options) { o.Action = Run; o.Args = hard }, "/.singularity.d/runscript", append([]string{"/.singularity.d/runscript"}, hard...), nil, ""},
		{"run of a legacy image", plain.with(tree{"singularity": "#!/bin/sh\n"}), func(o *Options) { o.Action = Run; o.Args = nil }, "/singularity", []string{"/singularity"}, nil, ""},
		{"run without a runscript", plain, func(o *Options) { o.Action = Run; o.Args = []string{"-c", "x"} }, "/bin/sh", []string{"/bin/sh", "-c", "x"}, nil, ""},
		{"run without anything", noSh, func(o *Options) { o.Action = Run }, "", nil, ErrNoRunscript, "neither"},
		{"run, no shell", noSh.with(tree{".singularity.d/runscript": "#!/bin/sh\nif [ -n \"$1\" ]; then exec echo got \"$@\"; fi\n"}), func(o *Options) { o.Action = Run; o.Args = hard }, "/bin/echo", append([]string{"echo", "got"}, hard...), nil, ""},
		{"run, no bash", plain.with(tree{".singularity.d/runscript": "#!/usr/bin/env bash\nexec echo\n", "usr/bin/env": "ELF"}), func(o *Options) { o.Action = Run; o.Args = nil }, "/.singularity.d/runscript", []string{"/.singularity.d/runscript"}, nil, ""},
		{"run, no python", plain.with(tree{".singularity.d/runscript": "#!/usr/bin/python3\n"}), func(o *Options) { o.Action = Run }, "", nil, ErrInterpreter, "python3"},
		{"run --app", built.with(tree{"scif/apps/t/scif/runscript": "#!/bin/sh\n"}), func(o *Options) { o.Action = Run; o.App = "t"; o.Args = []string{"a"} }, "/scif/apps/t/scif/runscript", []string{"/scif/apps/t/scif/runscript", "a"}, nil, ""},
		{"run --app, none there", plain, func(o *Options) { o.Action = Run; o.App = "t" }, "", nil, ErrNoApp, "t"},
		{"run --app cannot climb", plain, func(o *Options) { o.Action = Run; o.App = "../../.." }, "", nil, ErrNoApp, "/scif/apps/scif/runscript"},

		{"OCI: entrypoint and cmd", runscript(ociScript(`"echo" "e f"`, `"c d" "\$X"`)), func(o *Options) { o.Action = Run; o.Args = nil }, "/bin/echo", []string{"echo", "e f", "c d", "$X"}, nil, ""},
		{"OCI: arguments replace cmd", runscript(ociScript(`"echo"`, `"c"`)), func(o *Options) { o.Action = Run; o.Args = hard }, "/bin/echo", append([]string{"echo"}, hard...), nil, ""},
		{"OCI: only cmd", runscript(ociScript(``, `"echo" "c"`)), func(o *Options) { o.Action = Run; o.Args = nil }, "/bin/echo", []string{"echo", "c"}, nil, ""},
		{"OCI: only cmd, arguments", runscript(ociScript(``, `"sh"`)), func(o *Options) { o.Action = Run; o.Args = []string{"echo", "-c"} }, "/bin/echo", []string{"echo", "-c"}, nil, ""},
		{"OCI: a dash first", runscript(ociScript(``, `"sh"`)), func(o *Options) { o.Action = Run; o.Args = []string{"-c", "x"} }, "", nil, ErrNotFound, `"-c"`},
		{"OCI: nothing at all", runscript(ociScript(``, ``)), func(o *Options) { o.Action = Run; o.Args = nil }, "", nil, ErrEmpty, "neither an entrypoint"},
		{"OCI: with the exact branch", runscript(ociScript(`"echo"`, `"\$HOME"`, `'echo'`, `'$HOME' 'a"b'`)), func(o *Options) { o.Action = Run; o.Args = nil }, "/bin/echo", []string{"echo", "$HOME", `a"b`}, nil, ""},
		{"OCI: exact branch, arguments", runscript(ociScript(`"echo"`, `"c"`, `'echo'`, `'c'`)), func(o *Options) { o.Action = Run; o.Args = hard }, "/bin/echo", append([]string{"echo"}, hard...), nil, ""},
		{"OCI: no shell in the image", noSh.with(tree{".singularity.d/runscript": ociScript(`"echo"`, `"c"`)}), func(o *Options) { o.Action = Run; o.Args = nil }, "/bin/echo", []string{"echo", "c"}, nil, ""},

		{"shell: bash", plain.with(tree{"bin/bash": "ELF"}), func(o *Options) { o.Action = Shell; o.Args = nil }, "/bin/bash", []string{"/bin/bash", "--norc"}, nil, ""},
		{"shell: sh", plain, func(o *Options) { o.Action = Shell; o.Args = []string{"ignored"} }, "/bin/sh", []string{"/bin/sh"}, nil, ""},
		{"shell: asked for", plain.with(tree{"bin/zsh": "ELF"}), func(o *Options) { o.Action = Shell; o.Shell = "/bin/zsh"; o.Args = nil }, "/bin/zsh", []string{"/bin/zsh"}, nil, ""},
		{"shell: asked for, missing", plain, func(o *Options) { o.Action = Shell; o.Shell = "/bin/zsh" }, "", nil, ErrNoFile, "/bin/zsh"},
		{"shell: none", noSh, func(o *Options) { o.Action = Shell }, "", nil, ErrNoShell, "/bin/sh doesn't exist in container"},

		{"test", built, func(o *Options) { o.Action = Test; o.Args = []string{"a"} }, "/.singularity.d/test", []string{"/.singularity.d/test", "a"}, nil, ""},
		{"start", built, func(o *Options) { o.Action = Start; o.Args = nil }, "/.singularity.d/startscript", []string{"/.singularity.d/startscript"}, nil, ""},
		{"scripts that start one another", noSh.with(tree{".singularity.d/runscript": "#!/bin/sh\nexec \"$0\"\n"}), func(o *Options) { o.Action = Run }, "", nil, nil, "not in the image"},
		{"an env script that execs", built.with(tree{".singularity.d/env/20-x.sh": "(exec true)\nexec echo \"$@\"\n"}), func(o *Options) { o.Args = []string{"a b"} }, "/bin/echo", []string{"echo", "a b"}, nil, ""},
	} {
		image := tt.image
		if _, ok := image["bin/sh"]; ok {
			image = image.with(tree{"bin/echo": "ELF"})
		}
		cmd, err := resolve(t, execTrue(tt.change), image.inside(t))
		if (err != nil) != (tt.err != nil || tt.text != "") || (tt.err != nil && !errors.Is(err, tt.err)) || (err != nil && !strings.Contains(err.Error(), tt.text)) {
			t.Errorf("%s: error %v; want %v with %q", tt.name, err, tt.err, tt.text)
			continue
		}
		if err == nil && (cmd.Path != tt.path || !reflect.DeepEqual(cmd.Argv, tt.argv)) {
			t.Errorf("%s: %s %q; want %s %q", tt.name, cmd.Path, cmd.Argv, tt.path, tt.argv)
		}
	}
}

func TestExits(t *testing.T) {
	noSh := tree{"bin/true": "ELF"}
	for _, tt := range []struct {
		name   string
		image  tree
		action string
		want   Exit
	}{
		{"no tests", plain, Test, Exit{0, "No test script found in container"}},
		{"no start script", plain, Start, Exit{0, "the image has no start script"}},
		{"an env script exits", plain.with(tree{".singularity.d/env/10-x.sh": "exit 3\n"}), Exec, Exit{3, "/.singularity.d/env/10-x.sh ended the launch with status 3"}},
		{"an env script exits with success", plain.with(tree{".singularity.d/env/10-x.sh": "exit\n"}), Exec, Exit{0, "/.singularity.d/env/10-x.sh ended the launch with status 0"}},
		{"a test without a shell", noSh.with(tree{".singularity.d/test": "#!/bin/sh\n[ 1 = 2 ]\n"}), Test, Exit{1, ""}},
		{"a test without a shell, exit", noSh.with(tree{".singularity.d/test": "#!/bin/sh\nexit 7\n"}), Test, Exit{7, ""}},
		{"a runscript that runs nothing", noSh.with(tree{".singularity.d/runscript": "#!/bin/sh\n:\n"}), Run, Exit{0, ""}},
	} {
		o := execTrue(func(o *Options) { o.Action = tt.action })
		cmd, err := resolve(t, o, tt.image.inside(t))
		var exit *Exit
		if !errors.As(err, &exit) || *exit != tt.want {
			t.Errorf("%s: %+v, %v; want %+v", tt.name, cmd, err, tt.want)
		}
	}
}

func TestScriptWithoutShell(t *testing.T) {
	in := tree{"bin/env": "ELF", ".singularity.d/runscript": "#!/bin/sh\nexport ADDED=$1 GONE=1\nunset GONE HOME\numask 027\nexec env\n"}.inside(t)
	cmd, err := resolve(t, execTrue(func(o *Options) { o.Action = Run; o.Args = []string{"x y"}; o.SetEnv = []string{"a.b=1"} }), in)
	if err != nil || cmd.Path != "/bin/env" || cmd.Umask != 0o027 {
		t.Fatalf("Resolve = %+v, %v; want /bin/env with umask 027", cmd, err)
	}
	for name, want := range map[string]string{"ADDED": "x y", "GONE": unset, "HOME": unset, "a.b": "1", "PWD": "/"} {
		got, ok := lookup(cmd.Env, name)
		if !ok {
			got = unset
		}
		if got != want {
			t.Errorf("%s = %q; want %q", name, got, want)
		}
	}
}

// Commands of env scripts run inside; their output and the mask they set count.
func TestScriptCommands(t *testing.T) {
	out, err := os.CreateTemp(t.TempDir(), "out")
	if err != nil {
		t.Fatal(err)
	}
	dir := t.TempDir()
	// The process's own root is the container here: the script runs this machine's programs.
	in := Inside{Dir: dir, Stdout: out, Stderr: out}
	s, _ := New(execTrue(nil))
	sh := newShell(in, newEnviron(s.Own, true), nil)
	text := "export PATH=/usr/bin:/bin\nexport A=$(env | grep ^HOME=)\nenv pwd\n(umask; umask 077; umask)\nno-such-command\n[ $? = 127 ] && export B=127\nsh -c 'kill -9 $$'\nexport C=$?\nsh -c 'exit 5' || export D=$?\n"
	if err := sh.source("test", []byte(text)); err != nil {
		t.Fatal(err)
	}
	got := sh.exported()
	for name, want := range map[string]string{"A": "HOME=/home/ada", "B": "127", "C": "137", "D": "5"} {
		if got[name] != want {
			t.Errorf("%s = %q; want %q", name, got[name], want)
		}
	}
	data, err := os.ReadFile(out.Name())
	if err != nil {
		t.Fatal(err)
	}
	mask := unix.Umask(0)
	unix.Umask(mask)
	if !strings.HasPrefix(string(data), fmt.Sprintf("%s\n%04o\n0077\n", dir, mask)) || !strings.Contains(string(data), "no-such-command") {
		t.Errorf("output %q; want the working directory, two masks and a message", data)
	}
	if mask := sh.umask.Load(); mask != 0o077 {
		t.Errorf("umask %o; want 077", mask)
	}
}
