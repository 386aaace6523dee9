package env

import (
	"encoding/json"
	"os"
	"reflect"
	"strconv"
	"strings"
	"testing"
)

// resolve plans, sends the plan through JSON, and resolves.
func resolve(t testing.TB, o Options, in Inside) (Command, error) {
	t.Helper()
	s, _ := New(o)
	data, err := json.Marshal(s)
	if err != nil {
		t.Fatal(err)
	}
	var back Spec
	if err := json.Unmarshal(data, &back); err != nil {
		t.Fatal(err)
	}
	if !reflect.DeepEqual(back, s) {
		t.Fatalf("after JSON: %+v; want %+v", back, s)
	}
	return back.Resolve(in)
}

// execTrue are the options of a plain exec.
func execTrue(change func(o *Options)) Options {
	o := Options{Action: Exec, Args: []string{"/bin/true"}, Home: "/home/ada", ImageName: "x/app.sif", ImagePath: "/data/x/app.sif"}
	if change != nil {
		change(&o)
	}
	return o
}

const unset = "\x00unset"

// fromHost, fromUser and withScript are changes that many cases of TestEnvironment need.
func fromHost(kv ...string) func(o *Options) { return func(o *Options) { o.Host = kv } }
func fromUser(kv ...string) func(o *Options) { return func(o *Options) { o.SetEnv = kv } }
func withScript(text string) tree {
	return built.with(tree{".singularity.d/env/90-environment.sh": text})
}

// environmentCases are what ends up in the environment; [unset] means that a name is not there.
var environmentCases = []struct {
	name   string
	image  tree
	change func(o *Options)
	want   map[string]string
}{
	{"a bare directory", plain, nil, map[string]string{
		"PATH": DefaultPath, "HOME": "/home/ada", "LD_LIBRARY_PATH": "/.singularity.d/libs", "PS1": "coracle> ", "PWD": "/",
		"PROMPT_COMMAND": `PS1="coracle> "; unset PROMPT_COMMAND`,
		"APPTAINER_NAME": "app.sif", "SINGULARITY_NAME": "app.sif", "CORACLE_NAME": "app.sif",
		"APPTAINER_CONTAINER": "/data/x/app.sif", "SINGULARITY_CONTAINER": "/data/x/app.sif", "CORACLE_CONTAINER": "/data/x/app.sif",
		"APPTAINER_BIND": "", "SINGULARITY_BIND": "", "APPTAINER_COMMAND": "exec", "APPTAINER_APPNAME": unset,
		"APPTAINER_ENVIRONMENT":   "/.singularity.d/env/91-environment.sh",
		"SINGULARITY_ENVIRONMENT": "/.singularity.d/env/91-environment.sh",
		"UID":                     unset, "GID": unset, "EUID": unset, "IFS": unset, "OPTIND": unset, "LANG": unset, "USER_PATH": unset,
	}},
	{"a built image", built, nil, map[string]string{
		"PATH": DefaultPath, "LD_LIBRARY_PATH": "/.singularity.d/libs", "PS1": "coracle> ", "UID": unset, "IFS": unset,
	}},
	{"called as apptainer", built, func(o *Options) { o.Program = "apptainer" }, map[string]string{"PS1": "Apptainer> "}},
	{"called as singularity", plain, func(o *Options) { o.Program = "singularity" }, map[string]string{"PS1": "Singularity> "}},
	{"the host's variables pass", built, fromHost("FOO=bar", "MULTI=a\nb", "ESC=a\\nb", "BAD=\xff", "DOT.TED=1", "EMPTY=", "FOO=second", "NOEQUALS", "=x"), map[string]string{
		"FOO": "bar", "MULTI": "a\nb", "ESC": "a\\nb", "BAD": "\xff", "DOT.TED": "1", "EMPTY": "",
	}},
	{"the host's own business stays outside", built, fromHost("HOME=/root", "PATH=/host/bin", "LD_LIBRARY_PATH=/host/lib", "PS1=$ ", "PWD=/somewhere",
		"UID=7", "IFS=:", "APPTAINER_BIND=/a", "SINGULARITY_SHELL=/bin/zsh", "CORACLE_DEBUG=1", "BASH_FUNC_module%%=() { :; }", "OLDPWD=/old"), map[string]string{
		"HOME": "/home/ada", "PATH": DefaultPath, "LD_LIBRARY_PATH": "/.singularity.d/libs", "PS1": "coracle> ", "PWD": "/", "UID": unset, "IFS": unset,
		"APPTAINER_BIND": "", "SINGULARITY_SHELL": unset, "CORACLE_DEBUG": unset, "BASH_FUNC_module%%": unset, "USER_PATH": "/host/bin", "OLDPWD": "/old",
	}},
	{"PROMPT_COMMAND of the host runs first", built, fromHost("PROMPT_COMMAND=date"), map[string]string{
		"PROMPT_COMMAND": `date; PROMPT_COMMAND="${PROMPT_COMMAND%%; PROMPT_COMMAND=*}"; PS1="coracle> "`,
	}},
	{"the image wins over the host", withScript("export FOO=image\nexport BAR=\"${BAR:-image}\"\n"), fromHost("FOO=host", "BAR=host"), map[string]string{"FOO": "image", "BAR": "image"}},
	{"an image that empties a host variable hides it", withScript("export FOO=\n"), fromHost("FOO=host"), map[string]string{"FOO": unset}},
	{"what an image does not export does not count", withScript("i=1\nexport B=$i\n"), fromHost("i=host"), map[string]string{"i": "host", "B": "1"}},
	{"the image unsets what it set", withScript("export FOO=1\nunset FOO\n"), nil, map[string]string{"FOO": unset}},
	{"the user wins over the image", withScript("export FOO=image\n"), fromUser("FOO=user"), map[string]string{"FOO": "user"}},
	{"the user may empty a variable", withScript("export FOO=image\n"), func(o *Options) { o.Host = []string{"FOO=host"}; o.SetEnv = []string{"FOO="} }, map[string]string{"FOO": ""}},
	{"families", built, fromHost("SINGULARITYENV_A=s", "APPTAINERENV_A=a", "SINGULARITYENV_B=s", "CORACLEENV_C=c", "APPTAINERENV_C=a", "A=host", "APPTAINERENV_=x"), map[string]string{
		"A": "a", "B": "s", "C": "c", "SINGULARITYENV_A": unset, "CORACLEENV_C": unset,
	}},
	{"--env wins over APPTAINERENV_", built, func(o *Options) { o.Host = []string{"APPTAINERENV_A=a"}; o.SetEnv = []string{"A=file", "A=flag"} }, map[string]string{"A": "flag"}},
	{"never importable", built, fromUser("HOME=/x", "UID=1", "PWD=/x", "IFS=x", "EUID=1", "GID=1", "OPTIND=4", "APPTAINER_APPNAME=x"), map[string]string{
		"HOME": "/home/ada", "UID": unset, "PWD": "/", "IFS": unset, "EUID": unset, "GID": unset, "OPTIND": unset, "APPTAINER_APPNAME": unset,
	}},
	{"a name that no shell can assign", built, fromUser("a.b=1", "c-d=$HOME"), map[string]string{"a.b": "1", "c-d": "$HOME"}},
	{"--no-env", built, func(o *Options) {
		o.Host = []string{"FOO=1", "BAR=2", "APPTAINERENV_BAR=3"}
		o.NoEnv = []string{"FOO", "BAR"}
	}, map[string]string{"FOO": unset, "BAR": "3"}},
	{"--cleanenv", built, func(o *Options) {
		o.CleanEnv = true
		o.Host = []string{"FOO=1", "TERM=xterm", "http_proxy=p", "NO_PROXY=n", "Http_Proxy=x", "LANG=de_DE", "PATH=/host", "APPTAINERENV_SET=1"}
	}, map[string]string{"FOO": unset, "TERM": "xterm", "http_proxy": "p", "NO_PROXY": "n", "Http_Proxy": unset, "LANG": "C", "USER_PATH": unset, "SET": "1", "HOME": "/home/ada"}},
	{"--cleanenv with the user's LANG", built, func(o *Options) { o.CleanEnv = true; o.SetEnv = []string{"LANG=en"} }, map[string]string{"LANG": "en"}},
	{"--cleanenv and the image's LANG", converted, func(o *Options) { o.CleanEnv = true }, map[string]string{"LANG": "C.UTF-8"}},
	{"converted from OCI", converted, fromHost("LANG=de_DE"), map[string]string{
		"PATH": "/opt/conda/bin:/usr/bin:/bin:/usr/local/sbin:/usr/local/bin:/usr/sbin:/sbin", "LANG": "C.UTF-8", "MODEL": `a "b" $c`, "EMPTY": "",
	}},
	{"PATH: append, prepend", built, fromUser("APPEND_PATH=/z", "PREPEND_PATH=/a"), map[string]string{"PATH": "/a:" + DefaultPath + ":/z", "APPEND_PATH": unset}},
	{"PATH: replaced", built, fromUser("PATH=/only", "APPEND_PATH=/z"), map[string]string{"PATH": "/only"}},
	{"PATH: in terms of the image's", converted, fromUser("PATH=/first:$PATH"), map[string]string{"PATH": "/first:/opt/conda/bin:/usr/bin:/bin:/usr/local/sbin:/usr/local/bin:/usr/sbin:/sbin"}},
	{"PATH: of the image's environment", withScript("PATH=/go/bin:$PATH\n"), nil, map[string]string{"PATH": "/go/bin:" + DefaultPath}},
	{"PATH: without scripts", plain, fromUser("PREPEND_PATH=/a"), map[string]string{"PATH": "/a:" + DefaultPath}},
	{"libraries: replaced", built, fromUser("LD_LIBRARY_PATH=/foo"), map[string]string{"LD_LIBRARY_PATH": "/foo:/.singularity.d/libs"}},
	{"libraries: empty means keep", built, fromUser("LD_LIBRARY_PATH="), map[string]string{"LD_LIBRARY_PATH": "/.singularity.d/libs"}},
	{"libraries: in terms of the image's", built, fromUser("LD_LIBRARY_PATH=/foo:$LD_LIBRARY_PATH"), map[string]string{"LD_LIBRARY_PATH": "/foo:/.singularity.d/libs"}},
	{"libraries: of the image", withScript("export LD_LIBRARY_PATH=/opt/lib\n"), nil, map[string]string{"LD_LIBRARY_PATH": "/opt/lib:/.singularity.d/libs"}},
	{"libraries: prepend, append", built, fromUser("PREPEND_LD_LIBRARY_PATH=/a", "APPEND_LD_LIBRARY_PATH=/z"), map[string]string{"LD_LIBRARY_PATH": "/a:/.singularity.d/libs:/z"}},
	{"libraries: without scripts", plain, fromUser("LD_LIBRARY_PATH=/foo"), map[string]string{"LD_LIBRARY_PATH": "/foo:/.singularity.d/libs"}},
	{"values are evaluated", built, fromUser("A=$HOME/x", `B="$HOME"`, `C='$HOME'`, `D=\$HOME`, `E=a\\b`, "F=$(echo hi)", "G=`echo ho`", "H=$((1+2))", "I=${NOPE:-dflt}", "J=$A", `K=a"b`), map[string]string{
		"A": "/home/ada/x", "B": `"/home/ada"`, "C": `'/home/ada'`, "D": "$HOME", "E": `a\b`, "F": "hi", "G": "ho", "H": "3", "I": "dflt", "J": "/home/ada/x", "K": `a"b`,
	}},
	{"values that do not parse are literal", built, fromUser("A=cost $(5", "B=`", "C=${"), map[string]string{"A": "cost $(5", "B": "`", "C": "${"}},
	{"--no-eval: values are literal", built, func(o *Options) { o.NoEval = true; o.SetEnv = []string{"A=$HOME", `B=\$(id)`, "PATH=/x:$PATH"} }, map[string]string{
		"A": "$HOME", "B": `\$(id)`, "PATH": "/x:$PATH", "APPTAINER_NO_EVAL": "1", "SINGULARITY_NO_EVAL": "1",
	}},
	{"a prompt of the user", built, fromUser("PS1=mine\\$ "), map[string]string{"PS1": "mine$ ", "PROMPT_COMMAND": `PS1="mine\$ "; unset PROMPT_COMMAND`}},
	{"binds", built, func(o *Options) { o.Binds = []string{"/data", "/scratch"} }, map[string]string{"APPTAINER_BIND": "/data,/scratch", "SINGULARITY_BIND": "/data,/scratch"}},
	{"an instance", built, func(o *Options) { o.Instance = "db" }, map[string]string{"APPTAINER_INSTANCE": "db", "SINGULARITY_INSTANCE": "db"}},
	{"the container's names are not the image's to change", withScript("export APPTAINER_NAME=x\nexport SINGULARITY_CONTAINER=y\n"), nil, map[string]string{
		"APPTAINER_NAME": "app.sif", "SINGULARITY_CONTAINER": "/data/x/app.sif",
	}},
	{"an image may move HOME", withScript("export HOME=/opt/home\n"), nil, map[string]string{"HOME": "/opt/home"}},
	{"no home at all", plain, func(o *Options) { o.Home = "" }, map[string]string{"HOME": unset}},
	{"a legacy image", plain.with(tree{"environment": "PATH=/canary:$PATH\nexport OLD=1\n"}), nil, map[string]string{
		"PATH": "/canary:" + DefaultPath, "OLD": "1",
	}},
	{"functions and return", withScript("f() { local x=2; export F=$x; return 3; }\nf\nexport R=$?\nreturn\nexport NEVER=1\n"), nil, map[string]string{"F": "2", "R": "3", "NEVER": unset}},
	{"exit in a subshell is not the end", withScript("A=$(exit 3)\n(exit 4)\nexport B=1\n"), nil, map[string]string{"B": "1"}},
	{"functions last over scripts", withScript("f() { export F=1; }\n").with(tree{".singularity.d/env/91-environment.sh": "f\n"}), nil, map[string]string{"F": "1"}},
	{"user identity in scripts", withScript("export ME=$UID\n"), nil, map[string]string{"ME": strconv.Itoa(os.Getuid())}},
	{"a broken script is skipped", withScript("export A=1\nif\n").with(tree{".singularity.d/env/91-environment.sh": "export B=1\n"}), nil, map[string]string{"A": unset, "B": "1"}},
	{"set -e ends only its script", withScript("set -e\nexport A=1\nfalse\nexport B=1\n").with(tree{".singularity.d/env/91-environment.sh": "false\nexport C=1\n"}), nil, map[string]string{"A": "1", "B": unset, "C": "1"}},
	{"${X:?} ends only its script", withScript(": ${NOPE:?is missing}\nexport B=1\n").with(tree{".singularity.d/env/91-environment.sh": "export C=1\n"}), nil, map[string]string{"B": unset, "C": "1"}},
	{"scripts in order, others ignored", built.with(tree{
		".singularity.d/env/20-a.sh": "export O=$O,20\n", ".singularity.d/env/15-b.sh": "export O=$O,15\n", ".singularity.d/env/30-c.sh/": "", ".singularity.d/env/40-d": "export O=no\n",
	}), nil, map[string]string{"O": ",15,20"}},
	{"a script that is a broken link", built.with(tree{".singularity.d/env/20-a.sh": "→ nowhere"}), nil, map[string]string{"PATH": DefaultPath}},
	{"a script after 99-base sees the user's variables", built.with(tree{".singularity.d/env/99-z.sh": "export Z=$FOO\n"}), fromUser("FOO=user"), map[string]string{"Z": "user"}},
	{"no 99-base", plain.with(tree{".singularity.d/env/10-x.sh": "export A=1\n"}), fromUser("B=$A"), map[string]string{"B": "1", "PATH": DefaultPath, "LD_LIBRARY_PATH": "/.singularity.d/libs"}},
	{"read-only variables", withScript("readonly FOO=image\nexport FOO\n"), fromUser("FOO=user"), map[string]string{"FOO": "image"}},
	{"arguments of the container", withScript("export ARG=$1\n"), nil, map[string]string{"ARG": "/bin/true"}},
	{"escapes outside quotes", withScript("export A=a\\ b\\$c'd\\e'\\'\"f\\$g\\h\"\\\nz\nB=\\é; export B\n. /more\n").with(tree{"more": "# caf\xe9\nexport C=x\\ y\nreturn 1\n"}), nil, map[string]string{
		"A": `a b$cd\e'f$g\hz`, "B": "é", "C": "x y",
	}},
	{"escapes in a script that returns", withScript("export A=a\\ b\nreturn\n"), nil, map[string]string{"A": "a b"}},
	{"scripts that are not UTF-8", withScript("# caf\xe9\nexport A=\xe9\xff B=\"${A}x\"\nexport \"C=$A\"\n"), fromUser("D=$A\xfe"), map[string]string{"A": "\xe9\xff", "B": "\xe9\xffx", "C": "\xe9\xff", "D": "\xe9\xff\xfe"}},
	{"--app", built.with(tree{"scif/apps/tool/bin/": "", "scif/apps/tool/scif/env/90-environment.sh": "export TOOL=1\n"}), func(o *Options) { o.App = "tool" }, map[string]string{
		"APPTAINER_APPNAME": "tool", "SINGULARITY_APPNAME": "tool", "TOOL": "1", "SCIF_APPROOT": "/scif/apps/tool", "PATH": "/scif/apps/tool/bin:" + DefaultPath,
	}},
}

func TestEnvironment(t *testing.T) {
	for _, tt := range environmentCases {
		cmd, err := resolve(t, execTrue(tt.change), tt.image.inside(t))
		if err != nil {
			t.Errorf("%s: %v", tt.name, err)
			continue
		}
		for name, want := range tt.want {
			got, ok := lookup(cmd.Env, name)
			if !ok {
				got = unset
			}
			if got != want {
				t.Errorf("%s: %s = %q; want %q (warnings %q)", tt.name, name, got, want, cmd.Warnings)
			}
		}
	}
}

// What goes wrong in an image is told, and only that.
func TestWarnings(t *testing.T) {
	for _, tt := range []struct {
		script string
		set    string
		want   string // part of the only warning; "" none
	}{
		{"export A=1\n", "B=2", ""},
		{"false\n", "B=$A", ""},
		{"readonly B=1\n", "B=2", "B cannot be set: a script of the image made it read-only"},
		{"if\n", "B=2", "/.singularity.d/env/90-environment.sh:1:1: "},
		{"set -e; false\n", "B=2", "/.singularity.d/env/90-environment.sh: stopped at an error (status 1)"},
		{"f() { f; }; f\n", "B=2", "calls itself without end"},
		{"", "B=$(", "B is taken literally: "},
	} {
		cmd, err := resolve(t, execTrue(fromUser(tt.set)), withScript(tt.script).inside(t))
		if err != nil {
			t.Errorf("%q: %v", tt.script, err)
		}
		if (tt.want == "") != (len(cmd.Warnings) == 0) || (tt.want != "" && (len(cmd.Warnings) != 1 || !strings.Contains(cmd.Warnings[0], tt.want))) {
			t.Errorf("%q with %q: warnings %q; want %q", tt.script, tt.set, cmd.Warnings, tt.want)
		}
	}
}
