// Package e2e runs the real binary on the real kernel as an ordinary user.
//
// Started as root, the tests make such a user and run themselves again as that user
// (package user). The scripts in testdata are one behaviour each; the first line of
// each says which. A script that needs a kernel feature which is missing is skipped by
// name, unless CI=true: then it fails.
package e2e

import (
	"errors"
	"flag"
	"fmt"
	"os"
	"os/exec"
	"os/signal"
	"path/filepath"
	"strings"
	"syscall"
	"testing"

	"coracle/e2e/user"
)

// stageKey names the environment variable that tells the second run of the tests, the
// ordinary user's, where the binary and the images are.
const stageKey = "CORACLE_E2E_STAGE"

// modeKey names the environment variable with the mode of the scripts: "" as the host allows, "unsquash" with image files that
// are extracted, "underlay" without overlayfs for missing mount points.
const modeKey = "CORACLE_TEST_MODE"

func TestMain(m *testing.M) {
	flag.Parse()
	heed(syscall.SIGHUP, syscall.SIGINT)
	if os.Getenv(stageKey) != "" {
		os.Exit(runHere(m))
	}
	status, err := runAsUser()
	if err != nil {
		fmt.Fprintln(os.Stderr, "e2e:", err)
		status = 1
	}
	os.Exit(status)
}

// heed makes sure that programs started from here do not ignore the signals: a test run under nohup
// would hand that on, and payloads inherit what their caller ignores.
func heed(signals ...os.Signal) {
	for _, sig := range signals {
		if signal.Ignored(sig) {
			signal.Notify(make(chan os.Signal, 1), sig)
		}
	}
}

// inCI reports whether this is a run in which nothing may be skipped.
func inCI() bool { return os.Getenv("CI") != "" && os.Getenv("CI") != "false" }

// runAsUser stages the binary, the images and the scripts for the ordinary user and
// runs the test program again as that user.
func runAsUser() (status int, err error) {
	for _, path := range []string{"../bin/coracle", "../bin/fixtures/bad"} {
		if _, err := os.Stat(path); err != nil {
			return 0, fmt.Errorf("%w (`make e2e` makes it)", err)
		}
	}
	account, err := user.Ordinary()
	if err != nil {
		return 0, err
	}
	if err := user.OpenFuse(); err != nil {
		return 0, err
	}
	unlock, err := account.Lock()
	if err != nil {
		return 0, err
	}
	defer unlock()
	self, err := os.Executable()
	if err != nil {
		return 0, err
	}
	stage, err := account.Stage("../bin/coracle", "../bin/siftool", "../bin/fixtures", "testdata", self)
	if err != nil {
		return 0, err
	}
	defer os.RemoveAll(stage)
	cmd := account.Command(filepath.Join(stage, filepath.Base(self)), ownFlags()...)
	cmd.Dir = stage
	cmd.Env = append(cmd.Env, stageKey+"="+stage, soakKey+"="+os.Getenv(soakKey), modeKey+"="+os.Getenv(modeKey))
	err = cmd.Run()
	var exit *exec.ExitError
	if errors.As(err, &exit) {
		return 1, nil
	}
	return 0, err
}

// ownFlags are this run's flags without those that name files of the go command,
// which the ordinary user may not reach.
func ownFlags() (flags []string) {
	for _, f := range os.Args[1:] {
		if !strings.HasPrefix(f, "-test.testlogfile") && !strings.HasPrefix(f, "-test.gocoverdir") {
			flags = append(flags, f)
		}
	}
	return flags
}

// runHere runs the tests in this process and then looks for what they
// left behind.
func runHere(m *testing.M) int {
	if os.Getuid() == 0 {
		fmt.Fprintln(os.Stderr, "e2e: these tests prove nothing when root runs them")
		return 1
	}
	stage := os.Getenv(stageKey)
	for _, name := range []string{"apptainer", "singularity", "run-singularity"} {
		if err := os.Symlink("coracle", filepath.Join(stage, name)); err != nil {
			fmt.Fprintln(os.Stderr, "e2e:", err)
			return 1
		}
	}
	before := files()
	bystanders = processes()
	status := runIn(m)
	for _, f := range failures {
		fmt.Fprintln(os.Stderr, "e2e: failed:", f)
	}
	for _, l := range remains(before, bystanders) {
		fmt.Fprintln(os.Stderr, "e2e: left behind:", l)
		status = 1
	}
	return status
}

// runIn runs the tests with a directory of their own for the scripts' work.
func runIn(m *testing.M) int {
	dir, err := os.MkdirTemp("/tmp", "coracle-e2e-")
	if err != nil {
		fmt.Fprintln(os.Stderr, "e2e:", err)
		return 1
	}
	defer os.RemoveAll(dir)
	if err := os.Setenv("GOTMPDIR", dir); err != nil { // where testscript makes its directories
		fmt.Fprintln(os.Stderr, "e2e:", err)
		return 1
	}
	return m.Run()
}
