package deflate

import (
	"bytes"
	"os"
	"path/filepath"
	"testing"

	"golang.org/x/sys/unix"
)

// Loads are not checked: a read in front of the input or behind it hits a page
// that cannot be read, which ends the test.
func TestInputBetweenGuards(t *testing.T) {
	page := os.Getpagesize()
	room := 32 * page
	mem, err := unix.Mmap(-1, 0, room+2*page, unix.PROT_READ|unix.PROT_WRITE, unix.MAP_PRIVATE|unix.MAP_ANON)
	if err != nil {
		t.Fatalf("mmap: %v", err)
	}
	defer unix.Munmap(mem)
	for _, guard := range [][]byte{mem[:page], mem[page+room:]} {
		if err := unix.Mprotect(guard, unix.PROT_NONE); err != nil {
			t.Fatalf("mprotect: %v", err)
		}
	}
	inner := mem[page : page+room]
	for level := MinLevel; level <= MaxLevel; level++ {
		e := New(level)
		for _, n := range []int{9, 10, 15, 16, 17, 31, 64, 257, 266, 300, 5000, room} {
			for name, src := range map[string][]byte{"zeros": make([]byte, n), "words": words(uint64(n), n), "noise": noise(n)} {
				for _, in := range [][]byte{inner[:n], inner[room-n:]} {
					copy(in, src)
					if got, want := check(t, e, in), check(t, e, bytes.Clone(src)); got != want {
						t.Errorf("level %d, %d bytes of %s: %d bytes, elsewhere %d", level, n, name, got, want)
					}
				}
			}
		}
	}
}

// A higher level makes sources no longer.
func TestLevels(t *testing.T) {
	var src []byte
	files, err := filepath.Glob("../*/*.go")
	if err != nil || len(files) == 0 {
		t.Fatalf("Glob: %v, %v", files, err)
	}
	for _, f := range files {
		b, err := os.ReadFile(f)
		if err != nil {
			t.Fatal(err)
		}
		src = append(src, b...)
	}
	before := len(src)
	for level := MinLevel; level <= MaxLevel; level++ {
		n := check(t, New(level), src)
		if n == 0 || n > before {
			t.Errorf("level %d: %d bytes, level %d: %d", level, n, level-1, before)
		}
		before = n
	}
}

func TestCommon(t *testing.T) {
	for most := range 40 {
		for same := range most + 1 {
			b := bytes.Repeat([]byte{7}, 10+40)
			if same < most {
				b[10+same] = 8
			}
			if got := common(b, 0, 10, most); got != same {
				t.Errorf("common, %d of %d bytes: %d", same, most, got)
			}
		}
	}
}
