// Package instance keeps the records of running instances: small JSON files in directories that only the
// user can write to.
package instance

import (
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"

	"golang.org/x/sys/unix"
)

// An Instance is what is shown of an instance, in the form that Apptainer's `instance list --json` has.
type Instance struct {
	Image  string `json:"img"` // absolute path
	Name   string `json:"instance"`
	IP     string `json:"ip"`         // always empty: an ordinary user's containers have no address of their own
	LogErr string `json:"logErrPath"` // of the start script
	LogOut string `json:"logOutPath"`
	PID    int    `json:"pid"` // of its init, on the host
}

// A State is all that is recorded of an instance.
type State struct {
	Instance
	Process          // its init
	Monitor  Process `json:"monitor"`      // the process on the host that ends with the instance
	PIDSpace string  `json:"pidNamespace"` // in which these process ids mean something
	Boot     string  `json:"boot"`         // of which boot

	ImageName string   `json:"imageName"` // as the user named it
	Home      string   `json:"home"`      // the home directory inside
	Binds     []string `json:"binds"`     // destinations of the user's binds
	Fakeroot  string   `json:"fakeroot"`  // how the user is root inside; "" not at all
	App       string   `json:"app"`
}

// maxState bounds a record, in bytes.
const maxState = 1 << 20

// ErrRecord says that a record cannot be believed.
var ErrRecord = errors.New("not a record of an instance")

// decode reads a record and checks what has to hold whoever wrote it.
func decode(b []byte, name string) (*State, error) {
	var s State
	if err := json.Unmarshal(b, &s); err != nil {
		return nil, fmt.Errorf("%w: %w", ErrRecord, err)
	}
	switch {
	case s.Name != name:
		return nil, fmt.Errorf("%w: it is about %q", ErrRecord, s.Name)
	case s.PID <= 1 || s.Monitor.ID <= 1 || s.PID != s.ID:
		return nil, fmt.Errorf("%w: process %d", ErrRecord, s.PID)
	}
	return &s, nil
}

// read reads the record in the open directory dir. A file that somebody else could have written is none.
func read(dir int, name string) (*State, error) {
	fd, err := unix.Openat(dir, fileName, unix.O_RDONLY|unix.O_NOFOLLOW|unix.O_NONBLOCK|unix.O_CLOEXEC, 0)
	if err != nil {
		return nil, err
	}
	f := os.NewFile(uintptr(fd), fileName)
	defer f.Close()
	var st unix.Stat_t
	switch err := unix.Fstat(fd, &st); {
	case err != nil:
		return nil, err
	case st.Mode&unix.S_IFMT != unix.S_IFREG, int(st.Uid) != os.Getuid(), st.Mode&0o022 != 0, st.Size > maxState:
		return nil, ErrRecord
	}
	b, err := io.ReadAll(io.LimitReader(f, maxState))
	if err != nil {
		return nil, err
	}
	return decode(b, name)
}

// write makes the record appear whole.
func write(dir string, s *State) error {
	b, err := json.MarshalIndent(s, "", "\t")
	if err != nil {
		return err
	}
	temp := filepath.Join(dir, fileName+".new")
	if err := os.WriteFile(temp, append(b, '\n'), 0o600); err != nil {
		return err
	}
	return os.Rename(temp, filepath.Join(dir, fileName))
}
