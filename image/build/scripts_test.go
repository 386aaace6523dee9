package build

import (
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
)

// shells returns the shells of this machine that should read our scripts alike.
func shells(t *testing.T) []string {
	var list []string
	for _, s := range []string{"dash", "bash", "busybox", "ksh", "zsh"} {
		if path, err := exec.LookPath(s); err == nil {
			list = append(list, path)
		}
	}
	if list == nil {
		t.Skip("no shell")
	}
	return list
}

func run(t *testing.T, shell, script string, env []string, args ...string) string {
	t.Helper()
	path := filepath.Join(t.TempDir(), "script")
	if err := os.WriteFile(path, []byte(script), 0o755); err != nil {
		t.Fatal(err)
	}
	argv := append([]string{path}, args...)
	if strings.HasSuffix(shell, "busybox") {
		argv = append([]string{"sh"}, argv...)
	}
	cmd := exec.Command(shell, argv...)
	cmd.Env = env
	out, err := cmd.Output()
	if err != nil {
		t.Errorf("%s: %v\n%s", shell, err, script)
	}
	return string(out)
}

// hostile are words that a shell would take apart.
var hostile = []string{"", " ", "a  b", "$HOME", "`id`", "$(id)", `\`, `\n`, `"`, `'`, "it's", "}", "a}b", "*", "~", "!x", "-n", "a\nb", "é", "#", "&&", `\$x`, `"}"`, "${x:-y}"}

func TestRunScript(t *testing.T) {
	printf := "/usr/bin/printf"
	for _, shell := range shells(t) {
		for _, tt := range []struct {
			entrypoint, cmd, args, want []string
		}{
			{entrypoint: append([]string{printf, "<%s>"}, hostile...), want: hostile},
			{entrypoint: []string{printf, "<%s>"}, cmd: hostile, want: hostile},
			{entrypoint: []string{printf, "<%s>", "x"}, cmd: []string{"y"}, args: hostile, want: append([]string{"x"}, hostile...)},
			{cmd: []string{printf, "<%s>", "x"}, want: []string{"x"}},
			{cmd: []string{"false"}, args: []string{printf, "<%s>", "x y"}, want: []string{"x y"}},
			{args: []string{printf, "<%s>", "x y"}, want: []string{"x y"}},
		} {
			want := "<" + strings.Join(tt.want, "><") + ">"
			if got := run(t, shell, runScript(tt.entrypoint, tt.cmd), nil, tt.args...); got != want {
				t.Errorf("%s: entrypoint %q, cmd %q, args %q: %q, want %q", shell, tt.entrypoint, tt.cmd, tt.args, got, want)
			}
		}
	}
}

func TestEnvScript(t *testing.T) {
	show := "/usr/bin/printf '<%s>' \"$X\"\n"
	for _, shell := range shells(t) {
		for _, value := range hostile {
			if got := run(t, shell, envScript([]string{"X=" + value})+show, nil); got != "<"+value+">" {
				t.Errorf("%s: X=%q comes out as %q", shell, value, got)
			}
		}
		if got := run(t, shell, envScript([]string{"X=image"})+show, []string{"X=caller"}); got != "<caller>" {
			t.Errorf("%s: the caller's variable is %q", shell, got)
		}
		path := "/usr/bin/printf '%s' \"$PATH\"\n"
		for _, tt := range []struct{ env, want string }{
			{"PATH=/opt/$x:/bin", "/opt/$x:/bin:/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin"},
			{"Y=", defaultPath},
			{"PATH=", defaultPath},
		} {
			if got := run(t, shell, envScript([]string{tt.env})+path, []string{"PATH=/caller"}); got != tt.want {
				t.Errorf("%s: %s gives %q, want %q", shell, tt.env, got, tt.want)
			}
		}
	}
	for _, bad := range []string{"A;id=x", "1A=x", "=x", "A B=x", "A", "A=a\x00b"} {
		if got := envScript([]string{bad}); strings.Count(got, "export") != 1 {
			t.Errorf("%q is taken for a variable: %q", bad, got)
		}
	}
}
