package env

import (
	"bytes"
	"encoding/binary"
	"errors"
	"os"
	"path/filepath"
	"reflect"
	"runtime"
	"strings"
	"testing"

	"golang.org/x/sys/unix"
)

// elfFile is the head of a little-endian 64-bit ELF file for a machine, with a loader
// when one is named.
func elfFile(machine uint16, loader string) string {
	var b bytes.Buffer
	b.WriteString("\x7fELF\x02\x01\x01" + strings.Repeat("\x00", 9))
	for _, field := range []any{uint16(2), machine, uint32(1), uint64(0), uint64(64), uint64(0), uint32(0), uint16(64), uint16(56), uint16(1), uint16(0), uint16(0), uint16(0)} {
		binary.Write(&b, binary.LittleEndian, field)
	}
	kind := uint32(1)
	if loader != "" {
		kind = ptInterp
	}
	size := uint64(len(loader) + 1)
	for _, field := range []any{kind, uint32(4), uint64(120), uint64(120), uint64(120), size, size, uint64(1)} {
		binary.Write(&b, binary.LittleEndian, field)
	}
	return b.String() + loader + "\x00"
}

func TestExplain(t *testing.T) {
	own := map[string]uint16{"amd64": 62, "arm64": 183}[runtime.GOARCH]
	image := tree{"bin/sh": "ELF"}
	for _, tt := range []struct {
		name, text string
		errno      unix.Errno
		image      tree
		err        error
		part       string
	}{
		{"another machine", elfFile(21, ""), unix.ENOEXEC, image, ErrArch, "ppc64, this one is " + runtime.GOARCH},
		{"an odd machine", elfFile(999, ""), unix.ENOEXEC, image, ErrArch, "machine 999"},
		{"our machine", elfFile(own, ""), unix.ENOEXEC, image, ErrFormat, "damaged"},
		{"cut short", elfFile(own, "")[:20], unix.ENOEXEC, image, ErrFormat, ""},
		{"loader missing", elfFile(own, "/lib/ld-musl.so.1"), unix.ENOENT, image, ErrInterpreter, "(/lib/ld-musl.so.1)"},
		{"loader there", elfFile(own, "/bin/sh"), unix.ENOENT, image, unix.ENOENT, ""},
		{"loader cut off", elfFile(own, "/lib/ld-musl.so.1")[:130], unix.ENOENT, image, unix.ENOENT, ""},
		{"script interpreter missing", "#!/usr/bin/perl -w\n", unix.ENOENT, image, ErrInterpreter, "(/usr/bin/perl)"},
		{"script interpreter not executable", "#!/data\n", unix.EACCES, image.with(tree{"data": "x"}), ErrNotExecutable, "its interpreter /data"},
		{"forbidden", "x", unix.EACCES, image, ErrNotExecutable, "/bin/x"},
		{"too long", "x", unix.E2BIG, image, unix.E2BIG, "too long"},
		{"binary data", "a\x00b\n", unix.ENOEXEC, image, ErrFormat, ""},
		{"empty", "", unix.ENOEXEC, image, ErrFormat, ""},
		{"script without #!, no shell", "echo\n", unix.ENOEXEC, tree{}, ErrNoShell, "without a #! line"},
		{"anything else", "x", unix.EPERM, image, unix.EPERM, `"x": operation not permitted`},
	} {
		in := tt.image.with(tree{"bin/x": tt.text}).inside(t)
		_, err := in.Explain(Command{Path: "/bin/x", Argv: []string{"x"}}, tt.errno)
		var exec *ExecError
		if !errors.As(err, &exec) || !errors.Is(err, tt.err) || !strings.Contains(err.Error(), tt.part) {
			t.Errorf("%s: Explain(%v) = %v; want %v with %q", tt.name, tt.errno, err, tt.err, tt.part)
		}
	}

	in := image.with(tree{"bin/x": "echo $1\n"}).inside(t)
	cmd, err := in.Explain(Command{Path: "/bin/x", Argv: []string{"x", "a"}, Env: []string{"A=1"}}, unix.ENOEXEC)
	want := Command{Path: "/bin/sh", Argv: []string{"/bin/sh", "/bin/x", "a"}, Env: []string{"A=1"}}
	if err != nil || !reflect.DeepEqual(cmd, want) {
		t.Errorf("a script without #!: %+v, %v; want %+v", cmd, err, want)
	}
	if _, err = in.Explain(Command{Path: "/gone", Argv: []string{"gone"}}, unix.ENOENT); !errors.Is(err, ErrNoFile) {
		t.Errorf("a file that has vanished: %v; want %v", err, ErrNoFile)
	}
}

// The loader that a real program of this machine names exists.
func TestLoader(t *testing.T) {
	file, err := filepath.EvalSymlinks("/bin/sh")
	if err != nil {
		t.Skip("no /bin/sh here")
	}
	data, err := os.ReadFile(file)
	if err != nil {
		t.Fatal(err)
	}
	head := data[:min(len(data), 4096)]
	machine, ok := elfMachine(head)
	loader := elfLoader(head)
	if !ok || machineName(machine) != strings.TrimSuffix(runtime.GOARCH, "le") || (loader != "" && Inside{}.kind(loader) != regular) {
		t.Errorf("%s: machine %s, loader %q", file, machineName(machine), loader)
	}
}

func FuzzELF(f *testing.F) {
	f.Add([]byte(elfFile(62, "/lib/ld.so")))
	f.Add([]byte("\x7fELF\x01\x02" + strings.Repeat("\xff", 60)))
	f.Fuzz(func(t *testing.T, head []byte) {
		if loader := elfLoader(head); len(loader) > len(head) {
			t.Errorf("loader of %d bytes in %d", len(loader), len(head))
		}
		elfMachine(head)
	})
}

func TestLines(t *testing.T) {
	s, warnings := New(Options{Action: Exec, Home: "/h", ImageName: "i", ImagePath: "/i", SetEnv: []string{"A=x y", "HOME=/x", "bad"}, Host: []string{"APPTAINERENV_B=1", "C=1"}})
	lines := s.Lines()
	want := [][2]string{{"B=1", "APPTAINERENV_B"}, {"A='x y'", "--env"}}
	if len(lines) < 2 || !reflect.DeepEqual(lines[len(lines)-2:], want) || lines[0] != [2]string{"HOME=/h", "default"} {
		t.Errorf("Lines() = %q; want HOME first and %q last", lines, want)
	}
	wantWarnings := []string{"Overriding HOME environment variable with APPTAINERENV_HOME is not permitted", `--env "bad" is ignored: it is not of the form NAME=VALUE`}
	if !reflect.DeepEqual(warnings, wantWarnings) {
		t.Errorf("warnings %q; want %q", warnings, wantWarnings)
	}
}
