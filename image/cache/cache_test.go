package cache

import (
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"coracle/image/oci"
	"coracle/image/output"
)

func open(t *testing.T) (*Cache, string) {
	t.Helper()
	dir := filepath.Join(t.TempDir(), "cache")
	c, err := Open(dir)
	if err != nil {
		t.Fatal(err)
	}
	return c, dir
}

func TestDir(t *testing.T) {
	for _, tt := range []struct {
		env  string
		want string
	}{
		{"CORACLE_CACHEDIR=/a APPTAINER_CACHEDIR=/b", "/a"},
		{"APPTAINER_CACHEDIR=/b SINGULARITY_CACHEDIR=/c", "/b/coracle"},
		{"SINGULARITY_CACHEDIR=/c XDG_CACHE_HOME=/d", "/c/coracle"},
		{"XDG_CACHE_HOME=/d HOME=/e", "/d/coracle"},
		{"HOME=/e", "/e/.cache/coracle"},
		{"", ""},
	} {
		got, err := Dir(func(key string) string {
			for _, kv := range strings.Fields(tt.env) {
				if v, ok := strings.CutPrefix(kv, key+"="); ok {
					return v
				}
			}
			return ""
		})
		if got != tt.want || (tt.want == "") != errors.Is(err, ErrNoDir) {
			t.Errorf("Dir with %q = %q, %v; want %q", tt.env, got, err, tt.want)
		}
	}
}

func TestBlobs(t *testing.T) {
	c, _ := open(t)
	d := oci.DigestOf([]byte("x"))
	if _, err := c.Open(d); !errors.Is(err, fs.ErrNotExist) {
		t.Errorf("Open: %v, want ErrNotExist", err)
	}
	broken := errors.New("broken")
	if _, err := c.Put(context.Background(), d, func(w io.Writer) error { io.WriteString(w, "half"); return broken }); err != broken {
		t.Errorf("Put: %v, want %v", err, broken)
	}
	if _, err := c.Open(d); !errors.Is(err, fs.ErrNotExist) {
		t.Errorf("Open after an error: %v, want ErrNotExist", err)
	}
	f, err := c.Put(context.Background(), d, func(w io.Writer) error { _, err := io.WriteString(w, "x"); return err })
	if err != nil {
		t.Fatal(err)
	}
	b, _ := io.ReadAll(f)
	f.Close()
	if string(b) != "x" {
		t.Errorf("Put returns %q", b)
	}
	if _, err := c.Put(context.Background(), "sha256:../../x", nil); err == nil {
		t.Error("Put takes a digest that is none")
	}
}

// Of many who want the same image, one makes it.
func TestImageOnce(t *testing.T) {
	c, dir := open(t)
	var made atomic.Int32
	c.Waiting = func(holder string) { t.Errorf("waits for %s, which is this process", holder) }
	k := Key{Source: "docker://docker.io/library/debian:12", Digest: oci.DigestOf(nil), Platform: "linux/amd64"}
	var wg sync.WaitGroup
	for range 8 {
		wg.Go(func() {
			path, err := c.Image(context.Background(), k, func(f *output.File) error {
				made.Add(1)
				time.Sleep(50 * time.Millisecond)
				_, err := f.WriteString("image")
				return err
			})
			if b, rerr := os.ReadFile(path); err != nil || string(b) != "image" {
				t.Errorf("Image: %v, %q, %v", err, b, rerr)
			}
		})
	}
	wg.Wait()
	if made.Load() != 1 {
		t.Errorf("made %d times, want once", made.Load())
	}
	list, err := List(dir)
	if err != nil || len(list) != 1 || list[0].Name != k.Source || list[0].Kind != KindImage || list[0].From != string(k.Digest) {
		t.Errorf("List = %+v, %v", list, err)
	}
	locks, _ := os.ReadDir(filepath.Join(dir, lockDir))
	if len(locks) != 0 {
		t.Errorf("%d locks are left", len(locks))
	}
}

// A lock whose holder was killed is taken over.
func TestDeadLock(t *testing.T) {
	c, dir := open(t)
	host, _ := os.Hostname()
	d := oci.DigestOf([]byte("x"))
	path := filepath.Join(dir, lockDir, filepath.Base(c.blobPath(d)))
	os.WriteFile(path, fmt.Appendf(nil, "%s process %d\n", host, 1<<30), 0o600)
	w := watcher{path: path}
	if _, dead := w.look(); dead {
		t.Error("dead at first sight")
	}
	w.since = time.Now().Add(-deadHere - time.Second)
	if holder, dead := w.look(); !dead || !strings.HasPrefix(holder, host) {
		t.Errorf("holder %q, dead %v; want dead", holder, dead)
	}
	os.WriteFile(path, []byte("elsewhere process 1\n"), 0o600)
	w = watcher{path: path}
	w.look()
	w.since = time.Now().Add(-deadHere - time.Second)
	if _, dead := w.look(); dead {
		t.Error("a holder elsewhere is dead too early")
	}
	os.Chtimes(path, time.Now(), time.Now().Add(time.Second))
	w.since = time.Now().Add(-time.Hour)
	if _, dead := w.look(); dead {
		t.Error("a holder that gives signs of life is dead")
	}
	waits := ""
	c.Waiting = func(holder string) { waits = holder }
	ctx, cancel := context.WithTimeout(context.Background(), 10*time.Millisecond)
	defer cancel()
	if _, err := c.Put(ctx, d, nil); !errors.Is(err, context.DeadlineExceeded) {
		t.Errorf("Put while another holds the lock: %v", err)
	}
	if waits != "elsewhere process 1" {
		t.Errorf("Waiting is told %q", waits)
	}
}

// A lock that is taken away is the one that was dead, not one that somebody has made since.
func TestBury(t *testing.T) {
	path := filepath.Join(t.TempDir(), "lock")
	lock := func(text string) os.FileInfo {
		if err := os.WriteFile(path, []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
		fi, err := os.Stat(path)
		if err != nil {
			t.Fatal(err)
		}
		return fi
	}
	dead := lock("dead")
	bury(path, dead)
	if _, err := os.Stat(path); err == nil {
		t.Error("the dead lock is there")
	}
	bury(path, dead) // nothing to take away
	fresh := lock("fresh")
	os.Chtimes(path, time.Now(), time.Now().Add(time.Second)) // the inode may be the same
	bury(path, dead)
	if b, _ := os.ReadFile(path); string(b) != "fresh" || !held(path, fresh) {
		t.Errorf("a lock that is alive: %q", b)
	}
	if list, _ := os.ReadDir(filepath.Dir(path)); len(list) != 1 {
		t.Errorf("left: %v", list)
	}
}

// A name that NFS remembers as not there is looked at once more, when the directory has changed.
func TestSeenLate(t *testing.T) {
	c, _ := open(t)
	looks := 0
	c.exists = func(string) bool { looks++; return looks > 2 }
	err := c.once(context.Background(), c.blobPath(oci.DigestOf(nil)), func(*output.File) error {
		t.Error("what is there is made again")
		return nil
	})
	if err != nil || looks != 3 {
		t.Errorf("%d looks, %v", looks, err)
	}
}

func TestCleaning(t *testing.T) {
	c, dir := open(t)
	for _, s := range []string{"a", "b"} {
		f, err := c.Put(context.Background(), oci.DigestOf([]byte(s)), func(w io.Writer) error { return nil })
		if err != nil {
			t.Fatal(err)
		}
		f.Close()
	}
	k := Key{Source: "docker://registry.invalid/app:1", Digest: oci.DigestOf([]byte("m"))}
	if _, err := c.Image(context.Background(), k, func(*output.File) error { return nil }); err != nil {
		t.Fatal(err)
	}
	old := time.Now().Add(-48 * time.Hour)
	os.Chtimes(c.blobPath(oci.DigestOf([]byte("a"))), old, old)
	list, _ := List(dir)
	for _, tt := range []struct {
		f    Filter
		want int
	}{
		{Filter{}, 3}, {Filter{Kind: KindBlob}, 2}, {Filter{Older: 24 * time.Hour}, 1}, {Filter{Kind: KindImage, Older: time.Hour}, 0},
		{Filter{Names: []string{"registry.invalid/app:1"}}, 1}, {Filter{Names: []string{"docker://registry.invalid/app"}}, 1},
		{Filter{Names: []string{string(k.Digest)[:20]}}, 1}, {Filter{Names: []string{"x", ""}}, 0},
	} {
		n := 0
		for _, e := range list {
			if tt.f.Matches(e, time.Now()) {
				n++
			}
		}
		if n != tt.want {
			t.Errorf("%+v matches %d, want %d", tt.f, n, tt.want)
		}
	}
	for _, e := range list {
		if err := Remove(e); err != nil {
			t.Error(err)
		}
	}
	if left, _ := List(dir); len(left) != 0 {
		t.Errorf("left: %+v", left)
	}
	part := filepath.Join(dir, blobDir, ".x.1.part")
	os.WriteFile(part, nil, 0o600)
	Sweep(dir, time.Now())
	if _, err := os.Stat(part); err != nil {
		t.Error("Sweep takes a new file away")
	}
	Sweep(dir, time.Now().Add(48*time.Hour))
	if _, err := os.Stat(part); err == nil {
		t.Error("Sweep leaves an old file")
	}
	if list, err := List(filepath.Join(dir, "none")); list != nil || err != nil {
		t.Errorf("List of nothing = %v, %v", list, err)
	}
}
