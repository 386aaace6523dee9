package main

import (
	"bytes"
	"os"
	"os/exec"
	"strings"
	"testing"
)

// apparmorParser is where the program is on the systems that have it; it is on nobody's path but root's.
const apparmorParser = "/sbin/apparmor_parser"

// The profile is one that AppArmor's own parser takes, however odd the program's path. Parsers before 4 know neither user
// namespaces nor the features of Ubuntu 24.04: they are shown the rest.
func TestAppArmorProfile(t *testing.T) {
	version, err := exec.Command(apparmorParser, "--version").Output()
	if err != nil {
		if os.Getenv("CORACLE_CI") == "1" {
			t.Fatal(err)
		}
		t.Skipf("no %s", apparmorParser)
	}
	for _, program := range []string{"/usr/local/bin/coracle", `/opt/a b/{x,y}[z]*?^@{HOME}"\/coracle`} {
		profile := apparmorText(program)
		if bytes.Contains(version, []byte("version 3.")) {
			profile = strings.NewReplacer("abi/4.0", "abi/3.0", "  userns,\n", "").Replace(profile)
		}
		cmd := exec.Command(apparmorParser, "--skip-kernel-load", "--skip-cache", "--names")
		cmd.Stdin = strings.NewReader(profile)
		if out, err := cmd.CombinedOutput(); err != nil || !strings.Contains(string(out), "coracle\n") {
			t.Errorf("%s: %v\n%s\n%s", program, err, out, profile)
		}
		cmd = exec.Command(apparmorParser, "--skip-kernel-load", "--skip-cache", "--stdout")
		cmd.Stdin = strings.NewReader(profile)
		if out, err := cmd.Output(); err != nil || len(out) == 0 {
			t.Errorf("%s: %v, %d bytes of policy", program, err, len(out))
		}
	}
}
