package gpu

import (
	"bytes"
	"encoding/binary"
	"errors"
	"slices"
	"testing"
)

// cache makes a cache of the dynamic linker of names and paths for amd64, with one entry for 32 bits among them.
func cache(old bool, pairs ...string) []byte {
	var entries, strings bytes.Buffer
	n := len(pairs)/2 + 1
	base := uint32(headerSize + n*entrySize)
	put := func(flags uint32, name, path string) {
		key := base + uint32(strings.Len())
		strings.WriteString(name + "\x00")
		value := base + uint32(strings.Len())
		strings.WriteString(path + "\x00")
		for _, v := range []any{flags, key, value, uint32(0), uint64(0)} {
			binary.Write(&entries, binary.NativeEndian, v)
		}
	}
	put(0x0003, "libcuda.so.1", "/lib32/libcuda.so.1")
	for i := 0; i < len(pairs); i += 2 {
		put(0x0303, pairs[i], pairs[i+1])
	}
	var b bytes.Buffer
	if old {
		b.WriteString(oldMagic)
		binary.Write(&b, binary.NativeEndian, uint32(1))
		b.Write(make([]byte, 16)) // an entry, and padding to 8 bytes
	}
	b.WriteString(newMagic)
	binary.Write(&b, binary.NativeEndian, []uint32{uint32(n), uint32(strings.Len()), 0, 0, 0, 0, 0})
	return append(append(b.Bytes(), entries.Bytes()...), strings.Bytes()...)
}

func TestParse(t *testing.T) {
	want := []Library{{"libcuda.so.1", "/usr/lib/libcuda.so.550"}, {"libz.so.1", "/usr/lib/libz.so.1"}}
	for _, old := range []bool{false, true} {
		b := cache(old, "libcuda.so.1", "/usr/lib/libcuda.so.550", "libz.so.1", "/usr/lib/libz.so.1")
		got, err := Parse(b, "amd64")
		if err != nil || !slices.Equal(got, want) {
			t.Errorf("Parse (old %v) = %v, %v; want %v", old, got, err, want)
		}
		for n := range len(b) {
			if _, err := Parse(b[:n], "amd64"); !errors.Is(err, ErrCache) {
				t.Errorf("Parse of the first %d bytes: %v, want %v", n, err, ErrCache)
			}
		}
	}
}

func FuzzParse(f *testing.F) {
	f.Add(cache(true, "a.so", "/a.so"))
	f.Fuzz(func(_ *testing.T, b []byte) { Parse(b, "arm64") })
}

func TestFind(t *testing.T) {
	h := Host{
		Libraries: []Library{{"libcuda.so.1", "/l/libcuda.so.1"}, {"libcuda.so", "/l/libcuda.so"}, {"libnvidia-ml.so.1", "/l/gone"}, {"libz.so.1", "/l/libz.so.1"}, {"libGL.so.1", "/l/libGL.so.1"}, {"libcudart.so.12", "/l/libcudart.so.12"}},
		Exists:    func(p string) bool { return p != "/l/gone" && p != "/usr/local/bin/nvidia-smi" },
		Devices:   []string{"nvidiactl", "nvidia0", "null", "dri"},
	}
	got := NVIDIA().Find(h)[:2]
	if want := []Bind{{Source: "/l/libcuda.so.1", Target: "/.singularity.d/libs/libcuda.so.1"}, {Source: "/l/libcuda.so", Target: "/.singularity.d/libs/libcuda.so"}}; !slices.Equal(got, want) {
		t.Errorf("Find = %v, want %v first", got, want)
	}
	if all := NVIDIA().Find(h); !slices.Contains(all, Bind{Source: "/dev/nvidia0", Target: "/dev/nvidia0", Device: true}) || !slices.Contains(all, Bind{Source: "/usr/bin/nvidia-smi", Target: "/usr/bin/nvidia-smi"}) || slices.Contains(all, Bind{Source: "/dev/null", Target: "/dev/null", Device: true}) {
		t.Errorf("Find = %v", all)
	}
	if got := NVIDIA().Find(Host{Libraries: h.Libraries[3:], Exists: h.Exists, Devices: h.Devices}); got != nil {
		t.Errorf("Find without a driver = %v, want none", got)
	}
	if got := ROCm().Find(h); got != nil {
		t.Errorf("Find of another maker's = %v, want none", got)
	}
}
