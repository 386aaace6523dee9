package main

import (
	"os"
	"path/filepath"
	"strings"
	"testing"

	"coracle/runtime/probe"

	"github.com/rogpeppe/go-internal/testscript"
)

// The test binary is the program, under each of its names.
func TestMain(m *testing.M) {
	testscript.Main(m, map[string]func(){
		"coracle": main, "apptainer": main, "singularity": main, "run-singularity": main, probe.TrialName: main,
	})
}

func TestScripts(t *testing.T) {
	app, err := os.ReadFile("../../image/testdata/app.squashfs")
	if err != nil {
		t.Fatal(err)
	}
	testscript.Run(t, testscript.Params{
		Dir:                 "testdata",
		RequireExplicitExec: true,
		RequireUniqueNames:  true,
		Setup: func(env *testscript.Env) error {
			env.Setenv("nl", "\n")
			env.Setenv("esc", "\x1b")
			return os.WriteFile(filepath.Join(env.WorkDir, "app.squashfs"), app, 0o644)
		},
		Cmds: map[string]func(ts *testscript.TestScript, neg bool, args []string){"status": scriptStatus},
	})
}

// scriptStatus is `status N command…`: the command ends with exit status N.
func scriptStatus(ts *testscript.TestScript, neg bool, args []string) {
	if neg || len(args) < 2 {
		ts.Fatalf("usage: status N command…")
	}
	err := ts.Exec(args[1], args[2:]...)
	got := "exit status 0"
	if err != nil {
		got = err.Error()
	}
	if want := "exit status " + args[0]; got != want {
		ts.Fatalf("%q: %s, want %s", args[1:], got, want)
	}
}

// Help fits a screen, at every level, and every flag of the table can be parsed.
func TestHelpFits(t *testing.T) {
	for _, cmd := range append(commands(), command{}) {
		var out strings.Builder
		c := &cli{program: "coracle", out: &out}
		var err error
		if cmd.name == "" {
			err = c.printTopHelp()
		} else {
			err = c.printHelp(cmd)
		}
		if err != nil {
			t.Fatal(err)
		}
		lines := strings.Split(strings.TrimSuffix(out.String(), "\n"), "\n")
		if len(lines) > 40 {
			t.Errorf("help of %q has %d lines, want at most 40", cmd.name, len(lines))
		}
		for _, l := range lines {
			if n := len([]rune(l)); n > 110 {
				t.Errorf("help of %q: a line has %d characters: %s", cmd.name, n, l)
			}
		}
	}
}

// The tables are sound: no name twice, one target each, and groups begin with a heading.
func TestTables(t *testing.T) {
	for _, cmd := range commands() {
		flags, do := cmd.build()
		if do == nil {
			t.Errorf("%s: nothing carries it out", cmd.name)
		}
		seen := map[string]bool{}
		for i, f := range flags {
			if i == 0 && f.group == "" {
				t.Errorf("%s: the first flag has no group", cmd.name)
			}
			names := []string{f.name}
			if f.short != 0 {
				names = append(names, string(f.short))
			}
			for _, n := range names {
				if seen[n] || n == "help" || n == "h" {
					t.Errorf("%s: flag %q is there twice", cmd.name, n)
				}
				seen[n] = true
			}
			targets := 0
			for _, set := range []bool{f.on != nil, f.count != nil, f.str != nil, f.list != nil} {
				if set {
					targets++
				}
			}
			if targets != 1 || f.isSwitch() == (f.arg != "") {
				t.Errorf("%s --%s: %d targets, value %q", cmd.name, f.name, targets, f.arg)
			}
			if !f.hidden && f.help == "" {
				t.Errorf("%s --%s has no help", cmd.name, f.name)
			}
		}
	}
}
