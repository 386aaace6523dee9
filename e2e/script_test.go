package e2e

import (
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/rogpeppe/go-internal/testscript"
)

// TestScripts runs testdata/*.txtar. Beside testscript's own commands there are those
// of [commands]; beside its own variables:
//
//	$F        the fixtures: $F/debian-zstd.sif, $F/busybox.sif, $F/busybox (a directory)
//	$DEBIAN   $F/debian-zstd.sif
//	$BUSYBOX  $F/busybox.sif
//	$MPI      $F/mpi.sqsh, with OpenMPI, MPICH and /opt/ring.* (probe/ring.c); $F/ring.* are for the host
//	$DNF      $F/dnf.sqsh, with dnf, rpm, createrepo_c and pip
//	$ATTRS    a static program that sets and prints process attributes (probe/attrs.c)
//
// coracle, apptainer and singularity are on PATH.
func TestScripts(t *testing.T) {
	scripts, err := filepath.Glob("testdata/*.txtar")
	if err != nil || len(scripts) == 0 {
		t.Fatalf("no scripts: %v", err)
	}
	for _, script := range scripts {
		runScript(t, script, setup)
	}
}

// inModes are the scripts that [TestModes] runs: those that are done in a second or so. What is about images that are not run, about
// files' contents, and what starts a container of Debian often while that is extracted each time, takes longer.
var inModes = map[string]string{
	"underlay": `^(argv|background|bad|bind|caller_(cwltool|glideinwms|htcondor|names|workflows)|config|dry|env|exec|fakeroot_(apt|dnf|dpkg|filter|ids)|` +
		`flags|gpu|hash_zstd|home|image_forms|inherit|instance|mounts|namespaces|nested|no_mount|overlay_(dir|full|scratch|sif|stack|tmpfs)|pwd|run|sandbox_writable|stdio|terminal|timing)`,
	"unsquash": `^(argv|bad|bind|caller_(cwltool|glideinwms|htcondor|names)|config|dry|env_(empty|rules)|exec_pid|flags|gpu|home|image_forms|` +
		`inherit_(descriptors|groups|memory)|mounts|overlay_(dir|full|sif)|pwd|run|sandbox_writable|terminal_shell|timing)`,
	"joined": `^(argv|bind_environment|env_rules|exec_(interpreters|status)|inherit|mounts_default|pwd|terminal_signals)`,
}

// TestModes runs some scripts as on a host without /dev/fuse, as on one without overlayfs in user namespaces, and as launches that find an image
// server running. All of them run so with
// MODE=unsquash and MODE=underlay.
func TestModes(t *testing.T) {
	if os.Getenv(modeKey) != "" {
		t.Skip("all scripts run in a mode")
	}
	all, err := filepath.Glob("testdata/*.txtar")
	if err != nil {
		t.Fatal(err)
	}
	for mode, names := range inModes {
		t.Run(mode, func(t *testing.T) {
			t.Setenv(modeKey, mode)
			chosen := regexp.MustCompile(names)
			for _, script := range all {
				if chosen.MatchString(filepath.Base(script)) {
					runScript(t, script, setup)
				}
			}
		})
	}
}

func runScript(t *testing.T, script string, setup func(*testscript.Env) error) {
	testscript.RunT(oneByOne{t}, testscript.Params{
		Files:              []string{script},
		Setup:              setup,
		Condition:          condition,
		Cmds:               commands(),
		RequireUniqueNames: true,
		Deadline:           time.Now().Add(scriptLimit()),
	})
}

// scriptLimit is how long a script may take before it counts as hanging. Extracting a Debian image anew for each launch takes
// its time.
func scriptLimit() time.Duration {
	if os.Getenv(modeKey) == "unsquash" {
		return 6 * time.Minute
	}
	return 2 * time.Minute
}

// oneByOne is a test whose subtests never run in parallel: scripts look at all
// processes of their user.
type oneByOne struct{ *testing.T }

func (t oneByOne) Parallel() {}

func (t oneByOne) Verbose() bool { return testing.Verbose() }

// Run runs a script, and ends what it has left running: the scripts after it are not to fail for that, too.
func (t oneByOne) Run(name string, f func(testscript.T)) {
	passed := t.T.Run(name, func(t *testing.T) { f(oneByOne{t}) })
	left := leftRunning()
	for _, p := range left {
		syscall.Kill(p.pid, syscall.SIGKILL)
	}
	if passed && len(left) > 0 {
		t.Errorf("%s left behind: %v", name, left)
	}
	if !passed || len(left) > 0 {
		failures = append(failures, t.Name()+"/"+name)
	}
}

// failures are the scripts that failed, named once more at the end: the log of all of them is long.
var failures []string

func setup(env *testscript.Env) error {
	stage := os.Getenv(stageKey)
	fixtures := filepath.Join(stage, "fixtures")
	env.Vars = slices.DeleteFunc(env.Vars, func(v string) bool { return strings.HasPrefix(v, "TMPDIR=") || strings.HasPrefix(v, "GOTRACEBACK=") })
	env.Setenv("PATH", stage+":"+os.Getenv("PATH"))
	for _, key := range []string{"HOME", "USER", "LOGNAME", "LANG"} {
		env.Setenv(key, os.Getenv(key))
	}
	env.Setenv("PWD", env.WorkDir)
	env.Setenv("UID", fmt.Sprint(os.Getuid()))
	env.Setenv("GID", fmt.Sprint(os.Getgid()))
	env.Setenv("F", fixtures)
	env.Setenv("DEBIAN", filepath.Join(fixtures, "debian-zstd.sif"))
	env.Setenv("BUSYBOX", filepath.Join(fixtures, "busybox.sif"))
	env.Setenv("MPI", filepath.Join(fixtures, "mpi.sqsh"))
	env.Setenv("DNF", filepath.Join(fixtures, "dnf.sqsh"))
	if name, err := modeVariable(); err != nil {
		return err
	} else if name != "" {
		env.Setenv(name, "1")
	}
	env.Setenv("ATTRS", filepath.Join(fixtures, "attrs"))
	if os.Getenv(modeKey) == "joined" {
		if err := hold(env); err != nil {
			return err
		}
	}
	return os.RemoveAll(filepath.Join(env.WorkDir, ".tmp"))
}

// modeVariable names the variable that puts coracle into the mode of this run; "" none does.
func modeVariable() (string, error) {
	switch mode := os.Getenv(modeKey); mode {
	case "", "joined":
		return "", nil
	case "unsquash", "underlay":
		return "CORACLE_" + strings.ToUpper(mode), nil
	default:
		return "", fmt.Errorf("%s=%s: want unsquash, underlay or joined", modeKey, mode)
	}
}

// features are what scripts may ask for, and how to find out.
var features = map[string]func() error{
	"fuse": func() error {
		f, err := os.OpenFile("/dev/fuse", os.O_RDWR, 0)
		if err != nil {
			return err
		}
		return f.Close()
	},
	"userns": func() error { return try("unshare", "--user", "--map-current-user", "--mount", "true") },
	"pidns":  func() error { return try("unshare", "--user", "--map-current-user", "--pid", "--fork", "true") },
	"netns":  func() error { return try("unshare", "--user", "--map-current-user", "--net", "true") },
	"overlay": func() error {
		return try("unshare", "--user", "--map-root-user", "--mount", "sh", "-c",
			`mount -t tmpfs none /mnt && mkdir /mnt/l /mnt/m && mount -t overlay -o lowerdir=/mnt/l:/mnt/m,userxattr none /mnt/m`)
	},
	"subids": func() error { return try("unshare", "--map-root-user", "--map-auto", "true") },
	"cpus2":  func() error { return try("sh", "-c", `test "$(nproc)" -ge 2`) },
	"mpi": func() error {
		return errors.Join(program("mpirun.openmpi"), program("mpirun.mpich"), file(filepath.Join(os.Getenv(stageKey), "fixtures", "mpi.sqsh")))
	},
	"dnf": func() error { return file(filepath.Join(os.Getenv(stageKey), "fixtures", "dnf.sqsh")) },
	"slurm": func() error {
		return errors.Join(program("munged"), program("slurmctld"), program("slurmd"), program("srun"))
	},
	"fuse2fs":   func() error { return try("sh", "-c", "PATH=$PATH:/usr/sbin; command -v fuse2fs && command -v mke2fs") },
	"snakemake": func() error { return program("snakemake") },
	"cwltool":   func() error { return program("cwltool") },
	"groups":    func() error { return try("sh", "-c", `test "$(id -G | wc -w)" -ge 2`) },
}

// modes are conditions that do not hold in one mode: no feature is missing then.
var modes = map[string]string{
	"mounted":  "unsquash", // image files are mounted
	"overlaid": "underlay", // overlayfs makes missing mount points
}

func program(name string) error {
	_, err := exec.LookPath(name)
	return err
}

func file(path string) error {
	_, err := os.Stat(path)
	return err
}

func try(name string, args ...string) error {
	if out, err := exec.Command(name, args...).CombinedOutput(); err != nil {
		return fmt.Errorf("%s: %w: %s", name, err, out)
	}
	return nil
}

// condition answers [feature]. In CI a missing feature of the kernel is an error, so
// that a skip never passes for a test. An ordinary user who starts the tests may well
// have a single group.
func condition(name string) (bool, error) {
	if mode, ok := modes[name]; ok {
		return os.Getenv(modeKey) != mode, nil
	}
	probe, ok := features[name]
	if !ok {
		return false, fmt.Errorf("unknown condition %q", name)
	}
	err := probe()
	if err != nil && inCI() && name != "groups" {
		return false, fmt.Errorf("[%s] is missing, and nothing may be skipped in CI: %w", name, err)
	}
	return err == nil, nil
}
