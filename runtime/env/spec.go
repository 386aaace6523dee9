package env

import (
	"fmt"
	"path"
	"slices"
	"strings"
)

// OuterPrefix begins the names of variables that repeat what a container's runtime has set and what its flags are read
// from as well: APPTAINER_BIND describes a container and asks for binds in the next.
const OuterPrefix = "CORACLE_CONTAINER_"

// The actions that a [Spec] can carry out.
const (
	Exec  = "exec"
	Run   = "run"
	Shell = "shell"
	Test  = "test"
	Start = "start" // an instance's start script
)

// Options are what [New] decides upon. The zero value of every field means "not asked for".
type Options struct {
	Program string   // the name we go by: "coracle" (also ""), "apptainer" or "singularity"
	Action  string   // [Exec], [Run], [Shell], [Test] or [Start]
	Args    []string // Exec: command and arguments. The others: arguments
	Host    []string // the caller's environment, "K=V"; other entries are dropped

	CleanEnv bool
	NoMPIEnv bool     // nothing of a process manager's either: the payload is no rank
	NoEnv    []string // names of --no-env
	SetEnv   []string // "K=V" of --env-file, then of --env: later ones win
	NoEval   bool     // --no-eval: values of SetEnv and *ENV_X keys are literal
	App      string   // --app
	Shell    string   // --shell

	ImageName string   // the image as the user named it; its last element becomes *_NAME
	ImagePath string   // absolute path of the image, becomes *_CONTAINER
	Binds     []string // destinations of the user's binds, in order
	Home      string   // the home directory inside; "" leaves HOME unset
	Instance  string   // the instance's name; "" outside an instance
}

// A Var is a variable and its origin.
type Var struct {
	Name  Text
	Value Text
	From  string // where it comes from: "host", "--env", "APPTAINERENV_", "default"
}

// A Spec is the part of a plan that says which environment a payload gets and what runs.
// It is plain data and travels as JSON.
type Spec struct {
	Program string
	Action  string
	Args    []Text `json:",omitempty"`
	NoEval  bool   `json:",omitempty"`
	App     Text   `json:",omitempty"`
	Shell   Text   `json:",omitempty"`

	Own  []Var `json:",omitempty"` // what the runtime sets: HOME and the names that describe the container
	Host []Var `json:",omitempty"` // kept unless the image sets them
	User []Var `json:",omitempty"` // set after the image's scripts, in this order
}

// New decides the environment. It is pure. The warnings are sentences without a final period.
func New(o Options) (Spec, []string) {
	s := Spec{
		Program: o.Program,
		Action:  o.Action,
		Args:    Texts(o.Args),
		NoEval:  o.NoEval,
		App:     Text(o.App),
		Shell:   Text(o.Shell),
	}
	host := parse(o.Host)
	user, warnings := userVars(host, o.SetEnv)
	s.User = user
	s.Host = hostVars(host, o)
	s.Own = ownVars(o)
	if s.Action == Shell && len(s.Args) > 0 {
		warnings = append(warnings, "shell takes no command: the arguments after the image are ignored (use exec)")
		s.Args = nil
	}
	return s, warnings
}

// parse splits an environment into variables. Entries without a name or "=" are dropped;
// of several with one name the first counts, as for getenv(3).
func parse(environ []string) []Var {
	vars := make([]Var, 0, len(environ))
	seen := make(map[string]bool, len(environ))
	for _, kv := range environ {
		name, value, ok := strings.Cut(kv, "=")
		if !ok || name == "" || seen[name] {
			continue
		}
		seen[name] = true
		vars = append(vars, Var{Text(name), Text(value), "host"})
	}
	return vars
}

// userVars collects what the user sets for the container, strongest last, one entry a name.
func userVars(host []Var, set []string) (user []Var, warnings []string) {
	add := func(name, value, from, key string) {
		switch {
		case name == "":
			return
		case forbidden(name):
			warnings = append(warnings, fmt.Sprintf("Overriding %s environment variable with %s is not permitted", name, key))
			return
		}
		user = slices.DeleteFunc(user, func(v Var) bool { return string(v.Name) == name })
		user = append(user, Var{Text(name), Text(value), from})
	}
	for _, prefix := range setPrefixes {
		for _, v := range host {
			if name, ok := strings.CutPrefix(string(v.Name), prefix); ok {
				add(name, string(v.Value), prefix, string(v.Name))
			}
		}
	}
	for _, kv := range set {
		name, value, ok := strings.Cut(kv, "=")
		if !ok || name == "" {
			warnings = append(warnings, fmt.Sprintf("--env %q is ignored: it is not of the form NAME=VALUE", kv))
			continue
		}
		if strings.IndexByte(kv, 0) >= 0 { // in a device's specification: neither a command line nor a file of variables can have one
			warnings = append(warnings, fmt.Sprintf("the variable %.90q is left out: it has a NUL byte", kv))
			continue
		}
		add(name, value, "--env", "APPTAINERENV_"+name)
	}
	return user, warnings
}

// forbidden says whether users may not set a variable: the container's own ones, and the
// two that choose an app and a shell.
func forbidden(name string) bool {
	if fixed(name) {
		return true
	}
	for _, p := range [...]string{coraclePrefix, apptainerPrefix, singularityPrefix} {
		if name == p+"SHELL" || name == p+"APPNAME" {
			return true
		}
	}
	return false
}

// hostVars picks what is passed on from the caller's environment.
func hostVars(host []Var, o Options) []Var {
	var vars []Var
	if o.CleanEnv {
		vars = append(vars, Var{"LANG", "C", "--cleanenv"})
	}
	for _, v := range host {
		name := string(v.Name)
		switch {
		case slices.Contains(o.NoEnv, name), o.CleanEnv && !passesClean(name), o.NoMPIEnv && processManagement(name):
		case name == keyPath:
			if !slices.Contains(o.NoEnv, "USER_PATH") {
				vars = append(vars, Var{"USER_PATH", v.Value, "host"})
			}
		case passesOn(name):
			vars = append(vars, v)
		}
	}
	return vars
}

// passesOn says whether a variable of the host may enter a container at all. Functions
// that bash exports (BASH_FUNC_name%%) stay outside: they call the host's programs.
func passesOn(name string) bool {
	switch name {
	case keyPath, keyLibrary, "PS1", "USER_PATH":
		return false
	}
	return !fixed(name) && !internal(name) && !strings.HasPrefix(name, "BASH_FUNC_")
}

// ownVars lists what the runtime itself sets.
func ownVars(o Options) []Var {
	var vars []Var
	add := func(name, value string) { vars = append(vars, Var{Text(name), Text(value), "default"}) }
	both := func(name, value string) {
		add(apptainerPrefix+name, value)
		add(singularityPrefix+name, value)
	}
	if o.Home != "" {
		add("HOME", o.Home)
	}
	name := path.Base(o.ImageName)
	both("NAME", name)
	both("CONTAINER", o.ImagePath)
	both("BIND", strings.Join(o.Binds, ","))
	add(coraclePrefix+"NAME", name)
	add(coraclePrefix+"CONTAINER", o.ImagePath)
	add(apptainerPrefix+"COMMAND", o.Action)
	if o.App != "" {
		both("APPNAME", o.App)
	}
	if o.Instance != "" {
		both("INSTANCE", o.Instance)
	}
	if o.NoEval {
		both("NO_EVAL", "1")
	}
	// What of these are keys of flags, too, is told apart from the user's own by a coracle inside.
	for _, k := range [...]struct {
		key, value string
		on         bool
	}{{"BIND", strings.Join(o.Binds, ","), len(o.Binds) > 0}, {"APPNAME", o.App, o.App != ""}, {"NO_EVAL", "1", o.NoEval}} {
		if k.on {
			add(OuterPrefix+k.key, k.value)
		}
	}
	return vars
}

// Lines describes the variables for --dry-run, "NAME=value" quoted as a shell would take
// it and the origin, the runtime's own first. What is merely passed on from the host is
// left out.
func (s Spec) Lines() [][2]string {
	var lines [][2]string
	for _, v := range slices.Concat(s.Own, s.User) {
		from := v.From
		if strings.HasSuffix(from, "ENV_") {
			from += string(v.Name)
		}
		lines = append(lines, [2]string{string(v.Name) + "=" + v.Value.Quoted(), from})
	}
	return lines
}
