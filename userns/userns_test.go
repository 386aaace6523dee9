package userns

import (
	"bytes"
	"os"
	"os/exec"
	"slices"
	"strings"
	"syscall"
	"testing"

	"golang.org/x/sys/unix"
)

// The test binary is a program that tells what it inherited and becomes another with it.
func TestMain(m *testing.M) {
	if len(os.Args) > 2 && os.Args[1] == "become" {
		err := Exec(os.Args[2], os.Args[2:], []string{"ONLY=this"}, Recorded())
		os.Stderr.WriteString(err.Error() + "\n")
		os.Exit(255)
	}
	if len(os.Args) > 2 && os.Args[1] == "spawn" {
		if err := Spawn(os.Args[2], os.Args[2:], os.Environ()); err != nil {
			os.Stderr.WriteString(err.Error() + "\n")
			os.Exit(255)
		}
		var status syscall.WaitStatus
		_, err := syscall.Wait4(-1, &status, 0, nil)
		os.Stdout.WriteString("children: " + err.Error() + "\n")
		os.Exit(0)
	}
	if o := Stage(); o.Role == Enter {
		tellOutcome(o)
		os.Exit(0)
	}
	if len(os.Args) == 2 && os.Args[1] == "fake" {
		fakeAll()
		os.Exit(0)
	}
	os.Exit(m.Run())
}

func self(t *testing.T) string {
	t.Helper()
	path, err := os.Executable()
	if err != nil {
		t.Fatal(err)
	}
	return path
}

func TestHeaderEncode(t *testing.T) {
	h := Header{Role: Serve, Namespaces: syscall.CLONE_NEWNS, Sock: 4, Pidfd: -1, UIDMap: "0 1 1\n", GIDMap: "0 2 1\n"}
	b, err := h.Encode()
	if err != nil || len(b) != HeaderLen || !bytes.HasPrefix(b, []byte("CORACLE")) || !bytes.Contains(b, []byte("0 2 1\n\x00")) {
		t.Errorf("Encode = %d bytes, %v; want %d that begin with the magic", len(b), err, HeaderLen)
	}
	h.UIDMap = strings.Repeat("0 1 1\n", 1000)
	if _, err := h.Encode(); err == nil {
		t.Error("Encode took an id map of 6000 bytes")
	}
	h = Header{NewUIDMap: strings.Repeat("/", 128)}
	if _, err := h.Encode(); err == nil {
		t.Error("Encode took a path of 128 bytes")
	}
}

// The shell around it ignores a signal, blocks none and closes standard input; the program
// behind Exec finds the same.
func TestExecRestores(t *testing.T) {
	script := `trap '' USR1 HUP; ulimit -S -n 77; exec "$0" become /bin/sh -c 'grep SigIgn /proc/self/status; ulimit -S -n; env; [ -e /proc/self/fd/0 ] || echo closed; ls -l /proc/self/fd/3' <&- 3</dev/null`
	var outcome [2]string
	for i, program := range []string{`"$0" become /bin/sh`, `env -i ONLY=this /bin/sh`} {
		cmd := exec.Command("/bin/sh", "-c", strings.Replace(script, `"$0" become /bin/sh`, program, 1), self(t))
		out, err := cmd.Output()
		if err != nil {
			t.Fatalf("%s: %v", program, err)
		}
		text, _, _ := strings.Cut(string(out), " /proc/self/fd/3")
		outcome[i] = text[:strings.LastIndex(text, "\n")] // ls prints a time
	}
	if outcome[0] != outcome[1] || !strings.Contains(outcome[0], "77\n") {
		t.Errorf("behind Exec:\n%s\nwant what the bare command has:\n%s", outcome[0], outcome[1])
	}
}

func TestExecFails(t *testing.T) {
	cmd := exec.Command(self(t), "become", "/nowhere/at/all")
	out, err := cmd.CombinedOutput()
	if err == nil || string(out) != "no such file or directory\n" {
		t.Errorf("Exec of a missing file: %q, %v", out, err)
	}
}

// A spawned process is nobody's child.
func TestSpawn(t *testing.T) {
	out, err := exec.Command(self(t), "spawn", "/bin/sh", "-c", "exec >/dev/null; sleep 0.2").Output()
	if err != nil || string(out) != "children: no child processes\n" {
		t.Errorf("after Spawn: %q, %v; want no child", out, err)
	}
	out, err = exec.Command(self(t), "spawn", "/nowhere/at/all").CombinedOutput()
	if err == nil || string(out) != "no such file or directory\n" {
		t.Errorf("Spawn of a missing file: %q, %v", out, err)
	}
}

// The payload's environment is what the C library knows, whatever Go was told.
func TestEnviron(t *testing.T) {
	t.Setenv("CORACLE_TEST_ENVIRON", "a=b")
	if !slices.Contains(Environ(), "CORACLE_TEST_ENVIRON=a=b") {
		t.Errorf("Environ lacks what setenv(3) has set: %q", Environ())
	}
	if len(Environ()) != len(os.Environ()) {
		t.Errorf("Environ has %d variables, os.Environ %d", len(Environ()), len(os.Environ()))
	}
}

// A name that says where a server is can be had once.
func TestClaim(t *testing.T) {
	first := Claim(uint64(os.Getpid()), 1<<40)
	if first < 0 {
		t.Fatal("Claim: somebody has it already")
	}
	if again := Claim(uint64(os.Getpid()), 1<<40); again >= 0 {
		t.Error("Claim: had twice")
	}
	unix.Close(first)
	again := Claim(uint64(os.Getpid()), 1<<40)
	if again < 0 {
		t.Error("Claim: not free after the end")
	}
	unix.Close(again)
}
