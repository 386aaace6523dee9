package gpu

import (
	"errors"
	"reflect"
	"slices"
	"strings"
	"testing"
)

const twoCards = `{"cdiVersion": "0.5.0", "kind": "nvidia.com/gpu",
	"containerEdits": {
		"env": ["NVIDIA_VISIBLE_DEVICES=void"],
		"deviceNodes": [{"path": "/dev/nvidiactl"}],
		"mounts": [
			{"hostPath": "/usr/lib/libcuda.so.550", "containerPath": "/usr/lib/libcuda.so.550", "options": ["ro", "nosuid", "bind"]},
			{"hostPath": "/run/socket", "containerPath": "/run/socket"}],
		"hooks": [{"hookName": "createContainer", "path": "/usr/bin/nvidia-cdi-hook", "args": ["nvidia-cdi-hook", "update-ldcache"]}]},
	"devices": [
		{"name": "0", "containerEdits": {"deviceNodes": [{"path": "/dev/nvidia0", "hostPath": "/dev/card0"}]}},
		{"name": "1", "containerEdits": {"deviceNodes": [{"path": "/dev/nvidia1"}], "env": ["SECOND=yes"]}}]}`

func TestDevice(t *testing.T) {
	cards, err := ParseCDI([]byte(twoCards))
	if err != nil {
		t.Fatal(err)
	}
	other, err := ParseCDI([]byte(`{"cdiVersion": "0.5.0", "kind": "nvidia.com/gpu", "devices": [{"name": "1", "containerEdits": {"env": ["NEWER=1"]}}]}`))
	if err != nil {
		t.Fatal(err)
	}
	h := Host{
		Libraries: []Library{{"libcuda.so.1", "/usr/lib/libcuda.so.1"}, {"libz.so.1", "/usr/lib/libz.so.1"}},
		Real:      func(p string) string { return strings.Replace(p, "libcuda.so.1", "libcuda.so.550", 1) },
	}
	common := []Bind{
		{Source: "/dev/nvidiactl", Target: "/dev/nvidiactl", Device: true},
		{Source: "/usr/lib/libcuda.so.550", Target: "/usr/lib/libcuda.so.550"},
		{Source: "/usr/lib/libcuda.so.550", Target: "/.singularity.d/libs/libcuda.so.1"},
		{Source: "/run/socket", Target: "/run/socket", Write: true},
	}
	card0 := Bind{Source: "/dev/card0", Target: "/dev/nvidia0", Device: true}
	card1 := Bind{Source: "/dev/nvidia1", Target: "/dev/nvidia1", Device: true}
	for _, tt := range []struct {
		specs []*DeviceSpec
		names []string
		want  Found
		err   bool
	}{
		{[]*DeviceSpec{cards}, []string{"nvidia.com/gpu=0"}, Found{Binds: append(slices.Clip(common), card0), Env: []string{"NVIDIA_VISIBLE_DEVICES=void"}}, false},
		// both cards, one of them twice: what they have in common comes once
		{[]*DeviceSpec{cards}, []string{"nvidia.com/gpu=0", "nvidia.com/gpu=1", "nvidia.com/gpu=0"},
			Found{Binds: append(slices.Clip(common), card0, card1), Env: []string{"NVIDIA_VISIBLE_DEVICES=void", "SECOND=yes"}}, false},
		{[]*DeviceSpec{cards, other}, []string{"nvidia.com/gpu=1"}, Found{Env: []string{"NEWER=1"}}, false}, // the last one wins
		{[]*DeviceSpec{cards}, []string{"nvidia.com/gpu=7"}, Found{}, true},
		{nil, []string{""}, Found{}, true},
	} {
		got, err := h.Device(tt.specs, tt.names)
		var missing *DeviceError
		if tt.err {
			if !errors.As(err, &missing) || tt.specs != nil && !slices.Equal(missing.Known, []string{"nvidia.com/gpu=0", "nvidia.com/gpu=1"}) {
				t.Errorf("Device(%q) = %+v, %v; want a DeviceError", tt.names, got, err)
			}
			continue
		}
		tt.want.Flag, tt.want.Asked = "--device", true
		if err != nil || !reflect.DeepEqual(got, tt.want) {
			t.Errorf("Device(%q)\n got %+v, %v\nwant %+v", tt.names, got, err, tt.want)
		}
	}
}

func TestParseCDI(t *testing.T) {
	for _, text := range []string{
		``, `[]`, `{}`, `{"cdiVersion": "0.5.0", "kind": "gpu"}`,
		`{"cdiVersion": "0.5.0", "kind": "a/b", "containerEdits": {"env": ["x"]}}`,
		`{"cdiVersion": "0.5.0", "kind": "a/b", "containerEdits": {"mounts": [{"hostPath": "x", "containerPath": "/x"}]}}`,
		`{"cdiVersion": "0.5.0", "kind": "a/b", "containerEdits": {"mounts": [{"hostPath": "/x", "containerPath": "/x", "type": "tmpfs"}]}}`,
		`{"cdiVersion": "0.5.0", "kind": "a/b", "devices": [{"name": "0", "containerEdits": {"deviceNodes": [{"path": "../x"}]}}]}`,
	} {
		if _, err := ParseCDI([]byte(text)); !errors.Is(err, ErrCDI) {
			t.Errorf("ParseCDI(%s): %v, want %v", text, err, ErrCDI)
		}
	}
}

func FuzzParseCDI(f *testing.F) {
	f.Add([]byte(twoCards))
	h := Host{Real: func(p string) string { return p }}
	f.Fuzz(func(t *testing.T, b []byte) {
		s, err := ParseCDI(b)
		if err != nil {
			return
		}
		found, err := h.Device([]*DeviceSpec{s}, s.Names())
		if err != nil {
			t.Fatal(err)
		}
		for _, b := range found.Binds {
			if b.Source == "" || b.Source[0] != '/' || b.Target == "" || b.Target[0] != '/' {
				t.Errorf("%+v: not absolute", b)
			}
		}
	})
}
