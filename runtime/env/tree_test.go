package env

import (
	"maps"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
)

// tree is an image for tests: contents by path. A path that ends in "/" is a directory;
// contents "→ target" make a symlink; scripts ("#!") and contents "ELF" are executable.
type tree map[string]string

// inside makes the image below a temporary directory.
func (tr tree) inside(t testing.TB) Inside {
	t.Helper()
	root := t.TempDir()
	for _, name := range slices.Sorted(maps.Keys(tr)) {
		text := tr[name]
		file := filepath.Join(root, name)
		if err := os.MkdirAll(filepath.Dir(file), 0o755); err != nil {
			t.Fatal(err)
		}
		var err error
		target, link := strings.CutPrefix(text, "→ ")
		switch {
		case strings.HasSuffix(name, "/"):
			err = os.MkdirAll(file, 0o755)
		case link:
			err = os.Symlink(target, file)
		default:
			perm := os.FileMode(0o644)
			if strings.HasPrefix(text, "#!") || text == "ELF" {
				perm = 0o755
			}
			if text == "ELF" {
				text = "\x7fELF" + strings.Repeat("\x00", 100)
			}
			err = os.WriteFile(file, []byte(text), perm)
		}
		if err != nil {
			t.Fatal(err)
		}
	}
	return Inside{Root: root, Dir: "/"}
}

// with returns the image with more files in it.
func (tr tree) with(more tree) tree {
	all := maps.Clone(tr)
	maps.Copy(all, more)
	return all
}

// lookup returns the value of a variable in an environment.
func lookup(environ []string, name string) (string, bool) {
	for _, kv := range environ {
		if value, ok := strings.CutPrefix(kv, name+"="); ok {
			return value, true
		}
	}
	return "", false
}

// The files that images have in common, written after the layout of Apptainer 1.x.
var (
	plain = tree{"bin/true": "ELF", "bin/sh": "ELF"}

	built = plain.with(tree{
		".singularity.d/env/01-base.sh":        "#!/bin/sh\n# base\n",
		".singularity.d/env/90-environment.sh": "#!/bin/sh\n# Custom environment shell code should follow\n\n",
		".singularity.d/env/94-appsbase.sh":    "#!/bin/sh\n# apps\n",
		".singularity.d/env/95-apps.sh": `#!/bin/sh
if test -n "${SINGULARITY_APPNAME:-}"; then
    export SINGULARITY_APPNAME
    SCIF_APPROOT="/scif/apps/${SINGULARITY_APPNAME:-}"
    export SCIF_APPROOT
    if test -d "$SCIF_APPROOT/"; then
        if test -d "$SCIF_APPROOT/bin"; then
            PATH="$SCIF_APPROOT/bin:$PATH"
        fi
        if [ -f "$SCIF_APPROOT/scif/env/90-environment.sh" ]; then
            . "$SCIF_APPROOT/scif/env/90-environment.sh"
        fi
    else
        echo "no app ${SINGULARITY_APPNAME}" >&2
        exit 1
    fi
fi
`,
		".singularity.d/env/99-base.sh": `#!/bin/sh
if [ -z "$LD_LIBRARY_PATH" ]; then
    LD_LIBRARY_PATH="/.singularity.d/libs"
else
    LD_LIBRARY_PATH="$LD_LIBRARY_PATH:/.singularity.d/libs"
fi
PS1="Apptainer> "
export LD_LIBRARY_PATH PS1
`,
		".singularity.d/env/99-runtimevars.sh": "#!/bin/sh\nexport PATH=/the/image/must/not/decide\n",
		".singularity.d/runscript":             "#!/bin/sh\nexec /bin/true \"$@\"\n",
		".singularity.d/test":                  "#!/bin/sh\nexit 0\n",
		".singularity.d/startscript":           "#!/bin/sh\n",
	})

	converted = built.with(tree{
		".singularity.d/env/10-docker2singularity.sh": `#!/bin/sh
export PATH="/opt/conda/bin:/usr/bin:/bin"
export LANG="${LANG:-"C.UTF-8"}"
export EMPTY="${EMPTY:-""}"
export MODEL="${MODEL:-"a \"b\" \$c"}"
`,
	})
)
