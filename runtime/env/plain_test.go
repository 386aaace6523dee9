package env

import (
	"maps"
	"slices"
	"strings"
	"testing"
)

// bothWays evaluates a script without and with the interpreter. ok is false when the
// script is not of the simple kind.
func bothWays(t *testing.T, in Inside, text string) (plain, interpreted map[string]string, ok bool) {
	t.Helper()
	start := func() environ {
		return environ{"HOME": {"/home/ada", true}, "A": {"a b", true}, "E": {"", true}, "L": {"local", false}}
	}
	fast := newShell(in, start(), nil)
	if !fast.plain([]byte(text)) {
		return nil, nil, false
	}
	slow := newShell(in, start(), nil)
	file, err := parseScript("test", []byte(text))
	if err != nil {
		t.Fatalf("%q is understood without the interpreter, which says: %v", text, err)
	}
	if err := slow.run(file); err != nil {
		t.Logf("%q: %v", text, err)
	}
	if len(slow.warnings) > 0 {
		t.Errorf("%q: warnings %q", text, slow.warnings)
	}
	return values(fast), values(slow), true
}

// values lists all variables of a shell, with a mark at the exported ones.
func values(sh *shell) map[string]string {
	all := map[string]string{}
	exported := sh.exported()
	names := slices.Collect(maps.Keys(sh.vars))
	if sh.runner != nil {
		names = slices.AppendSeq(names, maps.Keys(sh.runner.Vars))
	}
	for _, name := range names {
		text, set := sh.get(name)
		if _, ok := exported[name]; set && ok {
			all[name] = "export " + text
		} else if set && plainName(name) {
			all[name] = text
		}
	}
	delete(all, "PWD")
	return all
}

func TestPlain(t *testing.T) {
	in := tree{"dir/file": "x", "link": "→ dir", "gone": "→ nowhere"}.inside(t)
	for _, tt := range []struct {
		text  string
		plain bool
	}{
		{"", true},
		{"#!/bin/sh\n# comment\n\n", true},
		{"export X=1 Y=2; Z=3\nexport Z", true},
		{"X=a\"b $A c\"'d $A'$A:${A}e", true},
		{"X=\nY=''\nZ=\"\"", true},
		{"X=\"\\\"\\$A\\\\ \\a\"", true},
		{"X=\"${NOPE:-\"a b\"}\" Y=\"${E:-d}\" Z=\"${E-d}\" W=${A:+yes} V=${E:+no} U=${E+yes} T=${A:-no}", true},
		{"X=${NOPE:-${NOPE:-$A}}", true},
		{"L=2; export L; A=3", true},
		{"HOME=/x", true},
		{"if [ -z \"$NOPE\" ]; then X=1; else X=2; fi", true},
		{"if test -n \"${NOPE:-}\"; then\n  exit 1\n  . /x && echo 'x'\nelse\n Y=1\nfi # end", false}, // single quotes in a command that is not run
		{"if test -n \"${NOPE:-}\"; then\n  exit 1\n  . /x && echo x >&2\nelse\n Y=1\nfi # end", true},
		{"if [ \"$A\" = \"a b\" ]; then X=1; elif [ x = x ]; then X=2; else X=3; fi", true},
		{"if [ \"$A\" != x ]\nthen\nif [ -d /dir ]; then X=1; fi\nif [ -f /dir/file ]; then Y=1; fi\nif [ -e /gone ]; then Z=1; fi\nif [ -d /link ]; then W=1; fi\nfi", true},
		{"if [ -n \"$E\" ]; then X=1; fi", true},

		{"if [ -n \"$A\" ]; then exit 1; fi", false},
		{"X=$(id)", false},
		{"X=`id`", false},
		{"X=$((1))", false},
		{"X=${A%b}", false},
		{"X=~/x", false},
		{"X=$UID", false},
		{"X=$1", false},
		{"X=$?", false},
		{"UID=3", false},
		{"X+=1", false},
		{"X=(1)", false},
		{"X=a\\ b", false},
		{"export NOPE", false},
		{"export -n A", false},
		{"unset A", false},
		{"echo x", false},
		{"X=1 true", false},
		{"X=1 && Y=2", false},
		{"[ -n x ]", false},
		{"if true; then X=1; fi", false},
		{"if [ -n $A ]; then X=1; fi", false},
		{"if [ -n x ]; then\nfi", false},
		{"if [ -n x ]; then X=1", false},
		{"X=1;; Y=2", false},
		{"fi", false},
		{"f() { X=1; }", false},
		{"X='", false},
		{"if [ -n x ]; then X=1; else A[b=1; fi", false},
		{"X=1\rY=2", false},
		{strings.Repeat("if [ x = x ]; then ", 50) + "X=1" + strings.Repeat("; fi", 50), false},
		{"X=" + strings.Repeat("${NOPE:-", 50) + strings.Repeat("}", 50), false},
	} {
		plain, interpreted, ok := bothWays(t, in, tt.text)
		if ok != tt.plain || !maps.Equal(plain, interpreted) {
			t.Errorf("%q: %q without, %q with the interpreter, simple is %v; want the same and %v", tt.text, plain, interpreted, ok, tt.plain)
		}
	}
	// The scripts that images have in common do not need the interpreter.
	for name, text := range converted {
		if strings.HasPrefix(name, ".singularity.d/env/") {
			if _, _, ok := bothWays(t, in, text); !ok {
				t.Errorf("%s needs the interpreter", name)
			}
		}
	}
}

// What is understood without the interpreter means the same to it.
func FuzzPlain(f *testing.F) {
	for _, text := range converted {
		if strings.HasPrefix(text, "#!") {
			f.Add(text)
		}
	}
	f.Add("export X=\"${A:-\"b c\"}\" Y='z'$E; if [ \"$X\" = \"b\" ]; then W=1; elif test -n \"$E\"; then exit 1 || echo x; else Z=$X:$Y; fi # end")
	in := tree{"dir/file": "x"}.inside(f)
	f.Fuzz(func(t *testing.T, text string) {
		plain, interpreted, ok := bothWays(t, in, text)
		if ok && !maps.Equal(plain, interpreted) {
			t.Errorf("%q: %q without, %q with the interpreter", text, plain, interpreted)
		}
	})
}
