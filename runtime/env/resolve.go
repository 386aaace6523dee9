package env

import (
	"errors"
	"maps"
	"path"
	"slices"
	"strings"
)

const (
	envDir     = "/.singularity.d/env"
	legacyEnv  = "/environment" // images of Singularity before 2.3
	pathScript = "99-runtimevars.sh"
)

// A Command is what execve(2) needs.
type Command struct {
	Path  string   // the file to execute, as seen inside
	Argv  []string // argv[0] is the name as it was asked for
	Env   []string // "K=V", sorted
	Umask int      // the umask that a script of the image asks for; -1 none

	Notes    []string // what the user may want to know; silent with --quiet
	Warnings []string // what went wrong on the way, sentences without a final period
}

// Resolve evaluates the image's scripts and finds what to execute. It runs inside the
// container, where in.Root is the image.
//
// The error is an [*ExecError] when there is nothing that can be executed and an [*Exit]
// when the launch ends without a payload; the command's notes and warnings are valid
// even then.
func (s Spec) Resolve(in Inside) (Command, error) {
	cmd := Command{Umask: -1}
	// The image's scripts do not see the host's variables: what an image sets does not
	// depend on its caller.
	sh := newShell(in, newEnviron(s.Own, true), Strings(s.Args))
	err := s.evaluate(sh)
	cmd.Warnings, cmd.Umask = sh.warnings, int(sh.umask.Load())
	if err != nil && !errors.Is(err, errExec) {
		return cmd, err
	}
	vars := s.merge(sh)
	s.finish(vars, in)
	target := target{argv: sh.replaced}
	if sh.replaced == nil {
		target, err = s.choose(in, vars)
		cmd.Notes = target.notes
		if err != nil {
			return cmd, err
		}
	}
	return s.command(in, cmd, target, vars)
}

// evaluate runs the image's environment scripts and sets what the user asks for.
func (s Spec) evaluate(sh *shell) error {
	names, found := sh.in.scripts(envDir)
	state := stages{spec: s, sh: sh}
	for _, name := range names {
		if err := state.script(name); err != nil {
			return err
		}
	}
	if !found {
		if err := state.legacy(); err != nil {
			return err
		}
	}
	state.inject()
	state.paths()
	return nil
}

// stages are the steps of the evaluation that happen once, at a place that depends on
// which scripts the image has.
type stages struct {
	spec     Spec
	sh       *shell
	injected bool
	pathed   bool
}

// script evaluates one script of the env directory, with what belongs before and after it.
func (st *stages) script(name string) error {
	full := path.Join(envDir, name)
	if name == pathScript {
		st.paths() // ours, never the image's
		return nil
	}
	text, err := st.sh.in.readFile(full)
	if err != nil {
		if st.sh.in.kind(full) == regular {
			st.sh.warn("%v", err)
		}
		return nil
	}
	if _, set := st.sh.get(keyPath); name == "90-environment.sh" && !set {
		st.sh.export(keyPath, DefaultPath)
	}
	err = st.sh.source(full, text)
	switch name {
	case "10-docker2singularity.sh", "10-docker.sh":
		st.defaultPath()
	case "99-base.sh":
		st.inject()
	}
	return err
}

// legacy evaluates the only script of very old images.
func (st *stages) legacy() error {
	text, err := st.sh.in.readFile(legacyEnv)
	if err != nil {
		return nil
	}
	err = st.sh.source(legacyEnv, text)
	st.defaultPath()
	return err
}

// defaultPath makes sure that PATH has the default directories.
func (st *stages) defaultPath() {
	list, _ := st.sh.get(keyPath)
	st.sh.export(keyPath, withDefaults(list))
}

// inject sets the user's variables, once.
func (st *stages) inject() {
	if st.injected {
		return
	}
	st.injected = true
	sh := st.sh
	if _, set := sh.get(keyPath); !set {
		sh.export(keyPath, DefaultPath)
	}
	if libs, _ := sh.get(keyLibrary); libs == "" {
		sh.export(keyLibrary, libsPath)
	}
	if prompt, _ := sh.get("PS1"); stockPrompt(prompt) {
		sh.export("PS1", st.spec.prompt())
	}
	for _, v := range st.spec.User {
		st.set(v)
	}
}

// set sets one variable of the user.
func (st *stages) set(v Var) {
	switch v.Name {
	case keyPath, keyPrependPath, keyAppendPath:
		return // see paths
	}
	value, err := st.value(v)
	if err != nil {
		st.sh.warn("%s is taken literally: %v", v.Name, err)
	}
	libs, _ := st.sh.get(keyLibrary)
	switch v.Name {
	case keyLibrary:
		if value == "" {
			return
		}
		if !slices.Contains(splitPath(value), libsPath) {
			value = joinPath(value, libsPath)
		}
		st.sh.export(keyLibrary, value)
	case keyPrependLibrary:
		st.sh.export(keyLibrary, joinPath(value, libs))
	case keyAppendLibrary:
		st.sh.export(keyLibrary, joinPath(libs, value))
	default:
		if identifier(string(v.Name)) {
			st.sh.export(string(v.Name), value)
		}
	}
}

// value is what a user's variable is worth inside.
func (st *stages) value(v Var) (string, error) {
	if st.spec.NoEval {
		return string(v.Value), nil
	}
	return st.sh.expand(string(v.Value))
}

// paths applies the user's wishes for PATH, once: PREPEND_PATH and APPEND_PATH go around
// what there is, PATH replaces everything.
func (st *stages) paths() {
	if st.pathed {
		return
	}
	st.pathed = true
	list, _ := st.sh.get(keyPath)
	wish := map[Text]string{}
	for _, v := range st.spec.User {
		switch v.Name {
		case keyPath, keyPrependPath, keyAppendPath:
			value, err := st.value(v)
			if err != nil {
				st.sh.warn("%s is taken literally: %v", v.Name, err)
			}
			wish[v.Name] = value
		}
	}
	list = joinPath(joinPath(wish[keyPrependPath], list), wish[keyAppendPath])
	if wish[keyPath] != "" {
		list = wish[keyPath]
	}
	if list == "" {
		list = DefaultPath
	}
	st.sh.export(keyPath, list)
}

// merge puts the three sources together: what the shell exports, what of the host the
// image left alone, and names that no shell can assign to.
func (s Spec) merge(sh *shell) map[string]string {
	vars := sh.exported()
	for _, v := range s.Host {
		name := string(v.Name)
		switch value, set := vars[name]; {
		case !set:
			vars[name] = string(v.Value)
		case value == "" && !s.userSets(v.Name):
			delete(vars, name) // an image that sets a host's variable to nothing means to hide it
		}
	}
	for _, v := range s.User {
		if !identifier(string(v.Name)) {
			vars[string(v.Name)] = string(v.Value)
		}
	}
	return vars
}

// userSets says whether the user sets a variable.
func (s Spec) userSets(name Text) bool {
	return slices.ContainsFunc(s.User, func(v Var) bool { return v.Name == name })
}

// finish sets what no script may change.
func (s Spec) finish(vars map[string]string, in Inside) {
	for _, v := range s.Own {
		if v.Name != "HOME" {
			vars[string(v.Name)] = string(v.Value)
		}
	}
	vars["PWD"] = in.dir()
	if vars[keyPath] == "" {
		vars[keyPath] = DefaultPath
	}
	if vars["PS1"] == "" {
		vars["PS1"] = s.prompt()
	}
	vars["PROMPT_COMMAND"] = promptCommand(vars["PS1"], vars["PROMPT_COMMAND"])
	script := vars[apptainerPrefix+"ENVIRONMENT"]
	if script == "" {
		script = buildEnvPath
	}
	vars[apptainerPrefix+"ENVIRONMENT"] = script
	vars[singularityPrefix+"ENVIRONMENT"] = script
}

// prompt is the prompt of shells inside.
func (s Spec) prompt() string {
	switch s.Program {
	case "apptainer":
		return "Apptainer> "
	case "singularity":
		return "Singularity> "
	}
	return "coracle> "
}

// stockPrompt says whether a prompt is the one that builders of images put there.
func stockPrompt(ps1 string) bool {
	return ps1 == "" || ps1 == "Apptainer> " || ps1 == "Singularity> "
}

// promptCommand makes bash keep the prompt although its start-up files set another one:
// it sets PS1 before the first prompt and then removes itself from PROMPT_COMMAND.
func promptCommand(ps1, before string) string {
	set := `PS1="` + strings.NewReplacer(`\`, `\\`, `"`, `\"`, "$", `\$`, "`", "\\`").Replace(ps1) + `"`
	if before == "" {
		return set + "; unset PROMPT_COMMAND"
	}
	return before + `; PROMPT_COMMAND="${PROMPT_COMMAND%%; PROMPT_COMMAND=*}"; ` + set
}

// list returns an environment as execve(2) takes it, sorted.
func list(vars map[string]string) []string {
	environ := make([]string, 0, len(vars))
	for _, name := range slices.Sorted(maps.Keys(vars)) {
		environ = append(environ, name+"="+vars[name])
	}
	return environ
}
