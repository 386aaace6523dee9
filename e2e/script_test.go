package e2e

import (
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
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

// TestModes runs some scripts as on a host without /dev/fuse, and as on one without overlayfs in user namespaces. All of them
// run so with MODE=unsquash and MODE=underlay.
func TestModes(t *testing.T) {
	if os.Getenv(modeKey) != "" {
		t.Skip("all scripts run in a mode")
	}
	for mode, scripts := range map[string][]string{
		"unsquash": {"bind_links", "home", "image_forms", "mounts_default"},
		"underlay": {"bind_forms", "exec_status", "home", "mounts_contain", "mounts_default", "pwd"},
	} {
		t.Run(mode, func(t *testing.T) {
			t.Setenv(modeKey, mode)
			for _, script := range scripts {
				runScript(t, filepath.Join("testdata", script+".txtar"), setup)
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

func (t oneByOne) Run(name string, f func(testscript.T)) {
	t.T.Run(name, func(t *testing.T) { f(oneByOne{t}) })
}

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
	switch mode := os.Getenv(modeKey); mode {
	case "":
	case "unsquash", "underlay":
		env.Setenv("CORACLE_"+strings.ToUpper(mode), "1")
	default:
		return fmt.Errorf("%s=%s: want unsquash or underlay", modeKey, mode)
	}
	env.Setenv("ATTRS", filepath.Join(fixtures, "attrs"))
	return os.RemoveAll(filepath.Join(env.WorkDir, ".tmp"))
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
