package fuse

import (
	"errors"
	"fmt"
	"os"
	"os/exec"
	"os/user"
	"slices"
	"strconv"
	"strings"
	"syscall"
	"testing"

	"golang.org/x/sys/unix"
)

// The tests run as an ordinary user in a user and a mount namespace of their
// own: the test binary runs itself again, first as another user if it was
// started by root, then in the namespaces.
const (
	stageKey  = "CORACLE_FUSE_TEST_STAGE"
	reasonKey = "CORACLE_FUSE_TEST_SKIP"
	testUser  = "coratest"
)

func TestMain(m *testing.M) {
	stage := os.Getenv(stageKey)
	var attr *syscall.SysProcAttr
	var err error
	switch {
	case stage == "namespace" || slices.ContainsFunc(os.Args, isFuzzing):
		os.Exit(m.Run())
	case os.Geteuid() == 0:
		stage = "user"
		attr, err = becomeUser()
	default:
		stage = "namespace"
		attr = namespaces(os.Getuid(), os.Getgid())
	}
	if err == nil {
		err = again(stage, attr)
	}
	var exit *exec.ExitError
	switch {
	case err == nil:
		os.Exit(0)
	case errors.As(err, &exit):
		os.Exit(exit.ExitCode())
	}
	// What needs no mount can be tested all the same.
	os.Setenv(reasonKey, err.Error())
	os.Exit(m.Run())
}

// isFuzzing recognizes the flag of a fuzzer or its worker, which need no mount
// and keep files where only the first user may.
func isFuzzing(arg string) bool { return strings.HasPrefix(arg, "-test.fuzz") }

// again runs this program with the same arguments.
func again(stage string, attr *syscall.SysProcAttr) error {
	args := slices.DeleteFunc(slices.Clone(os.Args[1:]), func(a string) bool {
		return strings.HasPrefix(a, "-test.testlogfile=") // in a directory of the first user's
	})
	c := exec.Command("/proc/self/exe", args...)
	c.Env = append(os.Environ(), stageKey+"="+stage)
	c.Stdin, c.Stdout, c.Stderr = os.Stdin, os.Stdout, os.Stderr
	c.SysProcAttr = attr
	return c.Run()
}

func namespaces(uid, gid int) *syscall.SysProcAttr {
	return &syscall.SysProcAttr{
		Cloneflags:  syscall.CLONE_NEWUSER | syscall.CLONE_NEWNS,
		UidMappings: []syscall.SysProcIDMap{{ContainerID: uid, HostID: uid, Size: 1}},
		GidMappings: []syscall.SysProcIDMap{{ContainerID: gid, HostID: gid, Size: 1}},
		AmbientCaps: []uintptr{unix.CAP_SYS_ADMIN},
	}
}

// becomeUser makes the test's user if there is none.
func becomeUser() (*syscall.SysProcAttr, error) {
	u, err := user.Lookup(testUser)
	if err != nil {
		out, e := exec.Command("useradd", "--no-create-home", "--shell", "/bin/sh", testUser).CombinedOutput()
		if u, err = user.Lookup(testUser); err != nil {
			return nil, fmt.Errorf("no user %s: useradd: %v: %s", testUser, e, out)
		}
	}
	uid, _ := strconv.ParseUint(u.Uid, 10, 32)
	gid, _ := strconv.ParseUint(u.Gid, 10, 32)
	return &syscall.SysProcAttr{Credential: &syscall.Credential{Uid: uint32(uid), Gid: uint32(gid)}}, nil
}

// skip leaves a test out because this host lacks something; in CI that is a
// failure.
func skip(t testing.TB, format string, args ...any) {
	t.Helper()
	if os.Getenv("CORACLE_CI") == "1" {
		t.Fatalf("in CI nothing is skipped: "+format, args...)
	}
	t.Skipf(format, args...)
}
