package main

import (
	"errors"
	"fmt"
	"strconv"
	"strings"

	"coracle/runtime/env"

	"github.com/spf13/pflag"
)

// A flag is one row of a command's table. Parsing, environment keys, help, completion
// and man pages are all made from it. Exactly one of the four targets is set.
type flag struct {
	name   string // long name
	short  byte   // 0 none
	arg    string // name of the value in help: "DIR"; for targets but on and count
	help   string // a few words; "" shares the line of the row before
	group  string // heading in help; "" the one of the row before
	hidden bool   // not in help: accepted for the sake of old scripts

	// Environment keys without their prefix. nil: the long name in capitals, dashes to
	// underscores. Empty but not nil: none.
	keys []string
	// The environment's values come on top of the command line's, not in their place.
	joins bool

	on    *bool
	count *int
	str   *string
	list  *[]string
	comma bool // list: values are separated by commas as well

	bare string // str: the value where none is given; one follows "=" only. "" a value has to be given

	// What the flag does when it is given, before the environment and the configuration are looked at; nil nothing.
	early func(c *cli) error

	set bool // given on the command line
}

// isSwitch reports whether the flag takes no value.
func (f *flag) isSwitch() bool { return f.on != nil || f.count != nil }

// Set takes a value. It belongs to pflag.Value.
func (f *flag) Set(s string) error {
	f.set = true
	switch {
	case f.on != nil:
		v, err := parseBool(s)
		if err != nil {
			return err
		}
		*f.on = v
	case f.count != nil:
		return f.addCount(s)
	case f.str != nil:
		*f.str = s
	case f.comma:
		*f.list = append(*f.list, splitList(s)...)
	default:
		*f.list = append(*f.list, s)
	}
	return nil
}

func (f *flag) addCount(s string) error {
	if n, err := strconv.Atoi(s); err == nil && n > 1 {
		*f.count = n
		return nil
	}
	v, err := parseBool(s)
	switch {
	case err != nil:
		return err
	case v:
		*f.count++
	default:
		*f.count = 0
	}
	return nil
}

// String and Type belong to pflag.Value.
func (f *flag) String() string { return "" }

// Type names the kind of value.
func (f *flag) Type() string { return f.arg }

// parseBool reads the words for true and false.
func parseBool(s string) (bool, error) {
	switch strings.ToLower(s) {
	case "1", "t", "true", "y", "yes", "on":
		return true, nil
	case "0", "f", "false", "n", "no", "off":
		return false, nil
	}
	return false, errors.New("want true or false")
}

// splitList splits at commas and drops white space and empty items.
func splitList(s string) []string {
	var out []string
	for item := range strings.SplitSeq(s, ",") {
		if item = strings.TrimSpace(item); item != "" {
			out = append(out, item)
		}
	}
	return out
}

// errHelp asks for help instead of a run.
var errHelp = pflag.ErrHelp

// parse reads args into the targets of flags and returns the arguments. With payload set,
// everything from the first argument on belongs to the payload, flags included.
//
// The parser is pflag, as it is Apptainer's: the same grammar, down to -c=false, -B/a:/b
// and the end of flags at "--".
func parse(flags []flag, args []string, payload bool) ([]string, error) {
	fs := pflag.NewFlagSet("", pflag.ContinueOnError)
	fs.SetInterspersed(!payload)
	fs.Usage = func() {}
	for i := range flags {
		f := &flags[i]
		short := ""
		if f.short != 0 {
			short = string(f.short)
		}
		pf := fs.VarPF(f, f.name, short, "")
		if f.isSwitch() {
			pf.NoOptDefVal = "true"
		}
		if f.bare != "" {
			pf.NoOptDefVal = f.bare
		}
	}
	err := fs.Parse(args)
	return fs.Args(), err
}

// envPrefixes are the families of configuration keys, strongest first.
var envPrefixes = [...]string{"CORACLE_", "APPTAINER_", "SINGULARITY_"}

// envKeys returns the flag's keys without their prefix.
func (f *flag) envKeys() []string {
	if f.keys != nil {
		return f.keys
	}
	return []string{strings.ToUpper(strings.ReplaceAll(f.name, "-", "_"))}
}

// fromEnvironment sets the flags that the command line leaves open, and adds to those
// that join, from the environment. Empty variables count as unset.
func fromEnvironment(flags []flag, env []string) error {
	keys := configKeys(env)
	if len(keys) == 0 {
		return nil
	}
	for i := range flags {
		if err := flags[i].fromKeys(keys); err != nil {
			return err
		}
	}
	return nil
}

func (f *flag) fromKeys(vars map[string]string) error {
	for _, key := range f.envKeys() {
		if f.set && !f.joins {
			return nil
		}
		for _, prefix := range envPrefixes {
			v := vars[prefix+key]
			if strings.TrimSpace(v) == "" {
				continue
			}
			if !f.joins {
				v = strings.TrimSpace(v)
			}
			if err := f.Set(v); err != nil {
				return usageErrorf("environment variable %s=%q: %v", prefix+key, v, err)
			}
			break
		}
	}
	return nil
}

// configKeys picks the configuration keys out of an environment; the last of several
// with one name counts.
func configKeys(environ []string) map[string]string {
	var m map[string]string
	for _, kv := range environ {
		for _, p := range envPrefixes {
			if !strings.HasPrefix(kv, p) {
				continue
			}
			if m == nil {
				m = make(map[string]string)
			}
			k, v, _ := strings.Cut(kv, "=")
			m[k] = v
		}
	}
	for k, v := range m { // what describes the container that we are in asks for nothing in the next
		if key, ok := strings.CutPrefix(k, env.OuterPrefix); ok {
			for _, p := range envPrefixes {
				if m[p+key] == v {
					delete(m, p+key)
				}
			}
		}
	}
	return m
}

// explainFlag turns an error of the parser into a usage error that names the nearest flag.
func explainFlag(err error, cmd string, flags []flag) error {
	where := ""
	if cmd != "" {
		where = cmd + ": "
	}
	var unknown *pflag.NotExistError
	var value *pflag.ValueRequiredError
	var invalid *pflag.InvalidValueError
	var syntax *pflag.InvalidSyntaxError
	switch {
	case errors.As(err, &unknown):
		return unknownFlag(unknown, cmd, flags)
	case errors.As(err, &value):
		name := "--" + value.GetSpecifiedName()
		if value.GetSpecifiedShortnames() != "" {
			name = "-" + value.GetSpecifiedName()
		}
		return usageErrorf("%s%s needs a value: %s", where, name, value.GetFlag().Value.Type())
	case errors.As(err, &invalid):
		return usageErrorf("%s--%s=%s: %v", where, invalid.GetFlag().Name, invalid.GetValue(), invalid.Unwrap())
	case errors.As(err, &syntax):
		return usageErrorf("%s%q is not a flag", where, syntax.GetSpecifiedFlag())
	}
	return usageErrorf("%s%v", where, err)
}

func unknownFlag(e *pflag.NotExistError, cmd string, flags []flag) error {
	where := ""
	if cmd != "" {
		where = cmd + ": "
	}
	name := e.GetSpecifiedName()
	asked := "--" + name
	if e.GetSpecifiedShortnames() != "" {
		asked = "-" + name
	}
	if cmd != "" && isGlobal(asked) {
		return usageErrorf("%s%s goes before the command: %s %s", where, asked, asked, cmd)
	}
	hint := nearestFlag(asked, flags)
	if hint == "" {
		return &usageError{fmt.Sprintf("%sunknown flag %s", where, asked), strings.TrimSuffix("coracle help "+cmd, " ") + " lists the flags"}
	}
	return usageErrorf("%sunknown flag %s; did you mean %s?", where, asked, hint)
}

func isGlobal(asked string) bool {
	var g globalFlags
	for _, f := range g.table() {
		if asked == "--"+f.name || len(asked) == 2 && asked[1] == f.short {
			return true
		}
	}
	return false
}

// label writes a flag as help shows it: "-B, --bind SPEC".
func (f *flag) label() string {
	s := "--" + f.name
	if f.short != 0 {
		s = fmt.Sprintf("-%c, %s", f.short, s)
	}
	switch {
	case f.bare != "":
		s += "[=" + f.arg + "]"
	case f.arg != "":
		s += " " + f.arg
	}
	return s
}
