package image

import (
	"os"
	"path/filepath"
	"reflect"
	"strings"
	"testing"

	theirs "github.com/sylabs/sif/v2/pkg/sif"
)

func TestMetadata(t *testing.T) {
	want := Attributes{
		AppAttributes: AppAttributes{
			Environment: map[string]string{
				"/.singularity.d/env/10-docker2singularity.sh": `export B="${B:-2}"`,
				"/.singularity.d/env/90-environment.sh":        "export A=1",
			},
			Labels:    map[string]string{"maintainer": "ada", "org.label-schema.version": "1.0", "number": "7"},
			Helpfile:  "Runs tool.",
			Runscript: "#!/bin/sh\nexec tool \"$@\"",
			Test:      "#!/bin/sh\ntool --self-test",
		},
		Deffile:     strings.TrimRight(deffile, "\n"),
		Startscript: "#!/bin/sh\nexec toold",
		Apps: map[string]*AppAttributes{"foo": {
			Environment: map[string]string{"/scif/apps/foo/scif/env/90-environment.sh": "export FOO=1"},
			Labels:      map[string]string{"app": "foo"},
			Runscript:   "#!/bin/sh\nexec foo",
		}},
	}
	for name, path := range map[string]string{
		"squashfs": write(t, "x", appSquashfs),
		"sif":      sifFile(t, theirs.FsSquash, theirs.PartPrimSys, "amd64", appSquashfs),
		"sandbox":  sandbox(t),
	} {
		m, err := mustOpen(t, path).Metadata()
		if err != nil || len(m.Warnings) > 0 || !reflect.DeepEqual(m.Attributes, want) {
			t.Errorf("%s: Metadata = %+v, %v; want %+v", name, m, err, want)
		}
	}
}

// What is damaged or missing is a warning or nothing, never the end of inspection.
func TestMetadataOddities(t *testing.T) {
	dir := t.TempDir()
	meta := filepath.Join(dir, ".singularity.d")
	if err := os.MkdirAll(meta, 0o700); err != nil {
		t.Fatal(err)
	}
	for name, text := range map[string]string{
		"labels.json": "{",
		"test":        strings.Repeat("x", maxMetaFile+1),
	} {
		if err := os.WriteFile(filepath.Join(meta, name), []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	m, err := mustOpen(t, dir).Metadata()
	if err != nil || len(m.Warnings) != 2 || !reflect.DeepEqual(m.Attributes, Attributes{}) {
		t.Errorf("Metadata = %+v, %v; want two warnings and nothing else", m, err)
	}
	empty, err := mustOpen(t, t.TempDir()).Metadata()
	if err != nil || !reflect.DeepEqual(empty, &Metadata{}) {
		t.Errorf("Metadata of an empty directory = %+v, %v", empty, err)
	}
}
