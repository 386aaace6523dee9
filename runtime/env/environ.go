package env

import "mvdan.cc/sh/v3/expand"

// A value is a variable of a shell.
type value struct {
	text     string
	exported bool
}

// An environ is a set of variables, in the form that the interpreter starts from.
type environ map[string]value

// newEnviron makes a set of variables of those that a shell can hold.
func newEnviron(vars []Var, exported bool) environ {
	env := make(environ, len(vars)+16)
	for _, v := range vars {
		if identifier(string(v.Name)) {
			env[string(v.Name)] = value{string(v.Value), exported}
		}
	}
	return env
}

// Get implements [expand.Environ].
func (e environ) Get(name string) expand.Variable {
	v, ok := e[name]
	if !ok {
		return expand.Variable{}
	}
	return v.variable()
}

// Each implements [expand.Environ].
func (e environ) Each(f func(name string, vr expand.Variable) bool) {
	for name, v := range e {
		if !f(name, v.variable()) {
			return
		}
	}
}

// variable is the interpreter's form of a value.
func (v value) variable() expand.Variable {
	return expand.Variable{Set: true, Exported: v.exported, Kind: expand.String, Str: v.text}
}

// exportedVars makes a set of exported variables of a payload's environment.
func exportedVars(vars map[string]string) environ {
	env := make(environ, len(vars))
	for name, text := range vars {
		if identifier(name) {
			env[name] = value{text, true}
		}
	}
	return env
}
