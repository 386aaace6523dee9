package instance

import (
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"sync"
	"testing"
)

func TestCheckName(t *testing.T) {
	for _, tt := range []struct {
		name string
		ok   bool
	}{
		{"db", true}, {"db-1.2_x", true}, {"9", true}, {strings.Repeat("a", 128), true},
		{"", false}, {".", false}, {"..", false}, {"-x", false}, {"a/b", false}, {"a b", false}, {"ä", false}, {"a\x00", false},
		{strings.Repeat("a", 129), false},
	} {
		if err := CheckName(tt.name); (err == nil) != tt.ok {
			t.Errorf("CheckName(%q) = %v, want ok %v", tt.name, err, tt.ok)
		}
	}
}

func TestParseStat(t *testing.T) {
	text := "12 (a) b) S 3 4 5 0 -1 6 0 0 0 0 7 8 0 0 20 0 1 0 12345 0 0"
	got, ok := parseStat([]byte(text))
	if want := (stat{'S', 3, 12345, 15}); !ok || got != want {
		t.Errorf("parseStat = %+v, %v; want %+v", got, ok, want)
	}
	for n := range len(text) {
		if s, ok := parseStat([]byte(text[:n])); ok && s.parent != 3 {
			t.Errorf("parseStat of %q = %+v", text[:n], s)
		}
	}
}

func store(t *testing.T) *Store {
	t.Helper()
	dir := t.TempDir()
	if err := os.Chmod(dir, 0o700); err != nil {
		t.Fatal(err)
	}
	return &Store{dirs: []string{filepath.Join(dir, "run")}, uid: os.Getuid()}
}

// A name is taken once; a record is there as long as its process.
func TestClaim(t *testing.T) {
	s := store(t)
	c, err := s.Claim("db")
	if err != nil {
		t.Fatal(err)
	}
	if _, err := s.Claim("db"); err == nil || !strings.Contains(err.Error(), "being started") {
		t.Errorf("a second claim: %v, want that it is being started", err)
	}
	cmd := exec.Command("sleep", "60")
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	defer cmd.Process.Kill()
	st, _ := readStat(cmd.Process.Pid)
	state := &State{Instance: Instance{Name: "db", PID: cmd.Process.Pid}, Process: Process{cmd.Process.Pid, st.start}, Monitor: Process{cmd.Process.Pid, st.start}}
	state.PIDSpace, state.Boot = place()
	if err := c.Record(state); err != nil {
		t.Fatal(err)
	}
	c.Release()
	if _, err := s.Claim("db"); err == nil || !strings.Contains(err.Error(), "running already") {
		t.Errorf("a claim of a running instance: %v", err)
	}
	if got, err := s.Find("db"); err != nil || got.PID != state.PID {
		t.Errorf("Find = %+v, %v", got, err)
	}
	if list := s.List("x*"); len(list) != 0 {
		t.Errorf("List(x*) = %v, want none", list)
	}
	cmd.Process.Kill()
	cmd.Wait()
	if _, err := s.Find("db"); err == nil {
		t.Error("Find found an instance that has ended")
	}
	if left, _ := os.ReadDir(filepath.Dir(s.dirs[0])); len(left) != 0 {
		t.Errorf("left behind: %v", left)
	}
}

// A process with the recorded number that began at another time is another one.
func TestReusedNumber(t *testing.T) {
	st, ok := readStat(os.Getpid())
	if !ok {
		t.Fatal("no /proc")
	}
	if p := (Process{os.Getpid(), st.start}); !p.alive() {
		t.Error("this process counts as dead")
	}
	if p := (Process{os.Getpid(), st.start + 1}); p.alive() {
		t.Error("a process that began at another time counts as the recorded one")
	}
}

func FuzzDecode(f *testing.F) {
	f.Add([]byte(`{"instance":"db","pid":5,"processID":5,"monitor":{"processID":4}}`))
	f.Fuzz(func(t *testing.T, b []byte) {
		if s, err := decode(b, "db"); err == nil && (s.PID <= 1 || s.Name != "db") {
			t.Errorf("decode(%q) = %+v", b, s)
		}
	})
}

// Records do not go to the next place because somebody removes the empty directory of the first one at the same time.
func TestClaimsBesideDrops(t *testing.T) {
	place := t.TempDir()
	s := &Store{dirs: []string{filepath.Join(place, "first"), filepath.Join(place, "second")}, uid: os.Getuid()}
	var all sync.WaitGroup
	for i := range 4 {
		all.Go(func() {
			for range 300 {
				c, err := s.Claim(fmt.Sprint("name", i))
				if err != nil {
					t.Error(err)
					return
				}
				if !strings.HasPrefix(c.dir, s.dirs[0]) {
					t.Errorf("a record in %s", c.dir)
				}
				c.Drop()
			}
		})
	}
	all.Wait()
	if left, err := os.ReadDir(place); err != nil || len(left) > 0 {
		t.Errorf("left: %v, %v", left, err)
	}
}
