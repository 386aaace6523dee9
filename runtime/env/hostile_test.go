package env

import (
	"context"
	"os"
	"strings"
	"testing"
	"time"
)

// Scripts that would exhaust the stack end with a warning, and the launch goes on.
func TestHostileScripts(t *testing.T) {
	deepEval := `x='('; for i in 1 2 3 4 5 6 7 8 9 10 11 12 13 14 15 16; do x="$x$x"; done; eval "$x"`
	for name, text := range map[string]string{
		"recursion":              "f() { f; }; f\n",
		"recursion by eval":      "x='eval \"$x\"'; eval \"$x\"\n",
		"recursion by source":    ". /.singularity.d/env/90-environment.sh\n",
		"recursion by return":    "f() { . /.singularity.d/env/90-environment.sh; }; f; return\n",
		"recursion by subst":     "f() { x=$(f); }; f\n",
		"recursion by pipes":     "f() { f | f; }; f\n",
		"recursion in subshells": "f() { (f); }; f\n",
		"recursion by trap":      "f() { trap f EXIT; (f); }; f\n",
		"recursion by arith":     "x=x; y='y+1'; echo $((x)) $((y))\n",
		"parentheses":            strings.Repeat("(", 300_000),
		"substitutions":          strings.Repeat("$(", 200_000),
		"parameters":             strings.Repeat("${x:-", 100_000),
		"arithmetic":             "x=$((" + strings.Repeat("(", 300_000) + "1\n",
		"blocks":                 strings.Repeat("if ", 200_000),
		"negations":              strings.Repeat("! ", 300_000),
		"unary":                  "x=$((" + strings.Repeat("- ", 300_000) + "1))\n",
		"tests":                  "[[ " + strings.Repeat("! ", 300_000) + "x ]]\n",
		"and":                    "true " + strings.Repeat("&& true ", 100_000) + "\n",
		"deep eval":              deepEval,
		"too long":               strings.Repeat("#", maxScript+1),
		"NUL":                    "A=1\x00B=2\n",
		"binary":                 "\x7fELF\x01\x02\x03\xff\xfe",
		"a nameref loop":         "declare -n a=b b=a; a=1; echo $a\n",
		"an unset name":          "export =x\nunset ''\n",
		"odd exports":            "export 1=2 'a b'=c a-b=c\n",
		"arrays":                 "export A=(1 2); declare -A M=([a]=b); export M; A[5]=x\n",
		"bad exec":               "exec\nexec ''\n",
		"closing output":         "exec >&- 2>&-\n",
	} {
		in := built.with(tree{".singularity.d/env/90-environment.sh": text, ".singularity.d/env/91-environment.sh": "export AFTER=1\n"}).inside(t)
		start := time.Now()
		done := make(chan struct{})
		go func() {
			defer close(done)
			cmd, err := resolve(t, execTrue(nil), in)
			if after, _ := lookup(cmd.Env, "AFTER"); err == nil && after != "1" {
				t.Errorf("%s: AFTER = %q; want the next script to run (%q)", name, after, cmd.Warnings)
			}
			if err != nil && name != "bad exec" {
				t.Errorf("%s: %v; want a warning at most", name, err)
			}
			for _, w := range cmd.Warnings {
				if len(w) > 300 {
					t.Errorf("%s: a warning of %d bytes", name, len(w))
				}
			}
		}()
		select {
		case <-done:
			t.Logf("%s: %v", name, time.Since(start))
		case <-time.After(time.Minute):
			t.Fatalf("%s: no end", name)
		}
	}
}

func FuzzResolve(f *testing.F) {
	for _, text := range converted {
		if strings.HasPrefix(text, "#!") {
			f.Add(text, "A=$PATH")
		}
	}
	f.Add(ociScript(`"echo" "e"`, `"c"`), "B=`x`")
	f.Add("f() { local x=1; export A=$x; return 2; }; f; A=a\\ b; case $A in a*) : ;; esac", "C=${A%b*}")
	dir := f.TempDir()
	if err := os.MkdirAll(dir+"/.singularity.d/env", 0o755); err != nil {
		f.Fatal(err)
	}
	f.Fuzz(func(t *testing.T, text, set string) {
		if loops(text) || loops(set) || strings.Contains(text, "read") || strings.Contains(text, ">") {
			return
		}
		for _, name := range []string{"env/90-environment.sh", "runscript"} {
			if err := os.WriteFile(dir+"/.singularity.d/"+name, []byte(text), 0o755); err != nil {
				t.Fatal(err)
			}
		}
		s, _ := New(execTrue(func(o *Options) { o.SetEnv = []string{set}; o.Action = Run; o.Args = []string{"-c", "x"} }))
		ctx, cancel := context.WithTimeout(context.Background(), 5*time.Second)
		defer cancel()
		cmd, err := s.Resolve(Inside{Root: dir})
		if err == nil && (cmd.Path == "" || len(cmd.Argv) == 0) {
			t.Errorf("Resolve = %+v; want a command", cmd)
		}
		for _, kv := range cmd.Env {
			if i := strings.IndexByte(kv, '='); i <= 0 || strings.IndexByte(kv, 0) >= 0 {
				t.Errorf("environment entry %q", kv)
			}
		}
		if ctx.Err() != nil {
			t.Errorf("%q took too long", text)
		}
	})
}

func BenchmarkResolve(b *testing.B) {
	for _, bb := range []struct {
		name  string
		image tree
	}{{"directory", plain}, {"built", built}, {"converted", converted}} {
		b.Run(bb.name, func(b *testing.B) {
			in := bb.image.inside(b)
			host := []string{"PATH=/bin", "HOME=/x", "LANG=C", "TERM=xterm", "USER=ada", "SLURM_JOB_ID=1"}
			s, _ := New(execTrue(func(o *Options) { o.Host = host }))
			for b.Loop() {
				if _, err := s.Resolve(in); err != nil {
					b.Fatal(err)
				}
			}
		})
	}
}
