package env

import (
	"slices"
	"strings"
)

// DefaultPath is PATH for images that do not set one.
const DefaultPath = "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin"

const (
	// libsPath is where libraries of the host's drivers are bound.
	libsPath = "/.singularity.d/libs"
	// buildEnvPath is the script that %post sections append to.
	buildEnvPath = "/.singularity.d/env/91-environment.sh"
)

// The prefixes of the keys that configure the runtime; none of them enters the container.
const (
	coraclePrefix     = "CORACLE_"
	apptainerPrefix   = "APPTAINER_"
	singularityPrefix = "SINGULARITY_"
)

// setPrefixes are the prefixes of keys that set a variable inside, weakest first.
var setPrefixes = [...]string{"SINGULARITYENV_", "APPTAINERENV_", "CORACLEENV_"}

// The variables with a rule of their own among those that a user may set.
const (
	keyPath           = "PATH"
	keyPrependPath    = "PREPEND_PATH"
	keyAppendPath     = "APPEND_PATH"
	keyLibrary        = "LD_LIBRARY_PATH"
	keyPrependLibrary = "PREPEND_LD_LIBRARY_PATH"
	keyAppendLibrary  = "APPEND_LD_LIBRARY_PATH"
)

// fixed says whether a variable is the container's own business: it is neither taken
// from the host nor set by the user.
func fixed(name string) bool {
	switch name {
	case "EUID", "GID", "HOME", "IFS", "OPTIND", "PWD", "UID":
		return true
	}
	return false
}

// internal says whether name belongs to one of the families that configure the runtime
// (CORACLE_X) or that set variables inside (CORACLEENV_X).
func internal(name string) bool {
	return setter(name) != "" || strings.HasPrefix(name, coraclePrefix) ||
		strings.HasPrefix(name, apptainerPrefix) || strings.HasPrefix(name, singularityPrefix)
}

// setter returns the prefix of setPrefixes that name has, or "".
func setter(name string) string {
	for _, p := range setPrefixes {
		if strings.HasPrefix(name, p) {
			return p
		}
	}
	return ""
}

// passesClean says whether a variable is passed on even with --cleanenv.
func passesClean(name string) bool {
	switch strings.ToLower(name) {
	case "http_proxy", "https_proxy", "no_proxy", "all_proxy", "ftp_proxy":
		return name == strings.ToLower(name) || name == strings.ToUpper(name)
	}
	return name == "TERM" || processManagement(name)
}

// processManagement says whether name is one of the variables by which an MPI library finds the process
// manager that started it: without them every rank would be alone in a world of its own.
//
// Source: what mpirun of OpenMPI (PMIx, PRRTE), mpiexec of MPICH (Hydra), srun and Cray's PALS set for their
// ranks. OpenMPI under srun looks for the job and its step in Slurm's own.
func processManagement(name string) bool {
	for _, prefix := range []string{"PMI_", "PMIX_", "OMPI_", "PRTE_", "HYDI_", "HYDRA_", "MPI_LOCAL", "MPIR_CVAR_", "SLURM_", "SLURMD_", "PALS_"} {
		if strings.HasPrefix(name, prefix) {
			return true
		}
	}
	return false
}

// identifier says whether a shell can assign to name.
func identifier(name string) bool {
	if name == "" || (name[0] >= '0' && name[0] <= '9') {
		return false
	}
	return !strings.ContainsFunc(name, func(r rune) bool {
		return r != '_' && (r < 'a' || r > 'z') && (r < 'A' || r > 'Z') && (r < '0' || r > '9')
	})
}

// withDefaults appends to a list of directories those of [DefaultPath] that it lacks.
// Empty elements, which would mean the working directory, are dropped: they come from
// scripts that extend a PATH that is not set.
func withDefaults(list string) string {
	dirs := slices.DeleteFunc(splitPath(list), func(dir string) bool { return dir == "" })
	for dir := range strings.SplitSeq(DefaultPath, ":") {
		if !slices.Contains(dirs, dir) {
			dirs = append(dirs, dir)
		}
	}
	return strings.Join(dirs, ":")
}

// splitPath splits a colon-separated list; the empty string is an empty list.
func splitPath(list string) []string {
	if list == "" {
		return nil
	}
	return strings.Split(list, ":")
}

// joinPath joins two colon-separated lists, either of which may be empty.
func joinPath(a, b string) string {
	if a == "" || b == "" {
		return a + b
	}
	return a + ":" + b
}

// Candidates are the paths that a command may have in a container whose PATH is the usual one.
func Candidates(command string) []string {
	if strings.Contains(command, "/") {
		return []string{command}
	}
	var list []string
	for dir := range strings.SplitSeq(DefaultPath, ":") {
		list = append(list, dir+"/"+command)
	}
	return list
}
