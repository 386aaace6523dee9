package userns

import (
	"bytes"
	"encoding/binary"
	"slices"
	"testing"
)

// encodeCall is what the constructor does (call.c).
func encodeCall(argc, envc, groups uint32, text ...string) []byte {
	const head = 8 + 8*4 + 64*4 + 16*8
	b := make([]byte, head)
	copy(b, "CORCALL\x01")
	for i, v := range []uint32{argc, envc, 1000, 100, groups, 0o27, 4711, 1, 10, 20} {
		binary.NativeEndian.PutUint32(b[8+4*i:], v)
	}
	binary.NativeEndian.PutUint64(b[head-8:], 99)
	for _, s := range text {
		b = append(append(b, s...), 0)
	}
	return b
}

func TestDecodeCall(t *testing.T) {
	text := []string{"user:[1]", "mnt:[2]", "pid:[3]", "unconfined\n", "0::/job\n", "/dev/pts/1", "coracle", "exec", "", "A=b", "C="}
	call, err := DecodeCall(encodeCall(3, 2, 2, text...))
	if err != nil {
		t.Fatal(err)
	}
	if call.UID != 1000 || call.GID != 100 || call.Umask != 0o27 || call.SID != 4711 || !call.NoNewPrivs || !slices.Equal(call.Groups, []int{10, 20}) || call.HardLimits[15] != 99 {
		t.Errorf("%+v: not the numbers that were sent", call)
	}
	if call.Namespaces != [3]string{"user:[1]", "mnt:[2]", "pid:[3]"} || call.Label != "unconfined\n" || call.Cgroup != "0::/job\n" || call.Terminal != "/dev/pts/1" {
		t.Errorf("%+v: not the texts that were sent", call)
	}
	if !slices.Equal(call.Argv, []string{"coracle", "exec", ""}) || !slices.Equal(call.Env, []string{"A=b", "C="}) {
		t.Errorf("%q %q: not the arguments and variables that were sent", call.Argv, call.Env)
	}
	for name, bad := range map[string][]byte{
		"nothing":              nil,
		"another magic":        append([]byte("X"), encodeCall(3, 2, 0, text...)[1:]...),
		"more arguments":       encodeCall(4, 2, 0, text...),
		"fewer variables":      encodeCall(3, 1, 0, text...),
		"counts that overflow": encodeCall(1<<31, 1<<31, 0, text...),
		"no arguments":         encodeCall(0, 5, 0, text...),
		"too many groups":      encodeCall(3, 2, 65, text...),
		"an end without a 0":   bytes.TrimSuffix(encodeCall(3, 2, 0, text...), []byte{0}),
		"too long":             encodeCall(3, 2, 0, append(text[:10:10], string(make([]byte, CallLen)))...),
	} {
		if call, err := DecodeCall(bad); err == nil {
			t.Errorf("%s: taken for %+v", name, call)
		}
	}
}

func FuzzDecodeCall(f *testing.F) {
	f.Add(encodeCall(1, 1, 1, "u", "m", "p", "l", "c", "t", "coracle", "A=b"))
	f.Fuzz(func(t *testing.T, b []byte) {
		call, err := DecodeCall(b)
		if err == nil && (len(call.Argv) == 0 || len(call.HardLimits) != 16) {
			t.Errorf("%+v of %q", call, b)
		}
	})
}
