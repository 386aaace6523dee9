package xz

import (
	"bytes"
	"encoding/binary"
	"errors"
	"math/rand/v2"
	"os"
	"os/exec"
	"testing"

	"github.com/ulikunitz/xz"
	reference "github.com/ulikunitz/xz/lzma"
)

// inputs returns data of different character: text, noise, and bytes that are
// full of what the branch filters look for.
func inputs() map[string][]byte {
	rng := rand.New(rand.NewPCG(5, 6))
	noise := make([]byte, 70001)
	for i := range noise {
		noise[i] = byte(rng.Uint32())
	}
	code := bytes.Clone(noise[:40003])
	opcodes := []byte{0xe8, 0xe9, 0xeb, 0x48, 0x94, 0x90, 0xf0, 0xf8, 0x40, 0x7f, 0x00, 0xff}
	for i := range code {
		if rng.IntN(3) > 0 {
			code[i] = opcodes[rng.IntN(len(opcodes))]
		}
	}
	for i := 0; i+4 < len(code); i += 4 {
		switch rng.IntN(12) {
		case 0:
			binary.BigEndian.PutUint32(code[i:], 0x48000001|rng.Uint32()&0x03fffffc)
		case 1:
			binary.BigEndian.PutUint32(code[i:], 0x40000000|rng.Uint32()&0x3fffff)
		case 2:
			binary.LittleEndian.PutUint32(code[i:], 0x90000000|rng.Uint32()&0x60ffffff)
		case 3:
			code[i&^15] = code[i&^15]&^31 | 0x16 // an IA-64 bundle of branches
		case 4:
			binary.LittleEndian.PutUint32(code[i:], 0xf800f000|rng.Uint32()&0x07ff07ff)
		}
	}
	var text []byte
	for len(text) < 300000 {
		if n := len(text); n > 100 && rng.IntN(2) == 0 {
			at := rng.IntN(n)
			text = append(text, text[at:min(n, at+2+rng.IntN(400))]...)
		} else {
			text = append(text, "some words\n"[rng.IntN(10):]...)
		}
	}
	return map[string][]byte{"empty": {}, "one": {1}, "noise": noise, "code": code, "text": text, "zeros": make([]byte, 50000)}
}

// What the xz program writes, with each filter.
func TestXZProgram(t *testing.T) {
	if _, err := exec.LookPath("xz"); err != nil {
		if os.Getenv("CORACLE_CI") == "1" {
			t.Fatal("no xz")
		}
		t.Skip("no xz")
	}
	var d Decoder
	for _, args := range [][]string{
		{"-6"},
		{"-1", "--check=crc32"},
		{"--check=none", "--lzma2=preset=6,lc=0,lp=2,pb=0"},
		{"--block-size=9000"},
		{"--x86", "--lzma2"},
		{"--x86=start=4096", "--lzma2"},
		{"--powerpc", "--lzma2"},
		{"--ia64", "--lzma2"},
		{"--arm", "--lzma2"},
		{"--armthumb=start=1024", "--lzma2"},
		{"--arm64", "--lzma2"},
		{"--sparc", "--lzma2"},
		{"--x86", "--arm", "--sparc", "--lzma2"},
		{"--format=lzma"},
	} {
		for name, want := range inputs() {
			cmd := exec.Command("xz", append([]string{"-c"}, args...)...)
			cmd.Stdin = bytes.NewReader(want)
			z, err := cmd.Output()
			if err != nil {
				t.Fatal(args, err)
			}
			decode := d.XZ
			if args[0] == "--format=lzma" {
				decode = d.LZMA
			}
			got := make([]byte, len(want)+1)
			n, err := decode(got, z)
			if err != nil || !bytes.Equal(got[:n], want) {
				t.Errorf("decode(%s, %q) = %d, %v; want %d bytes", name, args, n, err, len(want))
			}
			if len(want) > 0 {
				if _, err := decode(got[:len(want)-1], z); err == nil {
					t.Errorf("decode(%s, %q) one byte short: no error", name, args)
				}
			}
		}
	}
}

func encode(t testing.TB, p []byte) []byte {
	t.Helper()
	var b bytes.Buffer
	w, err := xz.WriterConfig{CheckSum: xz.CRC32, DictCap: 1 << 16}.NewWriter(&b)
	if err != nil {
		t.Fatal(err)
	}
	if _, err = w.Write(p); err == nil {
		err = w.Close()
	}
	if err != nil {
		t.Fatal(err)
	}
	return b.Bytes()
}

func TestCorrupt(t *testing.T) {
	var d Decoder
	want := inputs()["text"][:3000]
	z := encode(t, want)
	dst := make([]byte, 10000)
	for i := range len(z) - 30 { // the index and the footer are not read
		if n, err := d.XZ(dst, z[:i]); err == nil {
			t.Fatalf("XZ(%d of %d bytes) = %d, no error", i, len(z), n)
		}
		bad := bytes.Clone(z)
		bad[i] ^= 0x10
		if n, err := d.XZ(dst, bad); err == nil && !bytes.Equal(dst[:n], want) {
			t.Fatalf("XZ with byte %d changed: other contents, no error", i)
		}
	}
	riscv := []byte{1, 0x0b, 0, filterLZMA2, 1, 0, 0, 0} // two filters
	if _, err := blockHeader(riscv); !errors.Is(err, ErrUnsupported) {
		t.Errorf("blockHeader with filter 0xb: %v, want %v", err, ErrUnsupported)
	}
}

// FuzzXZ holds the decoder against another one: where both accept a stream
// they agree. Half of the inputs are made by an encoder from the fuzzer's bytes.
func FuzzXZ(f *testing.F) {
	for _, p := range inputs() {
		f.Add(encode(f, p[:min(len(p), 500)]), []byte("plain"))
	}
	f.Fuzz(func(t *testing.T, z, plain []byte) {
		var d Decoder
		dst := make([]byte, 1<<16)
		if n, err := d.XZ(dst, encode(t, plain)); err != nil || !bytes.Equal(dst[:n], plain) {
			t.Fatalf("XZ of %d encoded bytes = %d, %v", len(plain), n, err)
		}
		_, _ = d.XZ(dst, z)
		n, err := d.LZMA(dst, z)
		if err != nil {
			return
		}
		r, err := reference.NewReader(bytes.NewReader(z))
		if err != nil {
			return
		}
		want := make([]byte, n)
		if got, err := r.Read(want); err == nil && got == n && !bytes.Equal(dst[:n], want) {
			t.Fatalf("LZMA = %d bytes, contents differ", n)
		}
	})
}
