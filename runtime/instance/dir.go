package instance

import (
	"errors"
	"fmt"
	"os"
	"path"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"time"

	"golang.org/x/sys/unix"
)

// fileName is the record in an instance's directory.
const fileName = "instance.json"

// maxName is how long the name of an instance may be, in bytes.
const maxName = 128

// A NameError is a name that no instance can have.
type NameError struct{ Name string }

func (e *NameError) Error() string {
	if len(e.Name) > maxName {
		return fmt.Sprintf("instance name %.20q…: longer than %d bytes", e.Name, maxName)
	}
	return fmt.Sprintf("instance name %q: want letters, digits, and . _ - but not at the start", e.Name)
}

// CheckName says whether an instance can be called that.
func CheckName(name string) error {
	ok := name != "" && len(name) <= maxName && !strings.HasPrefix(name, ".") && !strings.HasPrefix(name, "-")
	for _, r := range name {
		ok = ok && (r >= 'a' && r <= 'z' || r >= 'A' && r <= 'Z' || r >= '0' && r <= '9' || strings.ContainsRune("._-", r))
	}
	if !ok {
		return &NameError{name}
	}
	return nil
}

// A MissingError says that no running instance has a name.
type MissingError struct {
	Name    string
	Running []string
}

func (e *MissingError) Error() string { return fmt.Sprintf("no instance %q is running", e.Name) }

// A TakenError says that a name is in use.
type TakenError struct {
	Name     string
	Starting bool
}

func (e *TakenError) Error() string {
	if e.Starting {
		return fmt.Sprintf("instance %q is being started by another process", e.Name)
	}
	return fmt.Sprintf("an instance %q is running already", e.Name)
}

// A Store is where records are. Instances are looked for in all directories, since a batch job and a login differ in
// their environment; new ones go into the first that can be used.
type Store struct {
	dirs []string
	uid  int
}

// Open finds the records of this user. env is os.Getenv.
func Open(env func(string) string) *Store {
	uid := strconv.Itoa(os.Getuid())
	var dirs []string
	for _, dir := range []string{env("XDG_RUNTIME_DIR"), "/run/user/" + uid} {
		if filepath.IsAbs(dir) && !slices.Contains(dirs, filepath.Join(dir, "coracle")) {
			dirs = append(dirs, filepath.Join(dir, "coracle"))
		}
	}
	return &Store{dirs: append(dirs, "/tmp/coracle-"+uid), uid: os.Getuid()}
}

// ours tells whether path is a directory that nobody but the user can write to. /tmp is anybody's.
func (s *Store) ours(path string) bool {
	var st unix.Stat_t
	return unix.Lstat(path, &st) == nil && st.Mode&unix.S_IFMT == unix.S_IFDIR && int(st.Uid) == s.uid && st.Mode&0o022 == 0
}

// home makes the directory for new records and returns it.
func (s *Store) home() (string, error) {
	var first error
	for _, dir := range s.dirs {
		home, err := s.homeIn(dir)
		for tries := 0; errors.Is(err, errMoved) && tries < 100; tries++ {
			home, err = s.homeIn(dir)
		}
		if err == nil {
			return home, nil
		}
		if first == nil || !errors.Is(err, os.ErrNotExist) {
			first = err
		}
	}
	return "", fmt.Errorf("a place for the record of an instance: %w", first)
}

// homeIn makes it in dir. The error is errMoved when dir was removed meanwhile, because the last record in it has gone.
func (s *Store) homeIn(dir string) (string, error) {
	err := os.Mkdir(dir, 0o700)
	if err != nil && !errors.Is(err, os.ErrExist) {
		return "", err
	}
	if s.ours(dir) {
		home := filepath.Join(dir, "instances")
		err := os.Mkdir(home, 0o700)
		switch {
		case err == nil, errors.Is(err, os.ErrExist):
			return home, nil
		case errors.Is(err, os.ErrNotExist):
			return "", errMoved
		}
		return "", err
	}
	if _, err := os.Lstat(dir); errors.Is(err, os.ErrNotExist) || s.ours(dir) {
		return "", errMoved
	}
	return "", fmt.Errorf("%s belongs to somebody else, or others can write to it", dir)
}

// A Claim is a name that this process has taken for an instance that it starts.
type Claim struct {
	dir string
	fd  int // locked
}

// Claim takes a name. The error is a [*NameError] or a [*TakenError], or that there is no place for records.
func (s *Store) Claim(name string) (*Claim, error) {
	if err := CheckName(name); err != nil {
		return nil, err
	}
	if _, err := s.Find(name); err == nil {
		return nil, &TakenError{Name: name}
	}
	deadline := time.Now().Add(200 * time.Millisecond)
	for {
		home, err := s.home()
		if err != nil {
			return nil, err
		}
		dir := filepath.Join(home, name)
		fd, err := -1, os.Mkdir(dir, 0o700)
		if err == nil || errors.Is(err, os.ErrExist) {
			fd, err = lock(dir)
		} else if errors.Is(err, os.ErrNotExist) {
			err = errMoved
		}
		switch {
		case errors.Is(err, errMoved):
			continue
		case errors.Is(err, unix.EWOULDBLOCK) && time.Now().Before(deadline):
			time.Sleep(2 * time.Millisecond) // most likely somebody who looks for old records
			continue
		case errors.Is(err, unix.EWOULDBLOCK):
			return nil, &TakenError{name, true}
		case err != nil:
			return nil, err
		}
		if state, err := read(fd, name); err == nil && state.Running() {
			unix.Close(fd)
			return nil, &TakenError{Name: name}
		}
		return &Claim{dir, fd}, nil
	}
}

// errMoved: the directory has been removed, or replaced, in the meantime.
var errMoved = errors.New("the directory is gone")

// lock opens and locks a directory.
func lock(dir string) (int, error) {
	fd, err := unix.Open(dir, unix.O_RDONLY|unix.O_DIRECTORY|unix.O_NOFOLLOW|unix.O_CLOEXEC, 0)
	if err != nil {
		if errors.Is(err, unix.ENOENT) {
			err = errMoved
		}
		return -1, err
	}
	var has, is unix.Stat_t
	if err = unix.Flock(fd, unix.LOCK_EX|unix.LOCK_NB); err == nil {
		if unix.Fstat(fd, &has) != nil || unix.Lstat(dir, &is) != nil || has.Ino != is.Ino || has.Dev != is.Dev {
			err = errMoved
		}
	}
	if err != nil {
		unix.Close(fd)
		return -1, err
	}
	return fd, nil
}

// Record writes down what has been started.
func (c *Claim) Record(s *State) error { return write(c.dir, s) }

// Release gives the name back: with a record it is the instance's from now on.
func (c *Claim) Release() { unix.Close(c.fd) }

// Drop gives the name back and removes the record.
func (c *Claim) Drop() {
	clear(c.dir)
	unix.Close(c.fd)
}

// clear removes an instance's directory, and those above it when they are empty then.
func clear(dir string) {
	for _, path := range []string{filepath.Join(dir, fileName), filepath.Join(dir, fileName+".new"), dir, filepath.Dir(dir), filepath.Dir(filepath.Dir(dir))} {
		os.Remove(path)
	}
}

// Find returns the running instance of that name. The error is a [*NameError] or a [*MissingError].
func (s *Store) Find(name string) (*State, error) {
	if err := CheckName(name); err != nil {
		return nil, err
	}
	all := s.List("")
	missing := &MissingError{Name: name}
	for _, i := range all {
		if i.Name == name {
			return i, nil
		}
		missing.Running = append(missing.Running, i.Name)
	}
	return nil, missing
}

// List returns the running instances whose names match a pattern (path.Match), "" all, in the order of their names.
// Records of instances that have ended are removed.
func (s *Store) List(pattern string) []*State {
	var list []*State
	for _, top := range s.dirs {
		dir := filepath.Join(top, "instances")
		if !s.ours(top) || !s.ours(dir) {
			continue
		}
		entries, _ := os.ReadDir(dir)
		for _, e := range entries {
			state := s.look(filepath.Join(dir, e.Name()), e.Name())
			if state == nil {
				continue
			}
			if ok, err := path.Match(pattern, state.Name); pattern == "" || err == nil && ok {
				list = append(list, state)
			}
		}
	}
	slices.SortStableFunc(list, func(a, b *State) int { return strings.Compare(a.Name, b.Name) })
	return slices.CompactFunc(list, func(a, b *State) bool { return a.Name == b.Name })
}

// look reads the record in dir, and removes what is left of an instance that has ended. One that is
// being started has no record yet, and is locked.
func (s *Store) look(dir, name string) *State {
	if CheckName(name) != nil || !s.ours(dir) {
		return nil
	}
	fd, err := unix.Open(dir, unix.O_RDONLY|unix.O_DIRECTORY|unix.O_NOFOLLOW|unix.O_CLOEXEC, 0)
	if err != nil {
		return nil
	}
	defer unix.Close(fd)
	state, err := read(fd, name)
	if err == nil && state.Running() {
		return state
	}
	if err == nil && !state.here() {
		return nil // another container's: only its own can tell
	}
	if fd, err := lock(dir); err == nil {
		if state, err := read(fd, name); err != nil || !state.Running() && state.here() {
			clear(dir)
		}
		unix.Close(fd)
	}
	return nil
}

// here tells whether the process ids of the record can be looked at: after a reboot they mean nothing, and in
// another pid namespace something else.
func (s *State) here() bool {
	pidSpace, boot := place()
	return s.Boot != boot || s.PIDSpace == pidSpace
}

// Running tells whether the instance is still there.
func (s *State) Running() bool {
	pidSpace, boot := place()
	return s.Boot == boot && s.PIDSpace == pidSpace && s.Process.alive()
}

// LogPaths makes the directory of the logs and returns their paths, errors and output, as Apptainer has them:
// below the configuration directory, by host and user. Without a home directory they are
// beside the record.
func (c *Claim) LogPaths(config, host, user, name string) (errPath, outPath string) {
	dir := filepath.Join(config, "instances", "logs", host, user)
	if config == "" || os.MkdirAll(dir, 0o700) != nil || unix.Access(dir, unix.W_OK) != nil {
		dir = filepath.Join(filepath.Dir(filepath.Dir(c.dir)), "logs")
		os.MkdirAll(dir, 0o700) // opening the files tells
	}
	return filepath.Join(dir, name+".err"), filepath.Join(dir, name+".out")
}
