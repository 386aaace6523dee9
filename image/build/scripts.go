package build

import "strings"

// Scripts that are the same in every image. What runs in coracle is not these but the
// runtime's own way to do the same; they are for shells inside the container and for
// other runtimes.
const (
	emptyScript = "#!/bin/sh\n"

	sourceEnv = `#!/bin/sh
for script in /.singularity.d/env/*.sh; do
	if [ -f "$script" ]; then
		. "$script"
	fi
done
`
	actionExec = sourceEnv + `exec "$@"
`
	actionRun = sourceEnv + `exec /.singularity.d/runscript "$@"
`
	actionStart = sourceEnv + `exec /.singularity.d/startscript "$@"
`
	actionTest = sourceEnv + `exec /.singularity.d/test "$@"
`
	actionShell = sourceEnv + `if [ -x "$SINGULARITY_SHELL" ]; then
	exec "$SINGULARITY_SHELL" "$@"
elif [ -x /bin/bash ]; then
	exec /bin/bash --norc "$@"
fi
exec /bin/sh "$@"
`

	envBase = `#!/bin/sh
if [ -z "$PATH" ]; then
	PATH=` + defaultPath + `
fi
if [ -z "$LD_LIBRARY_PATH" ]; then
	LD_LIBRARY_PATH=/.singularity.d/libs
fi
export PATH LD_LIBRARY_PATH
`
)

const defaultPath = "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin"

// quote returns s as one word of a shell, whatever is in it.
func quote(s string) string { return "'" + strings.ReplaceAll(s, "'", `'\''`) + "'" }

func quoteAll(words []string) string {
	var quoted []string
	for _, w := range words {
		quoted = append(quoted, quote(w))
	}
	return strings.Join(quoted, " ")
}

// runScript runs what the image says: the entrypoint, followed by the arguments, or by
// cmd where there are none. Neither goes through the shell a second time. An image that
// says nothing runs its arguments, or a shell.
//
// Source: OCI image specification, config.md, "Entrypoint" and "Cmd".
func runScript(entrypoint, cmd []string) string {
	if len(entrypoint) == 0 && len(cmd) == 0 {
		cmd = []string{"/bin/sh"}
	}
	var b strings.Builder
	b.WriteString(emptyScript)
	if len(cmd) > 0 {
		b.WriteString("if [ $# -eq 0 ]; then\n\tset -- " + quoteAll(cmd) + "\nfi\n")
	}
	b.WriteString("exec ")
	if len(entrypoint) > 0 {
		b.WriteString(quoteAll(entrypoint) + " ")
	}
	b.WriteString("\"$@\"\n")
	return b.String()
}

// envScript sets the environment of the image: PATH always, with the default directories
// behind its own, other variables where the caller has not set them. What is no name for
// a shell's variable is left out.
func envScript(env []string) string {
	var b strings.Builder
	b.WriteString(emptyScript)
	path := defaultPath
	for _, kv := range env {
		name, value, ok := strings.Cut(kv, "=")
		switch {
		case !ok, !isName(name), strings.IndexByte(value, 0) >= 0:
		case name == "PATH":
			path = withDefaults(value)
		default:
			b.WriteString("export " + name + "=\"${" + name + ":-\"" + escape(value) + "\"}\"\n")
		}
	}
	b.WriteString("export PATH=\"" + escape(path) + "\"\n")
	return b.String()
}

// withDefaults appends the default directories that path does not have.
func withDefaults(path string) string {
	dirs := strings.Split(path, ":")
	if path == "" {
		dirs = nil
	}
	for dir := range strings.SplitSeq(defaultPath, ":") {
		found := false
		for _, d := range dirs {
			found = found || d == dir
		}
		if !found {
			dirs = append(dirs, dir)
		}
	}
	return strings.Join(dirs, ":")
}

// escape makes s safe between double quotes.
func escape(s string) string {
	return strings.NewReplacer(`\`, `\\`, `"`, `\"`, "`", "\\`", `$`, `\$`).Replace(s)
}

func isName(s string) bool {
	for i := range len(s) {
		c := s[i]
		if c != '_' && (c < 'a' || c > 'z') && (c < 'A' || c > 'Z') && (i == 0 || c < '0' || c > '9') {
			return false
		}
	}
	return s != ""
}
