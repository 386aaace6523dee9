package env

import (
	"strings"
)

// Most environment scripts are a list of assignments, perhaps under an if. plainScript
// understands those without the interpreter, whose parser costs more than all else in a
// launch. Whatever it does not understand it leaves alone, and the script is interpreted.

// A plainScript is a parsed script of the simple kind.
type plainScript []plainNode

// A plainNode is one command of a plainScript: assignments, a condition, or neither: a
// command that is not understood and must not be reached.
type plainNode struct {
	assigns []plainAssign
	exports bool // the assignments are those of an export command

	test       *plainTest // set: an if
	then, rest plainScript

	opaque bool
}

// A plainAssign is NAME=word, or the NAME of an export.
type plainAssign struct {
	name string
	word plainWord
	bare bool // no "=": only export it
}

// A plainTest is the condition of an if: -n word, -z word, -d, -e, -f word, word = word.
type plainTest struct {
	op   string
	a, b plainWord
}

// A plainWord is a list of literals and parameters to be joined.
type plainWord []plainPart

// A plainPart is a literal or a parameter.
type plainPart struct {
	text string    // the literal
	name string    // a parameter: its name; "" for a literal
	op   string    // "", ":-", "-", ":+" or "+"
	word plainWord // the operand of op
}

// plainState is the variables that a plainScript works on: those of the shell, and what
// the script has changed so far.
type plainState struct {
	sh      *shell
	changed map[string]value
}

// get looks a variable up.
func (st *plainState) get(name string) (value, bool) {
	if v, ok := st.changed[name]; ok {
		return v, true
	}
	v, ok := st.sh.vars[name]
	return v, ok
}

// run carries out a script; false means that it reached something it cannot do.
func (st *plainState) run(script plainScript) bool {
	for _, node := range script {
		switch {
		case node.opaque:
			return false
		case node.test != nil:
			branch := node.rest
			if st.holds(node.test) {
				branch = node.then
			}
			if !st.run(branch) {
				return false
			}
		case !st.assign(node):
			return false
		}
	}
	return true
}

// assign carries out the assignments of one command.
func (st *plainState) assign(node plainNode) bool {
	for _, as := range node.assigns {
		old, set := st.get(as.name)
		if as.bare && !set {
			return false // exported and unset: the interpreter knows such a state
		}
		v := value{old.text, old.exported || node.exports}
		if !as.bare {
			v.text = st.expand(as.word)
		}
		st.changed[as.name] = v
	}
	return true
}

// holds evaluates a condition.
func (st *plainState) holds(t *plainTest) bool {
	a := st.expand(t.a)
	switch t.op {
	case "-n":
		return a != ""
	case "-z":
		return a == ""
	case "-d":
		return a != "" && st.sh.in.kind(a) == directory
	case "-f":
		return a != "" && st.sh.in.kind(a) == regular
	case "-e":
		return a != "" && st.sh.in.kind(a) != missing
	case "!=":
		return a != st.expand(t.b)
	}
	return a == st.expand(t.b)
}

// expand joins the parts of a word.
func (st *plainState) expand(word plainWord) string {
	if len(word) == 1 && word[0].name == "" {
		return word[0].text
	}
	var b strings.Builder
	for _, part := range word {
		if part.name == "" {
			b.WriteString(part.text)
			continue
		}
		v, set := st.get(part.name)
		if strings.HasPrefix(part.op, ":") {
			set = set && v.text != ""
		}
		switch op := strings.TrimPrefix(part.op, ":"); {
		case op == "-" && !set, op == "+" && set:
			b.WriteString(st.expand(part.word))
		case op != "+":
			b.WriteString(v.text)
		}
	}
	return b.String()
}

// plainName says whether a variable is an ordinary one, which the interpreter gives no
// meaning or value of its own.
func plainName(name string) bool {
	switch name {
	case "UID", "EUID", "GID", "PWD", "OLDPWD", "IFS", "OPTIND", "OPTARG", "OPTERR", "PPID", "HOME", "RANDOM", "SRANDOM",
		"LINENO", "SECONDS", "DIRSTACK", "GLOBIGNORE", "POSIXLY_CORRECT", "SHELLOPTS", "TMPDIR", "FUNCNAME", "PIPESTATUS", "REPLY", "_":
		return false
	}
	return identifier(name) && !strings.HasPrefix(name, "BASH")
}
