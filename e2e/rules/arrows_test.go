// Package rules holds the tests of what the code as a whole must keep: which package
// may import which, and how long package initialisation may take.
package rules

import (
	"encoding/json"
	"errors"
	"io"
	"os"
	"os/exec"
	"path"
	"strings"
	"testing"
)

// A rule says what the packages that match a pattern never import, directly or
// through others of this module.
type rule struct {
	pkg   string   // pattern of path.Match, or a prefix that ends in "/..."
	never []string // patterns likewise
	why   string
}

// rules are the arrows of docs/architecture.md. Test files are free.
var rules = []rule{
	{"coracle/squash", append([]string{"coracle/squash/fuse"}, impure...), "the format takes an io.ReaderAt"},
	{"coracle/squash/[^f]*", append([]string{"coracle/squash", "coracle/squash/fuse"}, impure...), "bytes in, bytes out"},
	{"coracle/squash/fuse", []string{"net/http", "coracle/runtime/...", "coracle/bind/...", "coracle/image/...", "coracle/userns", "github.com/alecthomas/kong"}, "it serves a mounted descriptor"},
	{"coracle/fusewire", append([]string{"coracle/..."}, impure...), "structures in bytes"},
	{"coracle/runtime/relay", []string{"coracle/bind/...", "coracle/squash/...", "coracle/userns"}, "it serves a mounted descriptor"},
	{"coracle/bind", append([]string{"coracle/..."}, impure...), "pure: it decides, others act"},
	{"coracle/bind/gpu", impure, "a look at the host is handed in"},
	{"coracle/bench/report", impure, "results are data"},
	{"coracle/bench/plot", impure, "data in, a drawing out"},
	{"coracle/userns", []string{"coracle/...", "net/http", "github.com/alecthomas/kong"}, "ids and privileges, no images, no binds"},
	{"coracle/image/...", []string{"coracle/runtime/...", "coracle/bind/gpu", "github.com/alecthomas/kong"}, "images know nothing of running"},
	{"coracle/runtime/...", []string{"coracle/image/...", "github.com/alecthomas/kong", "net/http"}, "the launch path stays light; the command fills in a Root"},
	{"coracle/...", []string{"coracle/cmd/...", "coracle/e2e/...", "coracle/bench/..."}, "imports point away from cmd"},
}

// impure is what a package that only computes does not import.
var impure = []string{
	"os", "os/...", "net", "net/...", "syscall", "golang.org/x/sys/...",
	"coracle/bind/...", "coracle/cmd/...", "coracle/image/...", "coracle/runtime/...", "coracle/userns",
}

// exempt are the parts that the last rule does not bind.
func exempt(pkg string) bool {
	for _, p := range []string{"coracle/cmd/...", "coracle/e2e/...", "coracle/bench/..."} {
		if match(p, pkg) {
			return true
		}
	}
	return false
}

func match(pattern, pkg string) bool {
	if prefix, ok := strings.CutSuffix(pattern, "/..."); ok {
		return pkg == prefix || strings.HasPrefix(pkg, prefix+"/")
	}
	ok, err := path.Match(pattern, pkg)
	return err == nil && ok
}

// A goPackage is what `go list -json` tells of a package.
type goPackage struct {
	ImportPath string
	Imports    []string
	Deps       []string
}

func list(t *testing.T) map[string]goPackage {
	t.Helper()
	cmd := exec.Command("go", "list", "-deps", "-tags", "osusergo,netgo", "-json=ImportPath,Imports", "./...")
	cmd.Dir, cmd.Stderr = "../..", os.Stderr
	out, err := cmd.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	pkgs := map[string]goPackage{}
	for dec := json.NewDecoder(out); ; {
		var p goPackage
		if err := dec.Decode(&p); errors.Is(err, io.EOF) {
			break
		} else if err != nil {
			t.Fatal(err)
		}
		pkgs[p.ImportPath] = p
	}
	if err := cmd.Wait(); err != nil {
		t.Fatal(err)
	}
	return pkgs
}

// reach follows imports from a package and returns the shortest way to every package
// that it comes to. The standard library is entered but not followed: what it needs for
// itself (os for io/fs's errors, say) is not the importer's doing.
func reach(pkgs map[string]goPackage, from string) map[string]string {
	way := map[string]string{from: from}
	for queue := []string{from}; len(queue) > 0; queue = queue[1:] {
		if first, _, _ := strings.Cut(queue[0], "/"); first != "coracle" && !strings.Contains(first, ".") {
			continue
		}
		for _, next := range pkgs[queue[0]].Imports {
			if _, seen := way[next]; !seen {
				way[next] = way[queue[0]] + " -> " + next
				queue = append(queue, next)
			}
		}
	}
	return way
}

// heavy are imports that count wherever they are reached; the others count when a
// package of this module imports them.
func heavy(pkg string) bool {
	return match("coracle/...", pkg) || pkg == "net/http" || pkg == "github.com/alecthomas/kong"
}

func TestImportArrows(t *testing.T) {
	pkgs := list(t)
	checked := 0
	for name := range pkgs {
		if !match("coracle/...", name) {
			continue
		}
		direct := map[string]bool{}
		for _, imp := range pkgs[name].Imports {
			direct[imp] = true
		}
		way := reach(pkgs, name)
		for _, r := range rules {
			if !match(r.pkg, name) || r.pkg == "coracle/..." && exempt(name) {
				continue
			}
			checked++
			for _, never := range r.never {
				for imp, path := range way {
					if imp != name && match(never, imp) && (direct[imp] || heavy(imp)) {
						t.Errorf("%s imports %s (%s): %s", name, imp, path, r.why)
					}
				}
			}
		}
	}
	if checked == 0 {
		t.Error("no package was checked")
	}
}
