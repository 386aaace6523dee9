package rules

import (
	"os"
	"strings"
	"testing"
)

// The oci.conf that docs/slurm.md shows is the one that the end-to-end tests run.
func TestSlurmDocs(t *testing.T) {
	test, err := os.ReadFile("../slurm_test.go")
	if err != nil {
		t.Fatal(err)
	}
	_, conf, _ := strings.Cut(string(test), "const ociConf = `")
	conf, _, found := strings.Cut(conf, "`\n")
	docs, err := os.ReadFile("../../docs/slurm.md")
	if err != nil {
		t.Fatal(err)
	}
	want := "    " + strings.ReplaceAll(strings.TrimSuffix(conf, "\n"), "\n", "\n    ") + "\n"
	if !found || !strings.Contains(string(docs), "\n\n"+want+"\n") {
		t.Errorf("docs/slurm.md does not show\n%s", want)
	}
}
