// Package user gives the end-to-end tests, the demonstration and the benchmarks an
// ordinary user to run as: a test that only root can pass proves nothing.
//
// Started as root, it makes an account with a home directory, ranges of subordinate
// ids and one supplementary group. Started by an ordinary user, that user is the one.
package user

import (
	"errors"
	"fmt"
	"os"
	"os/exec"
	osuser "os/user"
	"path/filepath"
	"strconv"
	"strings"
	"syscall"
)

// Group is the supplementary group of the account that root makes.
const Group = "coragroup"

// name is that account's. The tests of two checkouts on one machine get into each other's
// way unless CORACLE_TEST_USER tells them apart: they look at all processes of their user.
func name() string {
	if n := os.Getenv("CORACLE_TEST_USER"); n != "" {
		return n
	}
	return "corauser"
}

// An Account is an ordinary user.
type Account struct {
	Name     string
	UID, GID int
	Groups   []int // supplementary groups, GID left out
	Home     string
}

// Ordinary returns the account to run as: the caller's own, or, for root, the
// account made for that, when it is missing.
func Ordinary() (Account, error) {
	if os.Getuid() != 0 {
		return current()
	}
	if err := ensure(); err != nil {
		return Account{}, err
	}
	u, err := osuser.Lookup(name())
	if err != nil {
		return Account{}, err
	}
	g, err := osuser.LookupGroup(Group)
	if err != nil {
		return Account{}, err
	}
	a := Account{Name: name(), Home: u.HomeDir}
	ids := make([]int, 3)
	for i, s := range []string{u.Uid, u.Gid, g.Gid} {
		if ids[i], err = strconv.Atoi(s); err != nil {
			return Account{}, fmt.Errorf("user database: %w", err)
		}
	}
	a.UID, a.GID, a.Groups = ids[0], ids[1], ids[2:]
	return a, nil
}

func current() (Account, error) {
	u, err := osuser.Current()
	if err != nil {
		return Account{}, err
	}
	groups, err := os.Getgroups()
	if err != nil {
		return Account{}, err
	}
	a := Account{Name: u.Username, UID: os.Getuid(), GID: os.Getgid(), Home: u.HomeDir}
	for _, g := range groups {
		if g != a.GID {
			a.Groups = append(a.Groups, g)
		}
	}
	return a, nil
}

// ensure makes the group, the account and its ranges of subordinate ids.
func ensure() error {
	if _, err := osuser.LookupGroup(Group); err != nil {
		if err := run("groupadd", Group); err != nil {
			return err
		}
	}
	if _, err := osuser.Lookup(name()); err != nil {
		if err := run("useradd", "--create-home", "--shell", "/bin/bash", "--comment", "coracle tests", name()); err != nil {
			return err
		}
	}
	for file, flag := range map[string]string{"/etc/subuid": "--add-subuids", "/etc/subgid": "--add-subgids"} {
		data, err := os.ReadFile(file)
		if err != nil && !errors.Is(err, os.ErrNotExist) {
			return err
		}
		if strings.Contains("\n"+string(data), "\n"+name()+":") {
			continue
		}
		if err := os.WriteFile(file, data, 0o644); err != nil { // usermod wants the file to be there
			return err
		}
		if err := run("usermod", flag, "2000000-2065535", name()); err != nil {
			return err
		}
	}
	return nil
}

func run(name string, args ...string) error {
	cmd := exec.Command(name, args...)
	cmd.Env = append(os.Environ(), "PATH=/usr/sbin:/usr/bin:/sbin:/bin:"+os.Getenv("PATH"))
	if path, err := exec.LookPath("/usr/sbin/" + name); err == nil {
		cmd.Path, cmd.Err = path, nil
	}
	if out, err := cmd.CombinedOutput(); err != nil {
		return fmt.Errorf("%s %s: %w\n%s", name, strings.Join(args, " "), err, out)
	}
	return nil
}

// OpenFuse gives every user access to /dev/fuse, as udev does on a real machine;
// a bare virtual machine has no udev. It does nothing when nothing is to be done.
func OpenFuse() error {
	info, err := os.Stat("/dev/fuse")
	if err != nil || info.Mode().Perm()&0o006 == 0o006 {
		return nil // a missing device is for the tests to report
	}
	if os.Getuid() == 0 {
		return os.Chmod("/dev/fuse", 0o666)
	}
	return run("sudo", "-n", "chmod", "0666", "/dev/fuse")
}

// Command prepares a command that runs as the account with a login's environment:
// exactly HOME, USER, LOGNAME, SHELL, LANG, PATH, and CI where the caller has it.
func (a Account) Command(name string, args ...string) *exec.Cmd {
	cmd := exec.Command(name, args...)
	cmd.Stdin, cmd.Stdout, cmd.Stderr = os.Stdin, os.Stdout, os.Stderr
	cmd.Env = []string{
		"HOME=" + a.Home, "USER=" + a.Name, "LOGNAME=" + a.Name, "SHELL=/bin/bash", "LANG=C.UTF-8",
		"PATH=/usr/local/bin:/usr/bin:/bin:/usr/sbin:/sbin",
	}
	if ci, ok := os.LookupEnv("CI"); ok {
		cmd.Env = append(cmd.Env, "CI="+ci)
	}
	if os.Getuid() == a.UID {
		return cmd
	}
	groups := make([]uint32, 0, len(a.Groups)+1)
	for _, g := range append([]int{a.GID}, a.Groups...) {
		groups = append(groups, uint32(g))
	}
	cmd.SysProcAttr = &syscall.SysProcAttr{
		Credential: &syscall.Credential{Uid: uint32(a.UID), Gid: uint32(a.GID), Groups: groups},
	}
	return cmd
}

// Stage makes a directory that the account owns, with the named files and trees in
// it under their base names, or, for PATH=NAME, as NAME: the place they come from may
// be closed to it. Files are hard links where the file system allows. The caller
// removes the directory.
func (a Account) Stage(paths ...string) (dir string, err error) {
	dir, err = os.MkdirTemp("/var/tmp", "coracle-stage-")
	if err != nil {
		return "", err
	}
	defer func() {
		if err != nil {
			os.RemoveAll(dir)
		}
	}()
	for _, path := range paths {
		path, name, ok := strings.Cut(path, "=")
		if !ok {
			name = filepath.Base(path)
		}
		to := filepath.Join(dir, name)
		if err := os.MkdirAll(filepath.Dir(to), 0o755); err != nil {
			return "", err
		}
		if err := link(path, to); err != nil {
			return "", err
		}
	}
	if err := os.Chmod(dir, 0o755); err != nil {
		return "", err
	}
	return dir, os.Chown(dir, a.UID, a.GID)
}

// Lock waits until nothing else on the machine runs as the account.
func (a Account) Lock() (unlock func(), err error) {
	f, err := os.OpenFile(filepath.Join("/tmp", fmt.Sprintf("coracle-e2e-%d.lock", a.UID)), os.O_RDWR|os.O_CREATE, 0o600)
	if err != nil {
		return nil, err
	}
	if err := syscall.Flock(int(f.Fd()), syscall.LOCK_EX); err != nil {
		f.Close()
		return nil, fmt.Errorf("lock %s: %w", f.Name(), err)
	}
	return func() { f.Close() }, nil
}
