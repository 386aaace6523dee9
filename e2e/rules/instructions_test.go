package rules

import (
	"bytes"
	"fmt"
	"io"
	"os"
	"os/exec"
	"regexp"
	goruntime "runtime"
	"strconv"
	"strings"
	"testing"
	"testing/fstest"

	"coracle/squash"
)

// workKey is set for the process whose instructions are counted: "NAME TIMES".
const workKey = "CORACLE_WORK"

// A work is what instructions are counted of: more times, in a process that has done it once, and without what prepares it.
type work struct {
	times   int
	prepare func(*testing.T) (do func())
}

func works() map[string]work {
	decode := func(c string) work { return work{5, func(t *testing.T) func() { return decoding(t, c) }} }
	encode := func(c string) work { return work{2, func(t *testing.T) func() { return encoding(t, c) }} }
	return map[string]work{
		"instructions/decode-gzip": decode("gzip"),
		"instructions/decode-zstd": decode("zstd"),
		"instructions/encode-gzip": encode("gzip"),
		"instructions/encode-zstd": encode("zstd"),
		"instructions/look-up":     {200, lookingUp},
		"instructions/list-1000":   {50, listing},
		"instructions/planning":    {50, planning},
	}
}

// TestInstructions counts the instructions of the innermost work, one block or one directory at a time, by running this
// program under valgrind. What a process does beside it falls out of the difference between doing it more and less often.
func TestInstructions(t *testing.T) {
	if goruntime.GOARCH != "amd64" {
		t.Skip("the figures are those of x86-64")
	}
	if err := exec.Command("valgrind", "--version").Run(); err != nil {
		if os.Getenv("CORACLE_CI") != "" {
			t.Fatalf("valgrind: %v", err)
		}
		t.Skipf("valgrind: %v", err)
	}
	got := map[string]float64{}
	for name, w := range works() {
		got[name] = (instructions(t, name, 1+w.times) - instructions(t, name, 1)) / float64(w.times)
	}
	checkCounts(t, got)
}

// refs is what cachegrind says in the end.
var refs = regexp.MustCompile(`I\s+refs:\s+([0-9,]+)`)

// instructions counts those of a process that does some work, on one processor and without a collector.
func instructions(t *testing.T, name string, times int) float64 {
	t.Helper()
	self, err := os.Executable()
	if err != nil {
		t.Fatal(err)
	}
	cmd := exec.Command("valgrind", "--tool=cachegrind", "--cache-sim=no", "--cachegrind-out-file=/dev/null", self, "-test.run=^TestWork$")
	cmd.Env = append(os.Environ(), fmt.Sprintf("%s=%s %d", workKey, name, times), "GOMAXPROCS=1", "GOGC=off", "GODEBUG=asyncpreemptoff=1")
	out, err := cmd.CombinedOutput()
	m := refs.FindSubmatch(out)
	if err != nil || m == nil {
		t.Fatalf("%s: %v\n%s", name, err, out)
	}
	n, err := strconv.ParseFloat(strings.ReplaceAll(string(m[1]), ",", ""), 64)
	if err != nil {
		t.Fatal(err)
	}
	return n
}

// TestWork is the process that TestInstructions starts.
func TestWork(t *testing.T) {
	name, number, ok := strings.Cut(os.Getenv(workKey), " ")
	if !ok {
		t.Skip("for TestInstructions")
	}
	times, err := strconv.Atoi(number)
	w, known := works()[name]
	if err != nil || !known {
		t.Fatalf("%q: %v", os.Getenv(workKey), err)
	}
	do := w.prepare(t)
	for range times {
		do()
	}
}

// decoding returns what decodes a block of the default size.
func decoding(t *testing.T, compression string) func() {
	r := open(t, imageOf(t, compression, oneFile()))
	ino := lookUp(t, r, "/text")
	b, err := r.Block(&ino, 0)
	if err != nil {
		t.Fatal(err)
	}
	dst := make([]byte, b.Len+squash.Slack)
	return func() {
		if n, err := r.Decode(b, dst); err != nil || n != squash.DefaultBlockSize {
			t.Fatalf("%d bytes, %v", n, err)
		}
	}
}

// encoding returns what makes an image of a file of one block.
func encoding(t *testing.T, compression string) func() {
	file := oneFile()
	return func() { imageOf(t, compression, file) }
}

func lookingUp(t *testing.T) func() {
	r := open(t, imageOf(t, "zstd", manyFiles()))
	return func() { lookUp(t, r, "/many/0500") }
}

func listing(t *testing.T) func() {
	r := open(t, imageOf(t, "zstd", manyFiles()))
	dir := lookUp(t, r, "/many")
	return func() {
		n := 0
		if err := r.ReadDir(&dir, 0, func(squash.Dirent, squash.Cursor) bool { n++; return true }); err != nil || n != 1000 {
			t.Fatalf("%d entries, %v", n, err)
		}
	}
}

func oneFile() fstest.MapFS {
	return fstest.MapFS{"text": {Data: text(squash.DefaultBlockSize), Mode: 0o644}}
}

func manyFiles() fstest.MapFS {
	files := fstest.MapFS{}
	for i := range 1000 {
		files[fmt.Sprintf("many/%04d", i)] = &fstest.MapFile{Mode: 0o644}
	}
	return files
}

func imageOf(t *testing.T, compression string, files fstest.MapFS) []byte {
	t.Helper()
	c, err := squash.ParseCompression(compression)
	if err != nil {
		t.Fatal(err)
	}
	var image memory
	w, err := squash.NewWriter(&image, &squash.WriterOptions{Compression: c})
	if err != nil {
		t.Fatal(err)
	}
	defer w.Close()
	tree, err := w.Tree(files, nil)
	if err != nil {
		t.Fatal(err)
	}
	size, err := w.Finish(tree)
	if err != nil {
		t.Fatal(err)
	}
	return image[:size]
}

// text returns n bytes that look a bit like a program's: words of a small vocabulary in an order that does not repeat.
func text(n int) []byte {
	b := make([]byte, 0, n+16)
	for x := uint32(1); len(b) < n; {
		x = x*1664525 + 1013904223 // Numerical Recipes, "Quick and Dirty Generators"
		b = fmt.Appendf(b, "%x %s ", x>>28, strings.Repeat(string('a'+rune(x>>27&7)), int(x>>24&7)))
		b = strconv.AppendUint(b, uint64(x>>12&0xfff), 36)
	}
	return b[:n]
}

func open(t *testing.T, image []byte) *squash.Reader {
	t.Helper()
	r, err := squash.Open(bytes.NewReader(image), int64(len(image)), nil)
	if err != nil {
		t.Fatal(err)
	}
	return r
}

// A memory is a file.
type memory []byte

func (m *memory) WriteAt(p []byte, off int64) (int, error) {
	if end := off + int64(len(p)); end > int64(len(*m)) {
		*m = append(*m, make([]byte, end-int64(len(*m)))...)
	}
	return copy((*m)[off:], p), nil
}

var _ io.WriterAt = (*memory)(nil)
