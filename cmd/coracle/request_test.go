package main

import (
	"errors"
	"os"
	"reflect"
	"strings"
	"testing"

	"coracle/bind"
	"coracle/runtime"
)

// resolveLine parses the command line of an action as run does, without the world around it.
func resolveLine(args, env []string) (runtime.Request, []string, error) {
	var g globalFlags
	global := g.table()
	rest, err := parse(global, args, true)
	if err != nil {
		return runtime.Request{}, nil, explainFlag(err, "", global)
	}
	if err := fromEnvironment(global, env); err != nil {
		return runtime.Request{}, nil, err
	}
	act := runtime.Action(rest[0])
	a := &actionFlags{}
	flags := a.table(act == runtime.Shell)
	rest, err = parse(flags, rest[1:], true)
	if err != nil {
		return runtime.Request{}, nil, explainFlag(err, string(act), flags)
	}
	if err := fromEnvironment(flags, env); err != nil {
		return runtime.Request{}, nil, err
	}
	s := situation{
		program: "apptainer", action: act, cwd: "/job", env: env, global: g,
		exists:   func(string) bool { return false },
		readFile: os.ReadFile,
	}
	return a.request(s, rest)
}

func spec(src, dst string, ro bool, why string) bind.Spec {
	return bind.Spec{Source: src, Target: dst, ReadOnly: ro, Why: why}
}

// A callerTest is a command line as somebody's program builds it.
type callerTest struct {
	caller string
	args   []string
	want   runtime.Request
}

func checkCallers(t *testing.T, tests []callerTest) {
	t.Helper()
	for _, tt := range tests {
		tt.want.Program, tt.want.Cwd = "apptainer", "/job"
		got, warnings, err := resolveLine(tt.args, nil)
		if err != nil || len(warnings) > 0 || !reflect.DeepEqual(got, tt.want) {
			t.Errorf("%s: %q\n got %+v, %v, %v\nwant %+v", tt.caller, tt.args, got, warnings, err, tt.want)
		}
	}
}

func TestBatchSystems(t *testing.T) {
	checkCallers(t, []callerTest{
		{
			caller: "HTCondor",
			args: []string{"-s", "exec", "-S", "/scratch1", "-S", "/scratch2", "-B", "/var/lib/condor/dir", "-W", "/var/lib/condor/dir", "--pwd", "/srv",
				"-B", "/slot:/target", "--home", "/srv", "-C", "image.sif", "./cond_exec.exe", "-x", "a b"},
			want: runtime.Request{
				Action: runtime.Exec, Image: "image.sif", Args: []string{"./cond_exec.exe", "-x", "a b"},
				Binds: []bind.Spec{spec("/var/lib/condor/dir", "/var/lib/condor/dir", false, "--bind"), spec("/slot", "/target", false, "--bind")},
				Home:  spec("/srv", "/srv", false, "--home"), Workdir: "/var/lib/condor/dir", Pwd: "/srv", Scratch: []string{"/scratch1", "/scratch2"},
				Contain: true, PID: true, IPC: true, CleanEnv: true, Quiet: true,
			},
		},
		{
			caller: "HTCondor, before each job",
			args:   []string{"-q", "test", "--contain", "--ipc", "--cleanenv", "image.sif"},
			want:   runtime.Request{Action: runtime.Test, Image: "image.sif", Args: []string{}, Contain: true, IPC: true, CleanEnv: true},
		},
		{
			caller: "HTCondor's probe",
			args:   []string{"exec", "-C", "sandbox", "/exit_37"},
			want: runtime.Request{Action: runtime.Exec, Image: "sandbox", Args: []string{"/exit_37"},
				Contain: true, PID: true, IPC: true, CleanEnv: true},
		},
		{
			caller: "GlideinWMS",
			args: []string{"exec", "--home", "/job:/srv", "--pwd", "/srv", "--ipc", "--contain", "--pid", "--bind", "/cvmfs,/hadoop:/hadoop:ro",
				"/cvmfs/img", "cat", "/proc/self/uid_map"},
			want: runtime.Request{
				Action: runtime.Exec, Image: "/cvmfs/img", Args: []string{"cat", "/proc/self/uid_map"},
				Home: spec("/job", "/srv", false, "--home"), Pwd: "/srv", IPC: true, Contain: true, PID: true,
				Binds: []bind.Spec{spec("/cvmfs", "/cvmfs", false, "--bind"), spec("/hadoop", "/hadoop", true, "--bind")},
			},
		},
		{
			caller: "Slurm's oci.conf",
			args:   []string{"exec", "--userns", "bundle/rootfs", "job.sh"},
			want:   runtime.Request{Action: runtime.Exec, Image: "bundle/rootfs", Args: []string{"job.sh"}},
		},
		{
			caller: "DIRAC",
			args:   []string{"exec", "--contain", "--ipc", "--workdir", "wd", "--home", "/tmp", "--userns", "--bind", "/cvmfs", "--bind", "/dev/fuse", "img", "sh"},
			want: runtime.Request{
				Action: runtime.Exec, Image: "img", Args: []string{"sh"}, Contain: true, IPC: true, Workdir: "/job/wd", Home: spec("/tmp", "/tmp", false, "--home"),
				Binds: []bind.Spec{spec("/cvmfs", "/cvmfs", false, "--bind"), spec("/dev/fuse", "/dev/fuse", false, "--bind")},
			},
		},
		{
			caller: "ATLAS pilot",
			args:   []string{"exec", "-c", "-i", "img", "true"},
			want:   runtime.Request{Action: runtime.Exec, Image: "img", Args: []string{"true"}, Contain: true, IPC: true},
		},
		{
			caller: "ReFrame",
			args:   []string{"exec", `-B/a:/b`, "img", "true"},
			want: runtime.Request{Action: runtime.Exec, Image: "img", Args: []string{"true"},
				Binds: []bind.Spec{spec("/a", "/b", false, "--bind")}},
		},
	})
}

func TestWorkflowEngines(t *testing.T) {
	checkCallers(t, []callerTest{
		{
			caller: "Nextflow",
			args:   []string{"exec", "--no-home", "--pid", "-B", "/work", "-B", "/ref:/ref:ro", "img.sif", "/bin/bash", "-c", "cd $PWD; /bin/bash -ue .command.sh"},
			want: runtime.Request{
				Action: runtime.Exec, Image: "img.sif", Args: []string{"/bin/bash", "-c", "cd $PWD; /bin/bash -ue .command.sh"}, NoHome: true, PID: true,
				Binds: []bind.Spec{spec("/work", "/work", false, "--bind"), spec("/ref", "/ref", true, "--bind")},
			},
		},
		{
			caller: "cwltool",
			args: []string{"--quiet", "run", "--contain", "--ipc", "--cleanenv", "--no-eval", "--userns", "--home", "/tmp/x:/var/spool/cwl",
				"--mount=type=bind,source=/in,target=/var/lib/cwl/in,readonly", "--pwd", "/var/spool/cwl", "--net", "--network", "none", "img.sif", "cat", "x"},
			want: runtime.Request{
				Action: runtime.Run, Image: "img.sif", Args: []string{"cat", "x"}, Contain: true, IPC: true, CleanEnv: true, NoEval: true,
				Home: spec("/tmp/x", "/var/spool/cwl", false, "--home"), Pwd: "/var/spool/cwl", Net: true, Network: "none",
				Binds: []bind.Spec{spec("/in", "/var/lib/cwl/in", true, "--mount")},
			},
		},
		{
			caller: "Galaxy",
			args:   []string{"-s", "exec", "--contain", "--pwd", "/job", "--cleanenv", "--ipc", "--pid", "--no-mount", "tmp", "-B", "/job:/job,/tool:/tool:ro", "--home", "/h:/h", "img", "sh", "t.sh"},
			want: runtime.Request{
				Action: runtime.Exec, Image: "img", Args: []string{"sh", "t.sh"}, Contain: true, Pwd: "/job", CleanEnv: true, IPC: true, PID: true, Quiet: true,
				NoMount: []string{"tmp"}, Home: spec("/h", "/h", false, "--home"),
				Binds: []bind.Spec{spec("/job", "/job", false, "--bind"), spec("/tool", "/tool", true, "--bind")},
			},
		},
		{
			caller: "Snakemake",
			args:   []string{"--quiet", "--silent", "exec", "--home", "/wd", "--bind", "/wd/lib:/mnt/snakemake", "x.simg", "sh", "-c", "set -e; tool"},
			want: runtime.Request{
				Action: runtime.Exec, Image: "x.simg", Args: []string{"sh", "-c", "set -e; tool"}, Quiet: true, Home: spec("/wd", "/wd", false, "--home"),
				Binds: []bind.Spec{spec("/wd/lib", "/mnt/snakemake", false, "--bind")},
			},
		},
	})
}

// What flags and environment keys do to single fields.
func TestRequest(t *testing.T) {
	for _, tt := range []struct {
		line string // split at blanks
		env  []string
		get  func(r runtime.Request) any
		want any
	}{
		{line: "exec img -- cmd -- x", get: args, want: []string{"cmd", "--", "x"}},
		{line: "run img -- x", get: args, want: []string{"--", "x"}}, // a runscript sees it
		{line: "exec -- img cmd", get: args, want: []string{"cmd"}},
		{line: "run img --help -B /x", get: args, want: []string{"--help", "-B", "/x"}},
		{line: "exec -c=false img x", env: []string{"APPTAINER_CONTAIN=1"}, get: contain, want: false},
		{line: "exec -ce img x", get: contain, want: true},
		{line: "exec img x", env: []string{"SINGULARITY_CONTAIN=true"}, get: contain, want: true},
		{line: "exec img x", env: []string{"SINGULARITY_CONTAIN=1", "APPTAINER_CONTAIN=0"}, get: contain, want: false},
		{line: "exec img x", env: []string{"APPTAINER_CONTAIN=0", "CORACLE_CONTAIN=yes"}, get: contain, want: true},
		{line: "exec img x", env: []string{"APPTAINER_CONTAIN="}, get: contain, want: false}, // empty counts as unset
		{line: "exec img x", env: []string{"APPTAINER_CONTAIN= ", "SINGULARITY_CONTAIN=1"}, get: contain, want: true},
		{line: "exec --compat img x", get: func(r runtime.Request) any {
			return []bool{r.Contain, r.PID, r.IPC, r.CleanEnv, r.NoInit, r.NoUmask, r.NoEval, r.Compat}
		}, want: []bool{true, true, true, true, true, true, true, true}},
		{line: "exec -C --no-pid img x", get: func(r runtime.Request) any { return r.PID }, want: false},
		{line: "exec --hostname h img x", get: func(r runtime.Request) any { return r.UTS }, want: true},
		{line: "exec --network none img x", get: func(r runtime.Request) any { return r.Net }, want: true},
		{line: "exec img x", env: []string{"APPTAINER_UNSHARE_PID=1"}, get: func(r runtime.Request) any { return r.PID }, want: true},
		{line: "exec img x", env: []string{"SINGULARITY_NOSHIMINIT=1"}, get: func(r runtime.Request) any { return r.NoInit }, want: true},
		{line: "exec --cwd /a --pwd /b img x", get: pwd, want: "/a"},
		{line: "exec img x", env: []string{"SINGULARITY_PWD=/c"}, get: pwd, want: "/c"},
		{line: "exec img x", env: []string{"APPTAINER_TARGET_CWD=/d"}, get: pwd, want: "/d"},
		{line: "exec -B /a img x", env: []string{"APPTAINER_BIND=/b:/c", "SINGULARITY_BIND=/never", "SINGULARITY_BINDPATH=/d:/e:ro"}, get: targets,
			want: []string{"/a", "/c", "/e"}}, // the environment comes on top
		{line: "exec -B data:/d img x", get: func(r runtime.Request) any { return r.Binds[0].Source }, want: "/job/data"},
		{line: "exec -S /a img x", env: []string{"APPTAINER_SCRATCHDIR=/b"}, get: scratch, want: []string{"/a"}},
		{line: "exec img x", env: []string{"APPTAINER_SCRATCH=/a, /b"}, get: scratch, want: []string{"/a", "/b"}},
		{line: "exec --no-mount home,tmp img x", get: noMount, want: []string{"home", "tmp"}},
		{line: "exec --env A=1,2 img x", get: setEnv, want: []string{"A=1,2"}},
		{line: "exec --env A=1,B=2 --env C=3 img x", get: setEnv, want: []string{"A=1", "B=2", "C=3"}},
		{line: "exec --env A=1,2,B=3 img x", get: setEnv, want: []string{"A=1,2", "B=3"}},
		{line: `exec --env "A=1,2",B=3 img x`, get: setEnv, want: []string{"A=1,2", "B=3"}},
		{line: "exec --env A=b=c img x", get: setEnv, want: []string{"A=b=c"}},
		{line: "exec --env A= img x", get: setEnv, want: []string{"A="}},
		{line: "exec --no-env A,B --no-env C img x", get: func(r runtime.Request) any { return r.NoEnv }, want: []string{"A", "B", "C"}},
		{line: "shell -s /bin/zsh img", get: func(r runtime.Request) any { return r.ShellBin }, want: "/bin/zsh"},
		{line: "shell img", env: []string{"APPTAINER_SHELL=/bin/fish"}, get: func(r runtime.Request) any { return r.ShellBin }, want: "/bin/fish"},
		{line: "exec img x", env: []string{"SINGULARITY_APPNAME=foo"}, get: func(r runtime.Request) any { return r.App }, want: "foo"},
		{line: "-vvv exec img x", get: func(r runtime.Request) any { return r.Verbose }, want: 3},
		{line: "-d exec img x", get: func(r runtime.Request) any { return r.Verbose }, want: 3},
		{line: "exec img x", env: []string{"APPTAINER_SILENT=1"}, get: func(r runtime.Request) any { return r.Quiet }, want: true},
		{line: "exec --no-privs --sharens -u img x", get: args, want: []string{"x"}},
	} {
		got, _, err := resolveLine(strings.Fields(tt.line), tt.env)
		if err != nil {
			t.Errorf("%s with %q: %v", tt.line, tt.env, err)
			continue
		}
		if g := tt.get(got); !reflect.DeepEqual(g, tt.want) {
			t.Errorf("%s with %q: %v, want %v", tt.line, tt.env, g, tt.want)
		}
	}
}

func args(r runtime.Request) any    { return r.Args }
func contain(r runtime.Request) any { return r.Contain }
func pwd(r runtime.Request) any     { return r.Pwd }
func scratch(r runtime.Request) any { return r.Scratch }
func noMount(r runtime.Request) any { return r.NoMount }
func setEnv(r runtime.Request) any  { return r.SetEnv }

func targets(r runtime.Request) any {
	var list []string
	for _, b := range r.Binds {
		list = append(list, b.Target)
	}
	return list
}

// Arguments arrive byte for byte.
func TestArgumentsExact(t *testing.T) {
	want := []string{"cmd", "", "a b", "new\nline", `"'`, "\xff\xfe", "--", "-B", "$(x)", "-c=false"}
	got, _, err := resolveLine(append([]string{"exec", "img"}, want...), nil)
	if err != nil || !reflect.DeepEqual(got.Args, want) {
		t.Errorf("arguments %q, %v; want %q", got.Args, err, want)
	}
}

func TestUsageErrors(t *testing.T) {
	for _, tt := range []struct {
		line, env string
		want      string
	}{
		{line: "exec img", want: "exec: no command given; for a shell: apptainer shell img"},
		{line: "exec --bnd x img", want: "exec: unknown flag --bnd; did you mean --bind?"},
		{line: "exec --containal img", want: "exec: unknown flag --containal; did you mean --containall?"},
		{line: "exec -b x img", want: "exec: unknown flag -b; did you mean -B?"},
		{line: "exec -Y img", want: "exec: unknown flag -Y"},
		{line: "exec --zzzzzz img", want: "exec: unknown flag --zzzzzz"},
		{line: "exec --quiet img x", want: "exec: --quiet goes before the command: --quiet exec"},
		{line: "exec --bind", want: "exec: --bind needs a value: SRC[:DST[:OPTS]]"},
		{line: "exec -B", want: "exec: -B needs a value: SRC[:DST[:OPTS]]"},
		{line: "exec --contain=maybe img x", want: "exec: --contain=maybe: want true or false"},
		{line: "exec --env A img x", want: `--env "A": want KEY=VALUE`},
		{line: "exec --env =1 img x", want: `--env "=1": want KEY=VALUE`},
		{line: "exec --cwd rel img x", want: "--cwd rel: want an absolute path inside the container"},
		{line: "exec --json img x", want: "exec: --json goes with --dry-run"},
		{line: "exec img x", env: "APPTAINER_PID=maybe", want: `environment variable APPTAINER_PID="maybe": want true or false`},
		{line: "--verbos exec img", want: "unknown flag --verbos; did you mean --verbose?"},
	} {
		var env []string
		if tt.env != "" {
			env = []string{tt.env}
		}
		_, _, err := resolveLine(strings.Fields(tt.line), env)
		var usage *usageError
		if err == nil || err.Error() != tt.want || !errors.As(err, &usage) {
			t.Errorf("%s: %v, want %s", tt.line, err, tt.want)
		}
	}
}

func TestSpecErrorsAreNoUsageErrors(t *testing.T) {
	for _, line := range []string{"exec -B /a:b img x", "exec --mount type=tmpfs img x", "exec -S rel img x", "exec --no-mount hme img x", "exec --home a:b:c img x"} {
		_, _, err := resolveLine(strings.Fields(line), nil)
		var usage *usageError
		if !errors.Is(err, bind.ErrSpec) || errors.As(err, &usage) {
			t.Errorf("%s: %v, want a bad specification", line, err)
		}
	}
}

func TestShellIgnoresArguments(t *testing.T) {
	r, warnings, err := resolveLine([]string{"shell", "img", "ls", "-l"}, nil)
	if err != nil || r.Args != nil || len(warnings) != 1 || !strings.Contains(warnings[0], `"ls -l"`) {
		t.Errorf("shell with arguments: %q, %q, %v", r.Args, warnings, err)
	}
}

// The whole way from arguments to a request must stay far below a millisecond.
func BenchmarkParse(b *testing.B) {
	args := strings.Fields("-s exec -S /a -B /b -W /c --pwd /d -B /e:/f --home /g --contain --ipc --cleanenv img cmd a b")
	env := os.Environ()
	for b.Loop() {
		if _, _, err := resolveLine(args, env); err != nil {
			b.Fatal(err)
		}
	}
}
