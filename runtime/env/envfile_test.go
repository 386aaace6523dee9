package env

import (
	"errors"
	"reflect"
	"strings"
	"testing"
)

func TestParseFile(t *testing.T) {
	environ := []string{"HOME=/home/ada", "KEPT=1", "SPACE=a b", "BAD=\xff"}
	for _, tt := range []struct {
		in   string
		want []string
		err  string
	}{
		{"", nil, ""},
		{"# nothing\n\n", nil, ""},
		{"A=1", []string{"A=1"}, ""},
		{"A=1\nB=2\n", []string{"A=1", "B=2"}, ""},
		{"export A=1\nexport B\n", []string{"A=1"}, ""},
		{"A=1\r\nB=\"x y\"\r\n", []string{"A=1", "B=x y"}, ""},
		{"\ufeffA=1\n", []string{"A=1"}, ""},
		{"A='a b'\nB=\"q\\\"q\"\nC=a\\ b\n", []string{"A=a b", `B=q"q`, "C=a b"}, ""},
		{"A=$HOME/x\nB=${A}y\nC=\\$HOME\nD='$HOME'\n", []string{"A=/home/ada/x", "B=/home/ada/xy", "C=$HOME", "D=$HOME"}, ""},
		{"A=$SPACE\nB=${NOPE:-dflt}\nC=$((2*3))\nD=$1\n", []string{"A=a b", "B=dflt", "C=6", "D=arg"}, ""},
		{"A=*\nB=~\n", []string{"A=*", "B=/home/ada"}, ""},
		{"A=1 # a comment\n", []string{"A=1"}, ""},
		{"A=\"two\nlines\"\n", []string{"A=two\nlines"}, ""},
		{"A=1\nA=2\n", []string{"A=2"}, ""},
		{"A=1\nunset A\n", nil, ""},
		{"A=\n", []string{"A="}, ""},
		{"A=$BAD\nB=\xfe\n", []string{"A=\xff", "B=\xfe"}, ""},
		{"if [ -n \"$KEPT\" ]; then A=yes; else A=no; fi\n", []string{"A=yes"}, ""},
		{"for x in a b; do L=$L$x; done\n", []string{"x=b", "L=ab"}, ""},
		{"HOME=/x\nUID=3\nPWD=/\nA=1\n", []string{"A=1"}, "readonly"}, // UID is read-only in any shell
		{"PATH=/x:\\$PATH\n", []string{"PATH=/x:$PATH"}, ""},

		{"A=b c\n", nil, `env:1:5: the command "c" is not possible here`},
		{"0=[\n", nil, `the name "0"`},
		{"ls\n", nil, `"ls" is not run`},
		{"A=1\nfoo bar=baz\n", nil, `"foo" is not run`},
		{"A=$(id)\n", nil, "env:1:3: command substitution"},
		{"A=`id`\n", nil, "command substitution"},
		{"A=1 >/tmp/x\n", nil, "redirection"},
		{"A=1 &\n", nil, "background"},
		{"A=1 | B=2\n", nil, "pipeline"},
		{". /etc/profile\n", nil, `"." is not run`},
		{"eval A=1\n", nil, `"eval" is not run`},
		{"exec ls\n", nil, `"exec" is not run`},
		{"A='unclosed\n", nil, "env:1:3: "},
		{"A=1\nB=\"x\n", nil, "env:2:3: "},
		{"A=(1 2\n", nil, "env:1:3: "},
		{"A=${NOPE:?must be set}\n", nil, "must be set"},
		{"A=1\x00B=2\n", nil, "line 1 has a NUL"},
		{"f() { f; }; f\n", nil, "env:1:1: a function is not possible"},
		{strings.Repeat("(", 300_000), nil, "nested too deeply"},
	} {
		got, err := ParseFile("env", []byte(tt.in), []string{"arg"}, environ)
		short := tt.in[:min(len(tt.in), 40)]
		if tt.err != "" {
			if !errors.Is(err, ErrEnvFile) || !strings.Contains(err.Error(), tt.err) {
				t.Errorf("ParseFile(%q) = %q, %v; want an error with %q", short, got, err, tt.err)
			}
			continue
		}
		if err != nil || !reflect.DeepEqual(got, tt.want) {
			t.Errorf("ParseFile(%q) = %q, %v; want %q", short, got, err, tt.want)
		}
	}
}

func FuzzParseFile(f *testing.F) {
	for _, seed := range []string{"A=1\nexport B=\"$A\"\n", "if [ -n \"$A\" ]; then B=1; fi", "A=${B:-$((1+2))}", "A=(1 2)", "declare -A M=([a]=1)", "A=$'\\x41'"} {
		f.Add([]byte(seed))
	}
	f.Fuzz(func(t *testing.T, text []byte) {
		if loops(string(text)) {
			return
		}
		got, err := ParseFile("env", text, nil, []string{"HOME=/home/ada", "A=a b"})
		for _, kv := range got {
			if name, _, ok := strings.Cut(kv, "="); !ok || !identifier(name) {
				t.Errorf("ParseFile(%q) = %q, %v; want assignments", text, got, err)
			}
		}
	})
}

// loops says whether a script may run for ever or fill the memory, as any shell would.
func loops(text string) bool {
	for _, word := range []string{"while", "until", "for", "{", "**", "<<", "printf", "trap"} {
		if strings.Contains(text, word) {
			return true
		}
	}
	return false
}
