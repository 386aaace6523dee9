package main

import (
	"reflect"
	"testing"

	"coracle/runtime"
)

func TestLayers(t *testing.T) {
	type layers struct {
		Overlays         []runtime.Overlay
		Tmpfs            bool
		Size             int64
		Percent          int
		Implied          bool
		Scratch, Problem string
	}
	over := func(path string, ro bool) runtime.Overlay {
		return runtime.Overlay{Path: path, ReadOnly: ro, Why: "--overlay"}
	}
	for _, tt := range []struct {
		args, env []string
		want      layers
	}{
		{args: []string{"-o", "a:ro,/b", "--overlay", "c:rw"}, want: layers{Overlays: []runtime.Overlay{over("/job/a", true), over("/b", false), over("/job/c", false)}}},
		{env: []string{"SINGULARITY_OVERLAYIMAGE=/x.img:ro"}, want: layers{Overlays: []runtime.Overlay{over("/x.img", true)}}},
		{args: []string{"--overlay", ":ro"}, want: layers{Problem: "--overlay :ro: no path"}},
		{args: []string{"--writable-tmpfs"}, want: layers{Tmpfs: true}},
		{args: []string{"--writable-tmpfs=no"}},
		{args: []string{"--writable-tmpfs=1.5g"}, want: layers{Tmpfs: true, Size: 3 << 29}},
		{args: []string{"--writable-tmpfs=64MiB"}, want: layers{Tmpfs: true, Size: 64 << 20}},
		{args: []string{"--writable-tmpfs=25%"}, want: layers{Tmpfs: true, Percent: 25}},
		{args: []string{"--writable-tmpfs=64"}, want: layers{Problem: "--writable-tmpfs=64: want a unit: 64M or 64G"}},
		{args: []string{"--writable-tmpfs=101%"}, want: layers{Problem: "--writable-tmpfs=101%: want 1% to 100% of the memory that the job may use"}},
		{args: []string{"--writable-tmpfs=-1G"}, want: layers{Problem: "--writable-tmpfs=-1G: that is no size of a memory"}},
		{args: []string{"--writable-tmpfs=9e99T"}, want: layers{Problem: "--writable-tmpfs=9e99T: that is no size of a memory"}},
		{env: []string{"APPTAINER_WRITABLE_TMPFS=1"}, want: layers{Tmpfs: true}},
		{args: []string{"--compat"}, want: layers{Tmpfs: true, Implied: true}},
		{args: []string{"--scratch-overlay"}, env: []string{"TMPDIR=/local/"}, want: layers{Scratch: "/local"}},
		{args: []string{"--scratch-overlay"}, want: layers{Scratch: "/tmp"}},
		{args: []string{"--scratch-overlay=d", "--compat"}, want: layers{Scratch: "/job/d"}},
	} {
		r, _, err := resolveLine(append(append([]string{"exec"}, tt.args...), "img", "true"), tt.env)
		got := layers{Overlays: r.Overlays, Tmpfs: r.WritableTmpfs, Size: r.TmpfsSize, Percent: r.TmpfsPercent, Implied: r.TmpfsImplied, Scratch: r.ScratchOverlay}
		if err != nil {
			got = layers{Problem: err.Error()}
		}
		if !reflect.DeepEqual(got, tt.want) {
			t.Errorf("%q %q:\n got %+v\nwant %+v", tt.args, tt.env, got, tt.want)
		}
	}
}
